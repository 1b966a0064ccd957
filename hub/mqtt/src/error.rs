//! What can go wrong on a connection. Every one of these ends it.

use std::io;
use std::time::Duration;

/// Why a connection could not be opened or came to an end. Credentials are in none of the texts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of ours.
    #[error("{url:?} is not a broker's address: expected mqtt://host[:port] or mqtts://host[:port]")]
    Address {
        /// What was given, without user information.
        url: String,
    },
    /// The name in the address cannot be verified in a certificate.
    #[error("{host:?} is neither a DNS name nor an IP address, so no certificate can match it")]
    ServerName {
        /// The host of the address.
        host: String,
    },
    /// DNS, TCP or TLS.
    #[error("failed to connect to {host}:{port}")]
    Open {
        /// The host of the address.
        host: String,
        /// The port of the address.
        port: u16,
        /// Refused, unreachable, or a certificate that does not verify.
        source: io::Error,
    },
    /// Nothing within the time allowed.
    #[error("no CONNACK from {host}:{port} within {timeout:?}")]
    OpenTimeout {
        /// The host of the address.
        host: String,
        /// The port of the address.
        port: u16,
        /// The time allowed.
        timeout: Duration,
    },
    /// CONNACK with another code than 0.
    #[error("the server refused the connection with code {code}: {}", refusal(*code))]
    Refused {
        /// The code of the CONNACK, 1 to 5.
        code: u8,
    },
    /// The first packet was not a CONNACK, or a server sent what only a client may send.
    #[error("the server sent a packet that has no place here: {what}")]
    Unexpected {
        /// Kind of packet.
        what: &'static str,
    },
    /// Bytes that are no MQTT packet, or one over [`crate::MAX_PACKET_BYTES`].
    #[error("the server sent bytes that are not MQTT: {reason}")]
    Decode {
        /// The codec's word for it.
        reason: String,
    },
    /// A packet that cannot be written, such as a topic over 65,535 bytes.
    #[error("failed to encode a packet: {reason}")]
    Encode {
        /// The codec's word for it.
        reason: String,
    },
    /// All 65,535 packet identifiers are in use.
    #[error("65535 publishes are unacknowledged; wait for a PUBACK before publishing more")]
    NoPacketId,
    /// The peer closed the connection.
    #[error("the other side closed the connection")]
    Closed,
    /// The peer is silent.
    #[error("the server did not answer a ping within {waited:?}")]
    Silent {
        /// Time since the ping.
        waited: Duration,
    },
    /// Reading or writing failed.
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

const fn refusal(code: u8) -> &'static str {
    match code {
        1 => "protocol version not supported",
        2 => "client identifier rejected",
        3 => "server unavailable",
        4 => "bad user name or password",
        5 => "not authorized",
        _ => "unknown code",
    }
}
