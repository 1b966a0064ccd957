//! The module's own container.

use std::collections::BTreeSet;

use edge_crds::edge_deployment::ImagePullPolicy;
use k8s_openapi::api::core::v1::{Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, SecurityContext, VolumeMount};

use super::pod::MODULE_CONTAINER;
use crate::docker::{Port, Remark};
use crate::reconcile::material::Material;
use crate::reconcile::valid::{ValidDeployment, ValidModule};
use crate::reconcile::validate::WORKLOAD_DIRECTORY;
use crate::settings::Settings;

/// Version of the workload API that modules are told.
const WORKLOAD_API_VERSION: &str = "2020-07-07";
/// What IoT Edge takes from every container once elevated permissions are off.
const DROPPED_WITHOUT_ELEVATION: [&str; 2] = ["CHOWN", "SETUID"];

pub(super) fn module_container(
    valid: &ValidDeployment,
    module: &ValidModule,
    material: &Material,
    settings: &Settings,
    mounts: Vec<VolumeMount>,
    remarks: &mut Vec<Remark>,
) -> Container {
    let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| words.iter().map(|word| literal(word)).collect());
    Container {
        name: MODULE_CONTAINER.to_owned(),
        image: Some(module.image.clone()),
        image_pull_policy: Some(
            match module.pull_policy {
                ImagePullPolicy::OnCreate => "IfNotPresent",
                ImagePullPolicy::Never => "Never",
            }
            .to_owned(),
        ),
        command: words(&module.options.entrypoint),
        args: words(&module.options.cmd),
        working_dir: module.options.working_dir.clone(),
        env: Some(env(valid, module, material)),
        ports: Some(ports(module)).filter(|ports| !ports.is_empty()),
        resources: module.kubernetes.resources.clone(),
        security_context: Some(security_context(module, settings, remarks)),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The manifest's variables, those of the runtime, and Docker's: where two have the same name, the manifest's win over the
/// runtime's, and Docker's over both. The order is that of IoT Edge.
fn env(valid: &ValidDeployment, module: &ValidModule, material: &Material) -> Vec<EnvVar> {
    let plain = |name: &str, value: &str| EnvVar { name: name.to_owned(), value: Some(literal(value)), value_from: None };
    let mut env: Vec<EnvVar> = module
        .env
        .iter()
        .map(|var| EnvVar {
            name: var.name.clone(),
            value: var.value.as_deref().map(literal),
            value_from: var.value_from.as_ref().map(|from| EnvVarSource {
                secret_key_ref: from.secret_key_ref.clone(),
                config_map_key_ref: from.config_map_key_ref.clone(),
                field_ref: from.field_ref.clone(),
                ..EnvVarSource::default()
            }),
        })
        .collect();
    let hub = valid.names.hub();
    let workload_uri = format!("unix://{WORKLOAD_DIRECTORY}/workload.sock");
    let generation = material.modules.get(&module.names.identity_secret()).map_or("", |identity| identity.generation.as_str());
    let injected = [
        ("IOTEDGE_WORKLOADURI", workload_uri.as_str()),
        ("IOTEDGE_AUTHSCHEME", "sasToken"),
        ("IOTEDGE_MODULEGENERATIONID", generation),
        ("IOTEDGE_IOTHUBHOSTNAME", &hub),
        ("IOTEDGE_GATEWAYHOSTNAME", &hub),
        ("IOTEDGE_DEVICEID", valid.device.as_str()),
        ("IOTEDGE_MODULEID", module.id.as_str()),
        ("IOTEDGE_APIVERSION", WORKLOAD_API_VERSION),
    ];
    for (name, value) in injected {
        if !env.iter().any(|var| var.name == name) {
            env.push(plain(name, value));
        }
    }
    for var in &module.options.env {
        let docker = plain(&var.name, &var.value);
        match env.iter_mut().find(|known| known.name == var.name) {
            Some(known) => *known = docker,
            None => env.push(docker),
        }
    }
    env
}

/// Kubernetes replaces `$(NAME)` in values and arguments and halves `$$`; Docker does neither, so neither may happen here.
fn literal(text: &str) -> String {
    if text.contains("$(") || text.contains("$$") { text.replace('$', "$$") } else { text.to_owned() }
}

fn ports(module: &ValidModule) -> Vec<ContainerPort> {
    let bound = module.options.port_bindings.iter().map(|binding| binding.container);
    let all: BTreeSet<Port> = module.options.exposed_ports.iter().copied().chain(bound).collect();
    all.into_iter()
        .map(|port| ContainerPort {
            container_port: i32::from(port.number),
            protocol: Some(port.protocol.as_str().to_owned()),
            ..ContainerPort::default()
        })
        .collect()
}

/// What the container may do: Docker's options first, the `kubernetes` block over them, and what is not granted out of both.
fn security_context(module: &ValidModule, settings: &Settings, remarks: &mut Vec<Remark>) -> SecurityContext {
    let options = &module.options;
    let mut context = SecurityContext {
        privileged: options.privileged.then_some(true),
        run_as_user: options.user.map(|user| user.uid),
        run_as_group: options.user.and_then(|user| user.gid),
        capabilities: capabilities(&options.cap_add, &options.cap_drop),
        ..SecurityContext::default()
    };
    if !settings.allow_elevated_permissions {
        strip(&mut context, ["HostConfig.Privileged", "HostConfig.CapAdd"], remarks);
    }
    if let Some(mut wanted) = module.kubernetes.security_context.clone() {
        if !settings.allow_elevated_permissions {
            let members = ["kubernetes.securityContext.privileged", "kubernetes.securityContext.capabilities.add"];
            strip(&mut wanted, members, remarks);
        }
        overlay(&mut context, wanted);
    }
    if !settings.allow_elevated_permissions {
        let capabilities = context.capabilities.get_or_insert_default();
        let dropped = capabilities.drop.get_or_insert_default();
        for capability in DROPPED_WITHOUT_ELEVATION {
            let named = options.cap_add.iter().any(|added| added == capability || added == "ALL");
            if !named && !dropped.iter().any(|known| known == capability || known == "ALL") {
                dropped.push(capability.to_owned());
            }
        }
        capabilities.drop = Some(std::mem::take(dropped)).filter(|dropped| !dropped.is_empty());
        if capabilities.add.is_none() && capabilities.drop.is_none() {
            context.capabilities = None;
        }
    }
    context
}

fn capabilities(add: &[String], drop: &[String]) -> Option<Capabilities> {
    let some = |names: &[String]| Some(names.to_vec()).filter(|names| !names.is_empty());
    let capabilities = Capabilities { add: some(add), drop: some(drop) };
    (capabilities.add.is_some() || capabilities.drop.is_some()).then_some(capabilities)
}

/// Takes privileges out of `context` and says so of `members`: its `privileged` and its added capabilities.
fn strip(context: &mut SecurityContext, [privileged, capabilities]: [&str; 2], remarks: &mut Vec<Remark>) {
    if context.privileged.take() == Some(true) {
        remarks.push(Remark::NotGranted { member: privileged.to_owned() });
    }
    if let Some(added) =
        context.capabilities.as_mut().and_then(|capabilities| capabilities.add.take()).filter(|added| !added.is_empty())
    {
        remarks.push(Remark::NotGranted { member: format!("{capabilities} ({})", added.join(", ")) });
    }
}

/// Every member that `over` sets replaces the one of `under`.
fn overlay(under: &mut SecurityContext, over: SecurityContext) {
    // No `..`: a member that a later version of Kubernetes adds must be decided upon here.
    let SecurityContext {
        allow_privilege_escalation,
        app_armor_profile,
        capabilities,
        privileged,
        proc_mount,
        read_only_root_filesystem,
        run_as_group,
        run_as_non_root,
        run_as_user,
        se_linux_options,
        seccomp_profile,
        windows_options,
    } = over;
    under.allow_privilege_escalation = allow_privilege_escalation.or(under.allow_privilege_escalation);
    under.app_armor_profile = app_armor_profile.or_else(|| under.app_armor_profile.take());
    under.capabilities = capabilities.or_else(|| under.capabilities.take());
    under.privileged = privileged.or(under.privileged);
    under.proc_mount = proc_mount.or_else(|| under.proc_mount.take());
    under.read_only_root_filesystem = read_only_root_filesystem.or(under.read_only_root_filesystem);
    under.run_as_group = run_as_group.or(under.run_as_group);
    under.run_as_non_root = run_as_non_root.or(under.run_as_non_root);
    under.run_as_user = run_as_user.or(under.run_as_user);
    under.se_linux_options = se_linux_options.or_else(|| under.se_linux_options.take());
    under.seccomp_profile = seccomp_profile.or_else(|| under.seccomp_profile.take());
    under.windows_options = windows_options.or_else(|| under.windows_options.take());
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn what_kubernetes_would_expand_stays_as_written() {
        assert_eq!(literal("plain $PATH"), "plain $PATH");
        assert_eq!(literal("$(HOSTNAME) costs $5"), "$$(HOSTNAME) costs $$5");
        assert_eq!(literal("a$$b"), "a$$$$b");
    }
}
