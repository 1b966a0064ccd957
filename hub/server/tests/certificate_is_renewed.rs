//! TLS as modules see it: the names in the certificate count, and a new certificate needs no restart.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::time::Duration;

use edge_mqtt::Connect;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use support::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn write_certificate(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    }

    fn connect(&self, hub: &TestHub, module: &str) -> Connect {
        let mut connect = connect_to(hub.tls_address(), module);
        connect.endpoint.host = "localhost".into();
        connect.endpoint.tls = Some(edge_mqtt::client_config(self.0.pem().as_bytes()).unwrap());
        connect
    }
}

async fn hub_with_certificate_of(authority: &Authority) -> TestHub {
    TestHub::start_with_files(
        |folder| authority.write_certificate(folder, "localhost"),
        |hub| {
            hub["listeners"]["mqtt"] =
                json!({"address": "127.0.0.1:0", "certificateFile": "tls.crt", "privateKeyFile": "tls.key"});
            hub["routes"] = routes_json(&[SENSOR_TO_FILTER]);
        },
    )
    .await
}

#[tokio::test]
async fn a_module_reaches_the_hub_over_tls_and_a_stranger_to_the_ca_does_not() {
    let authority = Authority::new();
    let hub = hub_with_certificate_of(&authority).await;
    let mut sensor = authority.connect(&hub, "tempSensor").open().await.unwrap();
    publish(&mut sensor, &output_topic("tempSensor", ""), "x").await;
    assert!(Authority::new().connect(&hub, "tempSensor").open().await.is_err());
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_old_ones_stay() {
    let (old, new) = (Authority::new(), Authority::new());
    let hub = hub_with_certificate_of(&old).await;
    let mut sensor = old.connect(&hub, "tempSensor").open().await.unwrap();
    new.write_certificate(&hub.config(), "localhost");
    let renewed = async {
        while new.connect(&hub, "filter").open().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new certificate is used");
    publish(&mut sensor, &output_topic("tempSensor", ""), "on the old connection").await;
    assert!(old.connect(&hub, "filter").open().await.is_err());
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_and_the_old_one_serves() {
    let authority = Authority::new();
    let hub = hub_with_certificate_of(&authority).await;
    std::fs::write(hub.config().join("tls.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let refused = async {
        while hub.metric("edgehub_configuration_refused_total").await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the configuration is refused");
    authority.connect(&hub, "tempSensor").open().await.unwrap();
}
