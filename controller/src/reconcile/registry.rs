//! `registryCredentials` as the one file that the kubelet understands.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use edge_crds::EdgeDeployment;
use edge_crds::condition::reason;
use edge_crds::name::DeploymentNames;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::child::Kind;
use super::fetch::Objects;
use super::rejection::Problem;
use super::valid::RegistryConfiguration;
use super::validate::secret_value;

/// Where problems of this list are, as the beginning of a path in the object.
pub(super) const FIELD: &str = "spec.registryCredentials[";
/// Key of a pull Secret, as the kubelet wants it.
pub(super) const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// The content of `.dockerconfigjson` as it was made last, when every password was there.
pub(super) fn stored(names: &DeploymentNames, objects: &Objects) -> Option<RegistryConfiguration> {
    let secret = objects.get(&(Kind::Secret, names.registry_secret()))?;
    let encoded = secret.data.get("data")?.get(DOCKER_CONFIG)?.as_str()?;
    BASE64_STANDARD.decode(encoded).ok().map(RegistryConfiguration)
}

/// The content of `.dockerconfigjson`; problems go to `problems`.
pub(super) fn configuration(
    edge: &EdgeDeployment,
    secrets: &BTreeMap<String, Option<Secret>>,
    problems: &mut Vec<Problem>,
) -> Option<RegistryConfiguration> {
    let mut auths = serde_json::Map::new();
    for credential in &edge.spec.registry_credentials {
        let field = format!("{FIELD}{}]", credential.name);
        let reference = &credential.secret_ref;
        let password = match secret_value(secrets, &reference.name, &reference.key, &format!("{field}.secretRef")) {
            Ok(password) => password,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let Ok(password) = std::str::from_utf8(password) else {
            let message = format!("key {} of Secret {} is not text", reference.key, reference.name);
            problems.push(Problem::new(reason::INVALID_SECRET, format!("{field}.secretRef"), message));
            continue;
        };
        // A line end behind a password is an editor's, never the registry's.
        let password = password.trim_end_matches(['\r', '\n']);
        let auth = BASE64_STANDARD.encode(format!("{}:{password}", credential.username));
        let entry = json!({ "username": credential.username, "password": password, "auth": auth });
        if auths.insert(credential.address.clone(), entry).is_some() {
            let message = format!("{} is the address of another entry already", credential.address);
            problems.push(Problem::new(reason::INVALID_SPEC, format!("{field}.address"), message));
        }
    }
    (!auths.is_empty()).then(|| RegistryConfiguration(json!({ "auths": auths }).to_string().into_bytes()))
}
