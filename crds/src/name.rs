//! Names of everything that an EdgeDeployment owns, made from its own name and those of its modules and volumes.
//!
//! # The rule
//! Lower case; every other character that DNS does not know becomes `-`; `-` at either end is dropped. When that changed more
//! than letter case, or the result is too long, it ends with `-` and six hexadecimal digits of the SHA-256 of the original.
//! Letter case alone adds no digits, since DNS ignores it and `http://tempSensor:8080` must reach `tempsensor`. So two modules
//! may end up with one name: [`assign`] refuses both by name.
//!
//! Names of children join the deployment's name and theirs. Two deployments of one namespace can therefore ask for the same
//! name (`a` with `b-c`, `a-b` with `c`): whoever applies must check the owner first. Within one deployment nothing clashes.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

use crate::edge_deployment::MAX_DEPLOYMENT_NAME_BYTES;

/// Longest DNS label, and longest value of a label.
pub const MAX_DNS_LABEL_BYTES: usize = 63;
/// Longest name of a module or volume, as written.
pub const MAX_NAME_BYTES: usize = 128;
/// Hexadecimal digits, three bytes, that tell names apart which sanitising made alike.
const HASH_DIGITS: usize = 6;

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a module name.
    #[error("{given:?} is not a module name: 1 to {MAX_NAME_BYTES} of letters, digits, - and _ are allowed")]
    Module {
        /// What was given, cut to a readable length.
        given: String,
    },
    /// A name of the runtime's own.
    #[error("module name {given} belongs to the runtime")]
    Reserved {
        /// What was given.
        given: String,
    },
    /// Not a volume name.
    #[error(
        "{given:?} is not a volume name: 1 to {MAX_NAME_BYTES} of letters, digits, _ . and - are allowed, beginning with a letter or digit"
    )]
    Volume {
        /// What was given, cut to a readable length.
        given: String,
    },
    /// Two modules that DNS could not tell apart.
    #[error("modules {first} and {second} would both have the DNS name {dns_name}: rename one")]
    Collision {
        /// The one that comes first.
        first: String,
        /// The other.
        second: String,
        /// What both would be called.
        dns_name: String,
    },
}

/// A module's names: as written, in DNS, and of its pod, Service and `ServiceAccount`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleNames {
    name: String,
    dns_name: String,
    object_name: String,
}

impl ModuleNames {
    /// The names of module `name` of `deployment`. Whether another module has them too is for [`assign`] to say.
    pub fn new(deployment: &str, name: &str) -> Result<Self, NameError> {
        let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if name.starts_with('$') || name.eq_ignore_ascii_case("edgehub") || name.eq_ignore_ascii_case("edgeagent") {
            return Err(NameError::Reserved { given: excerpt(name) });
        }
        if !legal || !(1..=MAX_NAME_BYTES).contains(&name.len()) {
            return Err(NameError::Module { given: excerpt(name) });
        }
        let dns_name = sanitised(name, Case::Ignored);
        let plain = format!("{deployment}-{dns_name}");
        // The headless Service of all modules, and the hub's pod `<deployment>-edgehub-0` and what else may come beside it.
        let ours = dns_name == "modules" || dns_name.starts_with("edgehub-");
        let object_name = if ours || plain.len() > MAX_DNS_LABEL_BYTES { hashed(&plain, name) } else { plain };
        Ok(Self { name: name.to_owned(), dns_name, object_name })
    }

    /// The name as its author wrote it: the module's identity at the hub.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pod's host name, under which other modules reach it; also the value of the module label.
    pub fn dns_name(&self) -> &str {
        &self.dns_name
    }

    /// Name of the module's pod, Service and `ServiceAccount`. At most 63 bytes.
    pub fn object_name(&self) -> &str {
        &self.object_name
    }

    /// Secret with the module's identity, for its sidecar alone.
    pub fn identity_secret(&self) -> String {
        format!("{}-identity", self.object_name)
    }
}

/// The names of all modules of `deployment`, in the order given; or every problem at once.
pub fn assign<'a>(deployment: &str, modules: impl IntoIterator<Item = &'a str>) -> Result<Vec<ModuleNames>, Vec<NameError>> {
    let mut assigned: Vec<ModuleNames> = Vec::new();
    let mut problems = Vec::new();
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for module in modules {
        match ModuleNames::new(deployment, module) {
            Err(problem) => problems.push(problem),
            Ok(names) => {
                // DNS names that differ can only meet again as object names if their hashes do; then the second is refused as well.
                for key in [format!("dns {}", names.dns_name), format!("object {}", names.object_name)] {
                    if let Some(first) = taken.insert(key, module.to_owned()) {
                        let (second, dns_name) = (module.to_owned(), names.dns_name.clone());
                        problems.push(NameError::Collision { first, second, dns_name });
                        break;
                    }
                }
                assigned.push(names);
            }
        }
    }
    if problems.is_empty() { Ok(assigned) } else { Err(problems) }
}

