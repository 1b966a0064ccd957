//! `HostConfig.Binds` and `HostConfig.Mounts`: what is mounted into the container, and where.

use serde_json::{Map, Value};

use super::members::Place;
use super::reader::{Reader, asks_for_nothing, member, quote};
use super::remark::Remark;

/// Longest path that is mounted from or to. Linux itself allows 4096; a pod's fields are read by people.
const MAX_PATH_BYTES: usize = 1024;
/// Longest name of a named volume. Docker has no bound; ours keeps it recognisable inside an object name.
const MAX_VOLUME_BYTES: usize = 128;
/// The engine's own socket: people mount it, and clusters rarely have it.
const DOCKER_SOCKET: &str = "docker.sock";

/// Where the mounted files come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A path of the node: absolute, without `..`.
    HostPath(String),
    /// A volume with a name, shared by all modules that name it.
    Named(String),
    /// A volume without a name: it lives as long as the container.
    Anonymous,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The member that asked for it, for sentences: `HostConfig.Binds[0]`.
    pub path: String,
    /// Where the files come from.
    pub source: Source,
    /// Where the module sees them: absolute, without `..`, not the root.
    pub target: String,
    /// May the module only read them?
    pub read_only: bool,
}

/// `source:target[:options]`, each.
pub(super) fn read_binds(value: &Value, reader: &mut Reader) -> Vec<Bind> {
    let entries = reader.texts("HostConfig.Binds", value).unwrap_or_default();
    let numbered = entries.iter().enumerate();
    numbered.filter_map(|(index, entry)| read_bind(format!("HostConfig.Binds[{index}]"), entry, reader)).collect()
}

fn read_bind(path: String, entry: &str, reader: &mut Reader) -> Option<Bind> {
    if is_windows_path(entry) {
        reader.problem(path, format!("{:?} has a Windows path; modules run on Linux nodes", quote(entry)));
        return None;
    }
    let mut parts = entry.split(':');
    let (source, target, options) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(source), Some(target), options, None) => (source, target, options.unwrap_or_default()),
        (Some(target), None, _, _) if target.starts_with('/') => ("", target, ""),
        _ => {
            reader.problem(path, format!("{:?} is not of the form source:target[:options]", quote(entry)));
            return None;
        }
    };
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            // SELinux labels and caching hints: nothing to do on the nodes that we know, and nothing changes for the module.
            "rw" | "z" | "Z" | "nocopy" | "cached" | "delegated" | "consistent" => {}
            "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate" => reader.remark(Remark::Differs {
                member: path.clone(),
                how: format!("asks for mount propagation {option}, which is not supported; the mount is private"),
            }),
            other => {
                reader.problem(path, format!("has an unknown option {:?}", quote(other)));
                return None;
            }
        }
    }
    let source = read_source(&path, source, reader)?;
    let target = read_target(&path, target, reader)?;
    Some(Bind { path, source, target, read_only })
}

/// `{"Type": …, "Source": …, "Target": …, "ReadOnly": …}`, each.
pub(super) fn read_mounts(value: &Value, reader: &mut Reader) -> Vec<Bind> {
    let entries = reader.list("HostConfig.Mounts", value).unwrap_or_default();
    let numbered = entries.iter().enumerate();
    numbered.filter_map(|(index, entry)| read_mount(format!("HostConfig.Mounts[{index}]"), entry, reader)).collect()
}

fn read_mount(path: String, value: &Value, reader: &mut Reader) -> Option<Bind> {
    let mount = reader.object(&path, value)?;
    let Some(kind) = member(mount, "Type") else {
        reader.problem(format!("{path}.Type"), "is missing: bind or volume is expected");
        return None;
    };
    let kind = reader.text(&format!("{path}.Type"), kind)?;
    let given = match member(mount, "Source") {
        Some(source) => reader.text(&format!("{path}.Source"), source)?,
        None => String::new(),
    };
    let source = match kind.to_ascii_lowercase().as_str() {
        "bind" if is_windows_path(&given) => {
            reader
                .problem(format!("{path}.Source"), format!("{:?} is a Windows path; modules run on Linux nodes", quote(&given)));
            return None;
        }
        "bind" if !given.starts_with('/') => {
            reader.problem(format!("{path}.Source"), format!("must be an absolute path, not {:?}", quote(&given)));
            return None;
        }
        "volume" if given.starts_with('/') => {
            reader.problem(format!("{path}.Source"), format!("must be the name of a volume, not the path {:?}", quote(&given)));
            return None;
        }
        "bind" | "volume" => read_source(&path, &given, reader)?,
        "tmpfs" | "npipe" | "cluster" | "image" => {
            reader.remark(Remark::Unsupported { member: format!("{path} of type {kind}") });
            return None;
        }
        _ => {
            reader.problem(format!("{path}.Type"), format!("must be bind or volume, not {:?}", quote(&kind)));
            return None;
        }
    };
    let target = match member(mount, "Target") {
        Some(target) => reader.text(&format!("{path}.Target"), target)?,
        None => String::new(),
    };
    let target = read_target(&path, &target, reader)?;
    let read_only = match member(mount, "ReadOnly") {
        Some(flag) => reader.flag(&format!("{path}.ReadOnly"), flag)?,
        None => false,
    };
    say_what_is_left(&path, mount, reader);
    Some(Bind { path, source, target, read_only })
}

