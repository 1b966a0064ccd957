//! Probes and metrics over HTTP: `/healthz`, `/readyz`, `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; one more waits.
const MAX_CONNECTIONS: usize = 16;
/// Time for one connection, from accept to close.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// What Prometheus reads.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the probes ask.
pub trait Health: Send + Sync + 'static {
    /// Why this process should be restarted, if it should.
    fn sickness(&self) -> Option<String>;
    /// Why it is not ready, if it is not.
    fn unreadiness(&self) -> Option<String>;
    /// The metrics' text.
    fn metrics(&self) -> String;
}

/// Serves for ever.
pub async fn serve(listener: TcpListener, health: Arc<impl Health>) -> Infallible {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { continue };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only burn the processor.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, health.as_ref());
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(CONNECTION_TIMEOUT)
                .keep_alive(false)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // A client that talks nonsense or leaves is its own affair.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, health: &impl Health) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is served\n".to_owned());
    }
    let probe = |problem: Option<String>| match problem {
        None => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        Some(problem) => text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{problem}\n")),
    };
    match request.uri().path() {
        "/healthz" => probe(health.sickness()),
        "/readyz" => probe(health.unreadiness()),
        "/metrics" => text(StatusCode::OK, METRICS_TYPE, health.metrics()),
        _ => text(StatusCode::NOT_FOUND, "text/plain", "there are /healthz, /readyz and /metrics\n".to_owned()),
    }
}

fn text(status: StatusCode, type_: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(type_));
    response
}

/// Opens the listener.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}
