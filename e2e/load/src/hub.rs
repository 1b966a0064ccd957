//! A module's connection to its hub, opened as a device SDK would.

use std::time::Duration;

use bytes::Bytes;
use edge_mqtt::{Connect, Connection, Endpoint};

use crate::workload::{self, Environment};

/// The hub's port, which SDKs do not let anybody choose either.
const MQTT_PORT: u16 = 8883;
/// What a hub gets to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the hub shall remember of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// Nothing.
    Clean,
    /// Our subscriptions.
    Kept,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Workload(#[from] workload::Error),
    #[error(transparent)]
    Tls(#[from] edge_mqtt::TlsError),
    #[error(transparent)]
    Mqtt(#[from] edge_mqtt::Error),
}

/// Asks the workload API for certificates and a token, and connects with them.
pub(crate) async fn open(environment: &Environment, session: Session) -> Result<Connection, Error> {
    let trust = environment.trust_bundle().await?;
    let token = environment.token().await?;
    let Environment { device_id, module_id, iothub_hostname, gateway_hostname, .. } = environment;
    let connect = Connect {
        endpoint: Endpoint {
            host: gateway_hostname.clone(),
            port: MQTT_PORT,
            tls: Some(edge_mqtt::client_config(trust.as_bytes())?),
        },
        client_id: format!("{device_id}/{module_id}"),
        username: Some(format!("{iothub_hostname}/{device_id}/{module_id}/?api-version=2018-06-30")),
        password: Some(Bytes::from(token)),
        keep_alive: Duration::from_mins(1),
        clean_session: session == Session::Clean,
        timeout: PATIENCE,
    };
    Ok(connect.open().await?)
}
