//! `registryCredentials` as the one file that the kubelet understands.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use edge_crds::EdgeDeployment;
use edge_crds::condition::reason;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::rejection::Problem;
use super::valid::RegistryConfiguration;
use super::validate::secret_value;

/// The content of `.dockerconfigjson`; problems go to `problems`.
pub(super) fn configuration(
    edge: &EdgeDeployment,
    secrets: &BTreeMap<String, Option<Secret>>,
    problems: &mut Vec<Problem>,
) -> Option<RegistryConfiguration> {
    let mut auths = serde_json::Map::new();
    for credential in &edge.spec.registry_credentials {
        let field = format!("spec.registryCredentials[{}]", credential.name);
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
