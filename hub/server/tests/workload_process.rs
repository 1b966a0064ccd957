//! The program: how it starts, waits and ends, and what its log gives away.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod workload_support;

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use workload_support::{Files, KEY, ask, post};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);
const SIGN: &str = "/modules/filter/genid/g1/sign?api-version=2018-06-28";

fn serve(files: &Files) -> Child {
    Command::new(env!("CARGO_BIN_EXE_edge-workload"))
        .arg("serve")
        .arg("--socket")
        .arg(files.socket())
        .arg("--identity")
        .arg(files.identity())
        .arg("--trust-bundle")
        .arg(files.trust_bundle())
        .env("LOG_LEVEL", "Debug")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn wait(files: &Files, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-workload"));
    command.arg("wait").arg("--socket").arg(files.socket()).arg("--trust-bundle").arg(files.trust_bundle()).args(arguments);
    timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

async fn end(child: Child) -> Output {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}

/// A hub as far as a handshake goes, and the certificate that vouches for it.
async fn hub(name: &str, trust_bundle: &Path) -> u16 {
    let certificate = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(trust_bundle, certificate.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

#[tokio::test]
async fn it_serves_until_sigterm_and_takes_its_socket_away() {
    let files = Files::new();
    // A stale file, as a crash leaves it.
    drop(std::os::unix::net::UnixListener::bind(files.socket()).unwrap());
    let server = serve(&files);
    assert!(wait(&files, &["--timeout", "20s"]).await.status.success());
    assert_eq!(ask(&files.socket(), &post(SIGN, r#"{"data":"c2VjcmV0"}"#)).await.status, 200);
    assert_eq!(ask(&files.socket(), &post(SIGN, "c2VjcmV0")).await.status, 422);
    // A client that is in the middle of its request does not hold it up.
    let half = tokio::net::UnixStream::connect(files.socket()).await.unwrap();
    let output = end(server).await;
    drop(half);
    assert!(output.status.success(), "{output:?}");
    assert!(!files.socket().exists());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("serving the workload API") && log.contains("\"status\":422"), "{log}");
    for secret in [STANDARD.encode(KEY), STANDARD.encode([9; 32]), "c2VjcmV0".to_owned()] {
        assert!(!log.contains(&secret), "{log}");
    }
}

#[tokio::test]
async fn an_identity_that_is_incomplete_ends_it_with_the_name_of_the_file() {
    let files = Files::new();
    std::fs::remove_file(files.identity().join("encryption-key")).unwrap();
    let output = timeout(PATIENCE, serve(&files).wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("encryption-key"), "{output:?}");
}

#[tokio::test]
async fn waiting_fails_when_nothing_answers_on_the_socket() {
    let files = Files::new();
    let output = wait(&files, &["--timeout", "300ms"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not answer within 300ms"), "{output:?}");
}

#[tokio::test]
async fn waiting_ends_well_once_the_hub_shows_a_certificate_for_its_name() {
    let files = Files::new();
    let port = hub("localhost", &files.trust_bundle()).await;
    let _server = serve(&files);
    let output = wait(&files, &["--timeout", "20s", "--hub", &format!("localhost:{port}")]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the module may start"), "{output:?}");
}

#[tokio::test]
async fn a_hub_with_another_name_or_none_at_all_is_given_up_without_failing() {
    let files = Files::new();
    let port = hub("another", &files.trust_bundle()).await;
    let _server = serve(&files);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (hub, reason) in [(format!("localhost:{port}"), "certificate"), (format!("localhost:{closed}"), "refused")] {
        let output = wait(&files, &["--timeout", "1s", "--hub", &hub]).await;
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(log.contains("starts without its hub") && log.contains(reason), "{log}");
    }
}
