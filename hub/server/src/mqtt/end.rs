//! How a connection ends, and what is said about it.

use crate::metrics::EndReason;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the client said DISCONNECT")]
    Disconnect,
    #[error("the client closed the connection")]
    Closed(#[source] edge_mqtt::Error),
    #[error("the client was silent, or read nothing, for one and a half times its keep-alive")]
    KeepAlive,
    #[error("the client's token has expired; it may connect again with a new one")]
    TokenExpired,
    #[error("a newer connection of the same client took over, or its identity was removed")]
    TakenOver,
    #[error("the client broke the protocol: {0}")]
    Protocol(String),
    #[error("the disk refuses: {0}")]
    Storage(String),
    #[error("the hub stops")]
    Shutdown,
}

impl End {
    pub(crate) fn reason(&self) -> EndReason {
        match self {
            Self::Disconnect => EndReason::disconnect,
            Self::Closed(_) => EndReason::closed,
            Self::KeepAlive => EndReason::keep_alive,
            Self::TokenExpired => EndReason::token_expired,
            Self::TakenOver => EndReason::taken_over,
            Self::Protocol(_) => EndReason::protocol,
            Self::Storage(_) => EndReason::storage,
            Self::Shutdown => EndReason::shutdown,
        }
    }
}

impl From<edge_mqtt::Error> for End {
    fn from(error: edge_mqtt::Error) -> Self {
        Self::Closed(error)
    }
}
