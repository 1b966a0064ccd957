//! Metrics and probes over HTTP: `/metrics`, `/healthz`, `/readyz`. Read-only, and nothing secret is in it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::hub::Hub;

/// Connections served at once: far more than a kubelet, a scraper or two and a person need.
const MAX_CONNECTIONS: usize = 64;
/// Time for the head of a request. A silent connection must not keep the kubelet's probe out.
const HEADER_BUDGET: Duration = Duration::from_secs(2);
/// Time for one connection, from accept to close.
const CONNECTION_BUDGET: Duration = Duration::from_secs(10);

/// Serves until the hub stops.
pub(crate) async fn serve(listener: TcpListener, hub: Arc<Hub>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = tokio::select! {
            () = hub.stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    crate::listener::pause_after(&error, "metrics").await;
                    continue;
                }
            },
        };
        // Over the limit the connection is closed: a probe is repeated, and must not queue behind strangers.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, &hub))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_BUDGET)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // Errors are the peer's: half a request, a reset.
            let _ended = tokio::time::timeout(CONNECTION_BUDGET, connection).await;
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, hub: &Hub) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
    }
    match request.uri().path() {
        "/metrics" => match hub.metrics_text() {
            Ok(body) => text(StatusCode::OK, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/healthz" => text(StatusCode::OK, "ok\n".into()),
        // Neither upstream nor disk: a hub that waits for space still serves its clients.
        "/readyz" if hub.serving() => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not listening yet, or stopping\n".into()),
        _ => text(StatusCode::NOT_FOUND, "metrics, healthz and readyz are here\n".into()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}
