//! Requests byte by byte as the IoT SDKs write them, over a real socket.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod workload_support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;
use workload_support::{Answer, KEY, PEM, Served};

/// What every SDK sends to be signed: audience and expiry.
const SIGNED: &str = "line-7-edgehub%2Fdevices%2Fline-7%2Fmodules%2Ffilter\n1800000000";

fn sign_body() -> String {
    json!({"keyId": "primary", "algo": "HMACSHA256", "data": STANDARD.encode(SIGNED)}).to_string()
}

fn assert_signed(answer: &Answer) {
    assert_eq!((answer.status, answer.reason.as_str()), (200, "OK"), "{answer:?}");
    let digest = STANDARD.decode(answer.body["digest"].as_str().unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), SIGNED.as_bytes(), &digest).unwrap();
}

#[tokio::test]
async fn python_names_no_content_type_and_a_host_made_of_the_path() {
    let served = Served::start();
    let body = sign_body();
    let head = "Host: %2Frun%2Fedge%2Fworkload%2Fworkload.sock\r\nUser-Agent: azure-iot-device-iothub-py/2.14.0\r\n\
                Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n";
    let bundle = served.ask(&format!("GET /trust-bundle?api-version=2020-07-07 HTTP/1.1\r\n{head}\r\n")).await;
    assert_eq!((bundle.status, &bundle.body), (200, &json!({"certificate": PEM})));
    let signed = format!(
        "POST /modules/filter/genid/g1/sign?api-version=2020-07-07 HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_signed(&served.ask(&signed).await);
}

#[tokio::test]
async fn node_sends_an_old_version_and_its_own_headers() {
    let served = Served::start();
    let body = sign_body();
    let request = format!(
        "POST /modules/filter/genid/g1/sign?api-version=2018-06-28 HTTP/1.1\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nRequest-Id: 5f1e\r\nUser-Agent: azure-iot-device/1.18.4\r\n\
         Host: localhost\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_signed(&served.ask(&request).await);
}

#[tokio::test]
async fn csharp_adds_a_port_to_the_name_of_the_socket_and_asks_to_close() {
    let served = Served::start();
    let body = sign_body();
    let request = format!(
        "POST /modules/filter/genid/g1/sign?api-version=2018-06-28 HTTP/1.1\r\nHost: workload.sock:80\r\nConnection: close\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = served.ask(&request).await;
    assert_signed(&answer);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn java_writes_the_target_in_absolute_form_and_reads_to_the_end() {
    let served = Served::start();
    let body = sign_body();
    let request = format!(
        "POST http://workload.sock/modules/filter/genid/g1/sign?api-version=2018-06-28 HTTP/1.1\r\nHost: workload.sock\r\n\
         content-type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_signed(&served.ask(&request).await);
}

#[tokio::test]
async fn http_1_0_and_a_body_in_chunks_are_understood() {
    let served = Served::start();
    let old = served.ask("GET /trust-bundle?api-version=2018-06-28 HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status, 200);
    let (first, second) = (&sign_body()[..10], &sign_body()[10..]);
    let chunks = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    let request = format!(
        "POST /modules/filter/genid/g1/sign?api-version=2018-06-28 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
    );
    assert_signed(&served.ask(&request).await);
}

#[tokio::test]
async fn what_was_encrypted_is_decrypted_in_any_version() {
    let served = Served::start();
    let (plaintext, vector) = (STANDARD.encode("a secret"), STANDARD.encode("vector"));
    let body = json!({"plaintext": plaintext, "initializationVector": vector}).to_string();
    let sealed = served.post("/modules/filter/genid/g1/encrypt?api-version=2018-06-28", &body).await;
    assert_eq!(sealed.status, 200, "{sealed:?}");
    let again = served.post("/modules/filter/genid/g1/encrypt?api-version=2018-06-28", &body).await;
    assert_ne!(sealed.body["ciphertext"], again.body["ciphertext"], "each ciphertext has a nonce of its own");
    let body = json!({"ciphertext": sealed.body["ciphertext"], "initializationVector": vector}).to_string();
    let opened = served.post("/modules/filter/genid/g1/decrypt?api-version=2022-08-03", &body).await;
    assert_eq!((opened.status, &opened.body), (200, &json!({"plaintext": plaintext})));
}

#[tokio::test]
async fn a_percent_encoded_system_module_is_recognised() {
    let served = Served::start();
    served.files.write("module-id", "$edgeHub");
    let answer = served.post("/modules/%24edgeHub/genid/g1/sign?api-version=2018-06-28", &sign_body()).await;
    assert_signed(&answer);
}

#[tokio::test]
async fn a_rotated_key_is_used_at_once() {
    let served = Served::start();
    served.files.write("key", &STANDARD.encode([8; 32]));
    let answer = served.post("/modules/filter/genid/g1/sign?api-version=2018-06-28", &sign_body()).await;
    let digest = STANDARD.decode(answer.body["digest"].as_str().unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]), SIGNED.as_bytes(), &digest).unwrap();
}

#[tokio::test]
async fn there_is_no_manifest_trust_bundle_and_that_is_no_error() {
    let served = Served::start();
    let answer = served.ask("GET /manifest-trust-bundle?api-version=2022-08-03 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((answer.status, &answer.body), (200, &json!({"certificate": ""})));
}