/// Names of what a deployment owns besides its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentNames {
    deployment: String,
}

impl DeploymentNames {
    /// The names for the EdgeDeployment called `deployment`, which its schema keeps to 40 bytes.
    pub fn new(deployment: impl Into<String>) -> Self {
        Self { deployment: deployment.into() }
    }

    /// The EdgeDeployment's own name.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The hub's StatefulSet, Service, `ServiceAccount` and `PersistentVolumeClaim`.
    pub fn hub(&self) -> String {
        self.with("edgehub")
    }

    /// The hub's pod: the StatefulSet has one.
    pub fn hub_pod(&self) -> String {
        self.with("edgehub-0")
    }

    /// ConfigMap with `hub.json`.
    pub fn hub_configuration(&self) -> String {
        self.with("edgehub-config")
    }

    /// Secret with `identities.json`.
    pub fn hub_identities(&self) -> String {
        self.with("edgehub-identities")
    }

    /// Secret with the hub's certificate and key.
    pub fn hub_tls(&self) -> String {
        self.with("edgehub-tls")
    }

    /// Secret with the CA's certificate and key.
    pub fn ca(&self) -> String {
        self.with("ca")
    }

    /// ConfigMap with the CA's certificate alone.
    pub fn trust_bundle(&self) -> String {
        self.with("trust")
    }

    /// Headless Service of all module pods: the DNS zone in which modules find each other.
    pub fn modules_service(&self) -> String {
        self.with("modules")
    }

    /// Secret of type `kubernetes.io/dockerconfigjson` made from `registryCredentials`.
    pub fn registry_secret(&self) -> String {
        self.with("registry")
    }

    /// `ControllerRevision` with the last accepted spec, told apart by the spec's hash.
    pub fn accepted_spec(&self, hash: &str) -> String {
        self.with(&format!("accepted-{hash}"))
    }

    /// `PersistentVolumeClaim` of a named volume. Unlike modules, `Data` and `data` are two volumes, as they are for Docker.
    pub fn volume_claim(&self, volume: &str) -> Result<String, NameError> {
        let legal = volume.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        let begins = volume.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !legal || !begins || volume.len() > MAX_NAME_BYTES {
            return Err(NameError::Volume { given: excerpt(volume) });
        }
        let plain = self.with(&format!("volume-{}", sanitised(volume, Case::Kept)));
        Ok(if plain.len() > MAX_DNS_LABEL_BYTES { hashed(&plain, volume) } else { plain })
    }

    fn with(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.deployment)
    }
}

/// Can `name` be the name of an EdgeDeployment? The schema says the same; this is for those who have no API server.
pub fn is_deployment_name(name: &str) -> bool {
    let legal = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    legal && begins && !name.ends_with('-') && name.len() <= MAX_DEPLOYMENT_NAME_BYTES
}

/// Does the letter case of the original tell two names apart?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Ignored,
    Kept,
}

/// `original` as one DNS label.
fn sanitised(original: &str, case: Case) -> String {
    let lower = original.to_ascii_lowercase();
    let mapped: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    let label = mapped.trim_matches('-');
    let same = label == if case == Case::Ignored { lower.as_str() } else { original };
    if same && label.len() <= MAX_DNS_LABEL_BYTES { label.to_owned() } else { hashed(label, original) }
}

/// `label`, cut where needed, and the digits that tell `original` from others. At most 63 bytes, all of them ASCII.
fn hashed(label: &str, original: &str) -> String {
    let hash = digest(&SHA256, original.as_bytes());
    let digits = match hash.as_ref() {
        [a, b, c, ..] => format!("{a:02x}{b:02x}{c:02x}"),
        _ => String::new(), // SHA-256 has 32 bytes
    };
    let room = MAX_DNS_LABEL_BYTES - HASH_DIGITS - 1;
    let kept = label[..label.floor_char_boundary(room)].trim_end_matches('-');
    // A name of underscores alone leaves nothing; a label must not begin with the dash.
    if kept.is_empty() { format!("m-{digits}") } else { format!("{kept}-{digits}") }
}

