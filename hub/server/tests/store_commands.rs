//! `edge-hub store inspect|verify`, as somebody types it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use edge_store::{Destination, Journal, JournalOptions};

fn store(command: &str, directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edge-hub")).args(["store", command]).arg(directory).output().unwrap()
}

#[tokio::test]
async fn the_store_is_inspected_and_verified_by_hand_and_damage_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("journal");
    let (journal, _) = Journal::open(&directory, JournalOptions::default()).unwrap();
    let destination = Destination::new("filter/in".parse().unwrap());
    journal.append(std::slice::from_ref(&destination), Bytes::from_static(b"one that will be damaged")).await.unwrap();
    journal.append(&[destination], Bytes::from_static(b"another")).await.unwrap();

    let refused = store("inspect", folder.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use by a running hub"), "{refused:?}");
    journal.close().await;

    let inspected = store("inspect", folder.path());
    assert!(inspected.status.success(), "{inspected:?}");
    let text = String::from_utf8(inspected.stdout).unwrap();
    let queue: Vec<_> = text.lines().find(|line| line.starts_with("filter/in")).unwrap().split_whitespace().collect();
    assert_eq!(queue[1], "2", "{text}");
    assert!(store("verify", &directory).status.success());

    let file = directory.join("00000.seg");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(4).position(|window| window == b"will").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let verified = store("verify", folder.path());
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("DAMAGE 00000.seg"), "{verified:?}");
    assert_eq!(store("verify", &folder.path().join("nothing")).status.code(), Some(1));
}
