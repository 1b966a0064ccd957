//! Who acts: elections among replicas, against an API server in memory and with the time in our hands.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(dead_code, reason = "the server in memory serves other tests too")]

mod support;

use std::time::Duration;

use edge_controller::lease::Candidate;
use support::Server;
use tokio::time::{Instant, timeout};

fn candidate(server: &Server, identity: &str) -> Candidate {
    Candidate::new(server.client(), "plant", identity)
}

fn holder(server: &Server) -> Option<String> {
    server.get("leases/edge-controller").unwrap()["spec"]["holderIdentity"].as_str().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn the_first_takes_the_lease_and_the_second_waits_while_it_is_renewed() {
    let server = Server::default();
    let (mut first, mut second) = (candidate(&server, "first"), candidate(&server, "second"));
    first.acquire().await;
    let holding = async { timeout(Duration::from_mins(5), first.hold()).await };
    let waiting = async { timeout(Duration::from_mins(5), second.acquire()).await };
    let (held, waited) = tokio::join!(holding, waiting);
    assert!(held.is_err() && waited.is_err(), "the one never loses it, the other never gets it");
    assert_eq!(holder(&server).as_deref(), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_given_back_is_taken_at_once_and_one_left_behind_after_its_time() {
    let server = Server::default();
    let mut first = candidate(&server, "first");
    first.acquire().await;
    first.release().await;
    assert_eq!(holder(&server), None);
    let mut second = candidate(&server, "second");
    second.acquire().await;
    drop(second);
    let begun = Instant::now();
    candidate(&server, "third").acquire().await;
    assert!(begun.elapsed() > Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(holder(&server).as_deref(), Some("third"));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_renew_stops_before_anybody_else_may_begin() {
    let server = Server::default();
    let mut first = candidate(&server, "first");
    first.acquire().await;
    server.go_silent();
    let begun = Instant::now();
    first.hold().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

/// The last renewal reached the server when it was sent; its answer came later, and that is no reason to act for longer.
#[tokio::test(start_paused = true)]
async fn a_holder_counts_its_time_from_when_the_last_renewal_was_sent() {
    let server = Server::default();
    let mut first = candidate(&server, "first");
    first.acquire().await;
    let begun = Instant::now();
    let holding = async {
        first.hold().await;
        begun.elapsed()
    };
    let breaking = async {
        // What is sent after two seconds is stored before the silence, and known to be stored after almost six.
        server.answer_after(Duration::from_millis(1900));
        tokio::time::sleep(Duration::from_secs(5)).await;
        server.go_silent();
    };
    let (stopped, ()) = tokio::join!(holding, breaking);
    assert!(stopped <= Duration::from_secs(12), "it acted for {stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_finds_another_in_its_place_stops() {
    let server = Server::default();
    let mut first = candidate(&server, "first");
    first.acquire().await;
    server.change("leases/edge-controller", |lease| {
        lease["spec"]["holderIdentity"] = "thief".into();
        lease["metadata"]["resourceVersion"] = "9".into();
    });
    timeout(Duration::from_secs(10), first.hold()).await.unwrap();
}
