//! Clients that are slow, large, many or rude. Time is paused: a limit of seconds passes as soon as everybody waits.

mod workload_support;

use std::time::Duration;

use edge_hub::workload::{BODY_TIME, CONNECTION_TIME, HEAD_TIME, MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_HEAD_BYTES, MAX_HEADERS};
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use workload_support::{Answer, PEM, Served, post};

const SIGN: &str = "/modules/filter/genid/g1/sign?api-version=2018-06-28";
const ENCRYPT: &str = "/modules/filter/genid/g1/encrypt?api-version=2018-06-28";
const BUNDLE: &str = "GET /trust-bundle?api-version=2018-06-28 HTTP/1.1\r\nHost: x\r\n\r\n";

/// Has `limit` passed since `start`, and no more than the rounding of a timer beyond it?
fn assert_took(start: Instant, limit: Duration) {
    let took = start.elapsed();
    assert!(took >= limit && took < limit + Duration::from_millis(100), "{took:?} instead of {limit:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_answered_408() {
    let served = Served::start();
    let start = Instant::now();
    let request = format!("POST {SIGN} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{{\"data");
    let answer = served.ask(&request).await;
    assert_eq!((answer.status, answer.reason.as_str()), (408, "RequestTimeout"), "{answer:?}");
    assert_took(start, BODY_TIME);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_the_connection() {
    let served = Served::start();
    for half in ["", "GET /trust", "GET /trust-bundle HTTP/1.1\r\nHost:"] {
        let start = Instant::now();
        let mut stream = served.connect().await;
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{half}");
        assert_took(start, HEAD_TIME);
    }
}

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_answered_413() {
    let served = Served::start();
    let frame = r#"{"plaintext":"","initializationVector":"AA=="}"#.len();
    let body = |length: usize| {
        let text = "A".repeat((length - frame) / 4 * 4);
        let json = format!(r#"{{"plaintext":"{text}","initializationVector":"AA=="}}"#);
        format!("{json}{}", " ".repeat(length - json.len()))
    };
    assert_eq!(served.post(ENCRYPT, &body(MAX_BODY_BYTES)).await.status, 200);
    let declared = served.post(ENCRYPT, &body(MAX_BODY_BYTES + 1)).await;
    assert_eq!((declared.status, declared.reason.as_str()), (413, "PayloadTooLarge"));
    // Without a declared length the limit is found while reading.
    let chunk = "A".repeat(MAX_BODY_BYTES + 1);
    let request = format!(
        "POST {ENCRYPT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    );
    assert_eq!(served.ask(&request).await.status, 413);
}

#[tokio::test]
async fn heads_that_are_too_long_or_no_http_are_refused_and_the_next_client_is_served() {
    let served = Served::start();
    let long = format!("GET /trust-bundle HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
    let many = format!("GET /trust-bundle HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
    for rude in
        [long.as_str(), &many, "\x16\x03\x01\x02\x00\x01", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\0\r\n\r\n"]
    {
        let mut stream = served.connect().await;
        stream.write_all(rude.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an answer too: there was more to read than we care for.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(served.ask(BUNDLE).await.status, 200);
    }
}

#[tokio::test]
async fn as_many_clients_as_there_are_places_are_served_at_once() {
    let served = Served::start();
    let answers = join_all((0..MAX_CONNECTIONS).map(|_| served.post(SIGN, r#"{"data":"AA=="}"#))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test(start_paused = true)]
async fn a_client_beyond_the_last_place_waits_until_silent_ones_are_cut() {
    let served = Served::start();
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        silent.push(served.connect().await);
    }
    let start = Instant::now();
    assert_eq!(served.ask(BUNDLE).await.status, 200);
    assert_took(start, HEAD_TIME);
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_in_every_place_delay_another_request_and_do_not_stop_it() {
    let served = Served::start();
    let mut slow = Vec::new();
    for _ in 0..edge_hub::workload::MAX_BODIES {
        let mut stream = served.connect().await;
        let head = format!("POST {SIGN} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(served.ask(BUNDLE).await.status, 200, "what has no body needs no place");
    let waiting = served.post(SIGN, r#"{"data":"AA=="}"#);
    assert!(matches!(waiting.await.status, 200 | 408));
    for stream in slow {
        assert_eq!(Answer::read(stream).await.status, 408);
    }
    assert_eq!(served.post(SIGN, r#"{"data":"AA=="}"#).await.status, 200);
}

#[tokio::test]
async fn a_second_request_on_the_same_connection_is_not_answered() {
    let served = Served::start();
    // `ask` reads one answer up to the end of the connection, and its length has to fit.
    let answer = served.ask(&format!("{BUNDLE}{BUNDLE}")).await;
    assert_eq!(answer.header("connection"), Some("close"));
    let answer = served.ask(&format!("{}{BUNDLE}", post(SIGN, r#"{"data":"AA=="}"#))).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_its_answer_is_cut() {
    let served = Served::start();
    // More than the socket's buffers hold, so that the server cannot finish writing.
    std::fs::write(served.files.trust_bundle(), PEM.repeat(1024 * 1024 / PEM.len())).unwrap();
    let start = Instant::now();
    let mut stream = served.connect().await;
    stream.write_all(BUNDLE.as_bytes()).await.unwrap();
    // Only the end of the connection makes it unwritable.
    while stream.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_took(start, CONNECTION_TIME);
}