fn say_what_is_left(path: &str, mount: &Map<String, Value>, reader: &mut Reader) {
    // A consistency hint changes nothing on Linux, under Docker either.
    let hints: Map<_, _> = mount
        .iter()
        .filter(|(name, value)| !name.eq_ignore_ascii_case("Consistency") && !asks_for_nothing(value))
        // `RW: false` does ask for something.
        .chain(mount.iter().filter(|(name, _)| name.eq_ignore_ascii_case("RW")))
        .map(|(name, value)| {
            let marked = if name.eq_ignore_ascii_case("RW") { Value::Bool(true) } else { value.clone() };
            (name.clone(), marked)
        })
        .collect();
    reader.rest(Place::Mount, &format!("{path}."), &hints, &["Type", "Source", "Target", "ReadOnly"]);
}

fn read_source(path: &str, given: &str, reader: &mut Reader) -> Option<Source> {
    if given.is_empty() {
        return Some(Source::Anonymous);
    }
    if given.starts_with('/') {
        let clean = clean_path(given);
        if clean.is_none() {
            reader.problem(
                path,
                format!("{:?} is not a path that can be mounted: no .. and at most {MAX_PATH_BYTES} bytes", quote(given)),
            );
        }
        let clean = clean?;
        if clean.ends_with(DOCKER_SOCKET) {
            let how = format!("needs Docker on the node: the module waits until there is a socket {clean}");
            reader.remark(Remark::Differs { member: path.to_owned(), how });
        }
        return Some(Source::HostPath(clean));
    }
    let first_legal = given.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let legal = given.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first_legal && legal && given.len() <= MAX_VOLUME_BYTES {
        return Some(Source::Named(given.to_owned()));
    }
    let expected = "an absolute path or the name of a volume ([a-zA-Z0-9][a-zA-Z0-9_.-]*) is expected";
    reader.problem(path, format!("has the source {:?}: {expected}", quote(given)));
    None
}

fn read_target(path: &str, given: &str, reader: &mut Reader) -> Option<String> {
    let target = clean_path(given).filter(|target| target != "/");
    if target.is_none() {
        reader.problem(
            path,
            format!("has the target {:?}: an absolute path without .. is expected, and not the root", quote(given)),
        );
    }
    target
}

/// An absolute path without empty, `.` and trailing parts; `None` where `..`, a colon or a control character is in it.
fn clean_path(given: &str) -> Option<String> {
    if !given.starts_with('/') || given.len() > MAX_PATH_BYTES || given.chars().any(|c| c.is_control() || c == ':') {
        return None;
    }
    let mut clean = String::new();
    for part in given.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return None;
        }
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Some(clean)
}

/// `c:\data`, `C:/data`, `\\.\pipe\docker`.
fn is_windows_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.starts_with("\\\\")
        || matches!(bytes, [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic())
        // `c:/data` alone mounts the volume named c; with a second path behind it, the first was one of Windows.
        || matches!(bytes, [drive, b':', b'/', ..] if drive.is_ascii_alphabetic() && text[2..].contains(":/"))
}

/// Two mounts on one path are an error in Docker, and in a pod.
pub(super) fn refuse_shared_targets(binds: &[Bind], reader: &mut Reader) {
    for (index, bind) in binds.iter().enumerate() {
        if let Some(earlier) = binds[..index].iter().find(|earlier| earlier.target == bind.target) {
            reader.problem(&bind.path, format!("mounts on {}, as {} does already", bind.target, earlier.path));
        }
    }
}