/// Enough of a refused name to recognise it, and no more.
fn excerpt(given: &str) -> String {
    given.chars().take(MAX_NAME_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_dns_label(name: &str) -> bool {
        let legal = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        legal && !name.is_empty() && name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-')
    }

    #[test]
    fn names_become_dns_labels_as_the_table_says() {
        let table = [
            ("tempSensor", "tempsensor"),
            ("filter", "filter"),
            ("Filter-2", "filter-2"),
            ("temp_sensor", "temp-sensor-ddb9d6"),
            ("Temp_Sensor", "temp-sensor-589af4"),
            ("-edge-", "edge-8074bf"),
            ("_", "m-d2e2ad"),
            ("1st", "1st"),
        ];
        for (name, expected) in table {
            assert_eq!(ModuleNames::new("d", name).unwrap().dns_name(), expected, "{name}");
        }
    }

    #[test]
    fn a_name_of_63_bytes_stays_and_one_of_64_is_cut_and_told_apart() {
        let names = |length: usize, last: char| ModuleNames::new("d", &format!("{}{last}", "a".repeat(length - 1))).unwrap();
        assert_eq!(names(63, 'x').dns_name(), format!("{}x", "a".repeat(62)));
        let (x, y) = (names(64, 'x'), names(64, 'y'));
        assert_eq!(x.dns_name().len(), 63);
        assert_ne!(x.dns_name(), y.dns_name());
        assert_ne!(x.object_name(), y.object_name());
    }

    #[test]
    fn every_legal_name_gives_legal_names_of_objects() {
        for deployment in ["d", &"d".repeat(MAX_DEPLOYMENT_NAME_BYTES)] {
            for name in ["a", "_a_", "---", "A-_-b", &"x-".repeat(64), &"_".repeat(128), &"Z".repeat(128)] {
                let names = ModuleNames::new(deployment, name).unwrap();
                assert!(is_dns_label(names.dns_name()), "{names:?}");
                assert!(is_dns_label(names.object_name()), "{names:?}");
                assert!(names.identity_secret().len() <= 253);
            }
            let own = DeploymentNames::new(deployment);
            for volume in ["data", "Data", "a.b_c", &"v".repeat(128)] {
                assert!(is_dns_label(&own.volume_claim(volume).unwrap()), "{volume}");
            }
            for name in
                [own.hub_pod(), own.hub_configuration(), own.hub_identities(), own.modules_service(), own.registry_secret()]
            {
                assert!(is_dns_label(&name), "{name}");
            }
        }
    }

    #[test]
    fn modules_that_differ_in_letter_case_alone_collide() {
        let problems = assign("d", ["tempSensor", "filter", "tempsensor"]).unwrap_err();
        let expected =
            NameError::Collision { first: "tempSensor".into(), second: "tempsensor".into(), dns_name: "tempsensor".into() };
        assert_eq!(problems, [expected]);
    }

    #[test]
    fn modules_that_differ_in_more_do_not_collide() {
        let names = assign("d", ["temp_sensor", "temp-sensor", "Temp_Sensor", "tempSensor"]).unwrap();
        let distinct: std::collections::BTreeSet<_> = names.iter().map(ModuleNames::dns_name).collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn a_name_that_looks_like_anothers_hash_collides_with_it() {
        let hashed = ModuleNames::new("d", "temp_sensor").unwrap().dns_name().to_owned();
        assert!(matches!(assign("d", ["temp_sensor", &hashed]).unwrap_err()[..], [NameError::Collision { .. }]));
    }

    #[test]
    fn every_bad_name_is_reported_at_once() {
        let long = "x".repeat(129);
        let problems = assign("d", ["edgeHub", "EDGEAGENT", "$edgeHub", "a/b", "", &long, "é"]).unwrap_err();
        let kinds: Vec<_> = problems.iter().map(|problem| matches!(problem, NameError::Reserved { .. })).collect();
        assert_eq!(kinds, [true, true, true, false, false, false, false]);
    }

    #[test]
    fn modules_never_take_the_names_of_what_stands_beside_them() {
        let own = DeploymentNames::new("d");
        for module in ["modules", "edgehub-0", "edgeHub-0", "edgehub-config"] {
            let names = ModuleNames::new("d", module).unwrap();
            for taken in [own.hub(), own.hub_pod(), own.modules_service(), own.hub_configuration()] {
                assert_ne!(names.object_name(), taken);
            }
            assert_eq!(names.dns_name(), module.to_ascii_lowercase(), "others still reach it under its name");
        }
    }

    #[test]
    fn volumes_that_differ_in_letter_case_are_two() {
        let own = DeploymentNames::new("d");
        assert_ne!(own.volume_claim("Data"), own.volume_claim("data"));
        assert_eq!(own.volume_claim("data").unwrap(), "d-volume-data");
        for bad in ["", "/etc", ".a", "a b", &"v".repeat(129)] {
            assert!(own.volume_claim(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_deployments_begin_with_a_letter_and_end_at_40_bytes() {
        assert!(is_deployment_name("line-7") && is_deployment_name(&"d".repeat(40)));
        for bad in ["", "7-line", "line-", "Line", "a.b", &"d".repeat(41)] {
            assert!(!is_deployment_name(bad), "{bad:?}");
        }
    }
}
