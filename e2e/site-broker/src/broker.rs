//! Starts rumqttd and the subscriber that prints. Both run on threads of their own, since rumqttd blocks.

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use rumqttd::local::LinkRx;
use rumqttd::{Broker, Config, ConnectionSettings, Notification, RouterConfig, ServerSettings};
use tokio::sync::oneshot;

use crate::line;

/// Client id of the subscriber that prints. rumqttd wants no `/`, `+`, `#` or `$` in it.
const PRINTER: &str = "site-broker-printer";
/// Clients connected at once, the printer included. A site has a handful.
const MAX_CLIENTS: usize = 100;
/// Largest message in bytes: that of a hub, and room for its topic.
const MAX_PAYLOAD_BYTES: usize = 272 * 1024;
/// rumqttd keeps messages in memory until a segment is full and the oldest is dropped; bytes per segment.
const SEGMENT_BYTES: usize = 1024 * 1024;
/// Segments per topic filter. Times [`SEGMENT_BYTES`]: how far the printer may fall behind before it misses messages.
const SEGMENTS: usize = 10;
/// Time from connecting to CONNECT, in milliseconds.
const CONNECT_TIMEOUT_MS: u16 = 5000;
/// Messages sent to one client and not yet acknowledged.
const MAX_IN_FLIGHT: usize = 100;
/// Packets that the router hands to one client in one go.
const PACKETS_PER_TURN: u64 = 200;

/// Starts the broker; the receiver tells why it ended, should it ever.
pub(crate) fn start(
    listen: SocketAddr,
    users: Option<HashMap<String, String>>,
) -> Result<oneshot::Receiver<String>, Box<dyn std::error::Error>> {
    // rumqttd only logs when it cannot listen, and then waits for ever. So we try first.
    drop(TcpListener::bind(listen).map_err(|error| format!("failed to listen on {listen}: {error}"))?);
    let mut broker = Broker::new(configuration(listen, users));
    let (mut requests, messages) = broker.link(PRINTER)?;
    requests.subscribe("#")?;

    let (tell, stopped) = oneshot::channel();
    thread::Builder::new().name("broker".to_owned()).spawn(move || {
        let why = match broker.start() {
            Ok(()) => "rumqttd ended".to_owned(),
            Err(error) => format!("rumqttd ended: {error}"),
        };
        // The other side is gone only when the process ends anyway.
        let _ = tell.send(why);
    })?;
    thread::Builder::new().name("printer".to_owned()).spawn(move || {
        // The subscription lives as long as its sending half.
        let _requests = requests;
        print_messages(messages);
    })?;
    tracing::info!("listening on {listen}");
    Ok(stopped)
}

fn configuration(listen: SocketAddr, users: Option<HashMap<String, String>>) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: CONNECT_TIMEOUT_MS,
        max_payload_size: MAX_PAYLOAD_BYTES,
        max_inflight_count: MAX_IN_FLIGHT,
        auth: users,
        external_auth: None,
        // Subscribers may choose filters that nobody has used before.
        dynamic_filters: true,
    };
    let server = ServerSettings { name: "mqtt".to_owned(), listen, tls: None, next_connection_delay_ms: 1, connections };
    Config {
        router: RouterConfig {
            max_connections: MAX_CLIENTS,
            max_outgoing_packet_count: PACKETS_PER_TURN,
            max_segment_size: SEGMENT_BYTES,
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("mqtt".to_owned(), server)])),
        ..Config::default()
    }
}

fn print_messages(mut messages: LinkRx) {
    loop {
        match messages.recv() {
            Ok(Some(Notification::Forward(forward))) => {
                let line = line::render(&forward.publish.topic, &forward.publish.payload);
                let mut out = std::io::stdout().lock();
                if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
                    tracing::error!("failed to print a message: {error}");
                }
            }
            // The router pauses a link after a batch, until the link says that it has caught up.
            Ok(Some(Notification::Unschedule)) => {
                if let Err(error) = messages.ready() {
                    tracing::error!("the printer lost its broker: {error}");
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!("the printer lost its broker: {error}");
                return;
            }
        }
    }
}
