//! The members that Docker knows, and what to say of one that stands in the wrong place or is misspelt.

use super::reader::quote;
use super::remark::Remark;

/// A part of the body with its own set of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The body itself.
    Body,
    /// `HostConfig`.
    HostConfig,
    /// One entry of `HostConfig.Mounts`.
    Mount,
}

/// Members of the body. Source: Docker Engine API, `ContainerConfig` plus the two configurations that a create request adds.
const BODY: &[&str] = &[
    "ArgsEscaped",
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "Domainname",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "HostConfig",
    "Hostname",
    "Image",
    "Labels",
    "MacAddress",
    "NetworkDisabled",
    "NetworkingConfig",
    "OnBuild",
    "OpenStdin",
    "Shell",
    "StdinOnce",
    "StopSignal",
    "StopTimeout",
    "Tty",
    "User",
    "Volumes",
    "WorkingDir",
];

/// Members of `HostConfig`. Source: Docker Engine API, `HostConfig` and `Resources`.
const HOST_CONFIG: &[&str] = &[
    "Annotations",
    "AutoRemove",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cgroup",
    "CgroupParent",
    "CgroupnsMode",
    "ConsoleSize",
    "ContainerIDFile",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "Init",
    "IpcMode",
    "Isolation",
    "KernelMemory",
    "KernelMemoryTCP",
    "Links",
    "LogConfig",
    "MaskedPaths",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "Mounts",
    "NanoCpus",
    "NetworkMode",
    "OomKillDisable",
    "OomScoreAdj",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyPaths",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Runtime",
    "SecurityOpt",
    "ShmSize",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "UTSMode",
    "Ulimits",
    "UsernsMode",
    "VolumeDriver",
    "VolumesFrom",
];

/// Members of an entry of `Mounts`.
const MOUNT: &[&str] =
    &["BindOptions", "Consistency", "ImageOptions", "ReadOnly", "Source", "Target", "TmpfsOptions", "Type", "VolumeOptions"];

/// Fields of the module itself that people write into its createOptions.
const MODULE: &[(&str, &str)] = &[
    ("imagePullPolicy", "the module's imagePullPolicy"),
    ("restartPolicy", "the module's restartPolicy"),
    ("status", "the module's status"),
    ("startupOrder", "the module itself"),
    ("settings", "the module itself"),
    ("routes", "the routes of the EdgeDeployment"),
];

impl Place {
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Body => BODY,
            Self::HostConfig => HOST_CONFIG,
            Self::Mount => MOUNT,
        }
    }
}

/// Says why the member `name`, which nobody took, has no effect at `place`.
pub(super) fn judge(place: Place, prefix: &str, name: &str) -> Remark {
    let member = format!("{prefix}{}", quote(name));
    if place.members().iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Remark::Unsupported { member };
    }
    if place == Place::Mount && name.eq_ignore_ascii_case("RW") {
        return Remark::Misplaced { member, place: "ReadOnly, with the opposite value".to_owned() };
    }
    let elsewhere = match place {
        Place::Body => spelling(HOST_CONFIG, name).map(|known| format!("HostConfig.{known}")),
        Place::HostConfig => spelling(BODY, name).map(|known| format!("{known}, beside HostConfig")),
        Place::Mount => None,
    };
    let of_the_module = || MODULE.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, at)| (*at).to_owned());
    if let Some(place) = elsewhere.or_else(of_the_module) {
        return Remark::Misplaced { member, place };
    }
    match nearest(place.members(), name) {
        Some(meant) => Remark::Misspelt { member, meant: format!("{prefix}{meant}") },
        None => Remark::Unknown { member },
    }
}

fn spelling(known: &[&'static str], name: &str) -> Option<&'static str> {
    known.iter().find(|known| known.eq_ignore_ascii_case(name)).copied()
}

/// The known member that `name` differs from by one or two letters.
fn nearest(known: &[&'static str], name: &str) -> Option<&'static str> {
    // Nothing that long is a slip of the pen, and the comparison is quadratic.
    const LONGEST: usize = 32;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let allowed = if name.len() < 6 { 1 } else { 2 };
    known
        .iter()
        .map(|known| (distance(&known.to_ascii_lowercase(), &name), *known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Levenshtein's distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
