//! How the parts of a deployment reach each other: the hub's Service, the zone of the modules, and published ports.
//!
//! The zone is a headless Service that selects every module's pod: pod `tempsensor` becomes `tempsensor.<zone>`, and the zone stands
//! first in the pods' search lists, so that `http://tempSensor:8080` works as on the Docker network. An EndpointSlice of ours adds
//! the name `edgehub` to it, with the address of the hub's Service, which never changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use edge_crds::labels::{self, Component};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Part, metadata};
use crate::reconcile::child::{Child, Kind};
use crate::reconcile::valid::{ValidDeployment, ValidModule};

/// Where modules and leaf devices speak MQTT over TLS to the hub.
pub(super) const MQTT_PORT: i32 = 8883;
/// Where the hub serves metrics and probes.
pub(super) const METRICS_PORT: i32 = 9600;
/// Host name of the hub in the modules' zone.
const HUB_NAME: &str = "edgehub";

/// The hub's Service.
pub(super) fn hub_service(valid: &ValidDeployment) -> Child {
    let port = |name: &str, number: i32| ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    let service = Service {
        metadata: metadata(valid, &valid.names.hub(), Part::Component(Component::Hub)),
        spec: Some(ServiceSpec {
            selector: Some(labels::selector(valid.names.deployment(), Component::Hub)),
            ports: Some(vec![port("mqtts", MQTT_PORT), port("metrics", METRICS_PORT)]),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Child::new(Kind::Service, &service)
}

/// The zone of the modules. Pods that are not ready are in it too: on the Docker network a container is, and two modules that wait
/// for each other's names would never become ready.
pub(super) fn modules_service(valid: &ValidDeployment) -> Child {
    let service = Service {
        metadata: metadata(valid, &valid.names.modules_service(), Part::Component(Component::Module)),
        spec: Some(ServiceSpec {
            selector: Some(labels::module_selector(valid.names.deployment())),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Child::new(Kind::Service, &service)
}

/// The name `edgehub` in the zone of the modules.
pub(super) fn hub_name(valid: &ValidDeployment, address: IpAddr) -> Child {
    let zone = valid.names.modules_service();
    let mut metadata = metadata(valid, &format!("{}-{HUB_NAME}", valid.names.deployment()), Part::Component(Component::Hub));
    metadata.labels.get_or_insert_default().extend([
        ("kubernetes.io/service-name".to_owned(), zone),
        ("endpointslice.kubernetes.io/managed-by".to_owned(), labels::MANAGER.to_owned()),
    ]);
    let slice = EndpointSlice {
        metadata,
        address_type: if address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned(),
        endpoints: vec![Endpoint {
            addresses: vec![address.to_string()],
            hostname: Some(HUB_NAME.to_owned()),
            conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
            ..Endpoint::default()
        }],
        ports: None,
    };
    Child::new(Kind::EndpointSlice, &slice)
}

/// The ports that a module publishes; none: no Service.
pub(super) fn published(valid: &ValidDeployment, module: &ValidModule) -> Option<Child> {
    let bindings = &module.options.port_bindings;
    if bindings.is_empty() {
        return None;
    }
    let ports = bindings.iter().map(|binding| {
        let protocol = binding.container.protocol.as_str();
        ServicePort {
            name: Some(format!("{}-{}", protocol.to_ascii_lowercase(), binding.published)),
            port: i32::from(binding.published),
            target_port: Some(IntOrString::Int(i32::from(binding.container.number))),
            protocol: Some(protocol.to_owned()),
            ..ServicePort::default()
        }
    });
    let service = Service {
        metadata: metadata(valid, module.names.object_name(), Part::Module(module)),
        spec: Some(ServiceSpec {
            selector: Some(labels::one_module_selector(valid.names.deployment(), &module.names)),
            ports: Some(ports.collect()),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Some(Child::new(Kind::Service, &service))
}

/// Port names of a container, and the number of each.
pub(super) fn container_ports() -> BTreeMap<&'static str, i32> {
    BTreeMap::from([("mqtts", MQTT_PORT), ("metrics", METRICS_PORT)])
}
