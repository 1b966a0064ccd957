//! Every way to be refused, with the status that IoT Edge gives and a message that says what is wrong.

mod workload_support;

use workload_support::{Served, post};

const SIGN: &str = "/modules/filter/genid/g1/sign?api-version=2018-06-28";
const ENCRYPT: &str = "/modules/filter/genid/g1/encrypt?api-version=2018-06-28";
const DECRYPT: &str = "/modules/filter/genid/g1/decrypt?api-version=2018-06-28";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[tokio::test]
async fn each_mistake_has_its_status_and_its_message() {
    let served = Served::start();
    let xml = format!("POST {SIGN} HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>");
    let data = r#"{"data":"AA=="}"#;
    let cases = [
        (get("/trust-bundle"), 400, "api-version not specified"),
        (get("/trust-bundle?api-version=2017-01-01"), 400, "\"2017-01-01\" is not known"),
        (get("/nowhere?api-version=2018-06-28"), 404, "not found"),
        (get("/modules?api-version=2018-06-28"), 404, "Kubernetes"),
        (post("/modules/filter/certificate/identity?api-version=2018-06-28", "{}"), 404, "certificates"),
        (post("/modules/filter/genid/g1/certificate/server?api-version=2018-06-28", "{}"), 404, "certificates"),
        (get(SIGN), 400, "method not allowed"),
        (post("/trust-bundle?api-version=2018-06-28", "{}"), 400, "method not allowed"),
        (format!("DELETE {SIGN} HTTP/1.1\r\nHost: x\r\n\r\n"), 400, "method not allowed"),
        (post(SIGN, ""), 400, "missing request body"),
        (xml, 400, "Content-Type"),
        (post(SIGN, "{"), 422, "is not JSON: line 1 column 1"),
        (post(SIGN, "{}"), 422, "is not of the form"),
        (post(SIGN, "[1]"), 422, "is not of the form"),
        (post(SIGN, r#"{"data":1}"#), 422, "is not of the form"),
        (post(SIGN, r#"{"data":"%"}"#), 400, "data is not base64"),
        (post(SIGN, r#"{"data":"AA==","algo":"MD5"}"#), 400, "algo"),
        (post(ENCRYPT, r#"{"plaintext":"AA==","initializationVector":""}"#), 400, "initializationVector is empty"),
        (post(DECRYPT, r#"{"ciphertext":"AA==","initializationVector":"AA=="}"#), 400, "cannot be decrypted"),
        (post("/modules/other/genid/g1/sign?api-version=2018-06-28", data), 403, "another module"),
        (post("/modules/FILTER/genid/g1/sign?api-version=2018-06-28", data), 403, "another module"),
        (post("/modules/filter/genid/g0/sign?api-version=2018-06-28", data), 404, "generation id"),
    ];
    for (request, status, message) in cases {
        let answer = served.ask(&request).await;
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        assert!(answer.message().contains(message), "{request}: {answer:?}");
    }
}

#[tokio::test]
async fn a_missing_trust_bundle_is_not_found() {
    let served = Served::start();
    let _ = std::fs::remove_file(served.files.trust_bundle());
    let answer = served.ask(&get("/trust-bundle?api-version=2018-06-28")).await;
    assert_eq!((answer.status, answer.message()), (404, "there is no trust bundle"));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_our_fault_and_is_named_without_its_content() {
    let served = Served::start();
    served.files.write("key", "not base64 and secret");
    let answer = served.post(SIGN, r#"{"data":"AA=="}"#).await;
    assert_eq!((answer.status, answer.message()), (500, "the module's key is unusable"));
    served.files.write("generation-id", "");
    let answer = served.post(SIGN, r#"{"data":"AA=="}"#).await;
    assert_eq!(answer.status, 500);
    assert!(answer.message().ends_with("generation-id is empty"), "{answer:?}");
}
