//! The small state: durable, ordered, and honest about what was lost.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use edge_store::{Opening, StateError, StateStore, Table};
use tempfile::TempDir;

const SESSIONS: Table = Table::named("sessions");
type Damage = fn(&mut Vec<u8>);

const OTHER: Table = Table::named("other");

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("state.redb")
}

#[tokio::test]
async fn what_was_put_is_there_after_a_restart_and_so_is_the_epoch() {
    let directory = TempDir::new().unwrap();
    let (store, opening) = StateStore::open(&file(&directory)).unwrap();
    assert_eq!(opening, Opening::Created);
    store.put(SESSIONS, "b", Bytes::from_static(b"2")).await.unwrap();
    store.put(SESSIONS, "a", Bytes::from_static(b"1")).await.unwrap();
    store.put(SESSIONS, "c", Bytes::from_static(b"3")).await.unwrap();
    store.delete(SESSIONS, "c").await.unwrap();
    store.put(OTHER, "a", Bytes::from_static(b"not a session")).await.unwrap();
    let epoch = store.epoch().to_owned();
    assert_eq!(epoch.len(), 32);
    store.close().await;
    assert_eq!(store.get(SESSIONS, "a").await, Err(StateError::Closed));

    let (store, opening) = StateStore::open(&file(&directory)).unwrap();
    assert_eq!(opening, Opening::Found);
    assert_eq!(store.epoch(), epoch);
    assert_eq!(store.get(SESSIONS, "a").await.unwrap(), Some(Bytes::from_static(b"1")));
    assert_eq!(store.get(SESSIONS, "c").await.unwrap(), None);
    let all = store.load_all(SESSIONS).await.unwrap();
    assert_eq!(all, [("a".to_owned(), Bytes::from_static(b"1")), ("b".to_owned(), Bytes::from_static(b"2"))]);
    assert_eq!(store.load_all(Table::named("never used")).await.unwrap(), []);
}

#[tokio::test]
async fn many_puts_at_once_are_applied_in_the_order_of_the_calls() {
    let directory = TempDir::new().unwrap();
    let (store, _) = StateStore::open(&file(&directory)).unwrap();
    let puts = (0..200_u32).map(|number| {
        let store = store.clone();
        async move { store.put(SESSIONS, "key", Bytes::from(number.to_string())).await }
    });
    let mut tasks = Vec::new();
    for put in puts {
        tasks.push(tokio::spawn(put));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.get(SESSIONS, "key").await.unwrap(), Some(Bytes::from_static(b"199")));
}

#[tokio::test]
async fn a_missing_file_means_a_new_epoch() {
    let directory = TempDir::new().unwrap();
    let (store, _) = StateStore::open(&file(&directory)).unwrap();
    let epoch = store.epoch().to_owned();
    store.close().await;
    fs::remove_file(file(&directory)).unwrap();
    let (store, opening) = StateStore::open(&file(&directory)).unwrap();
    assert_eq!(opening, Opening::Created);
    assert_ne!(store.epoch(), epoch);
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_epoch_is_new() {
    let damages: [(&str, Damage); 4] = [
        ("garbage", |bytes| bytes.fill(b'x')),
        ("cut short", |bytes| bytes.truncate(bytes.len() / 3)),
        ("zeros", |bytes| bytes.fill(0)),
        ("all pages flipped", |bytes| bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0xff)),
    ];
    for (what, damage) in damages {
        let directory = TempDir::new().unwrap();
        let (store, _) = StateStore::open(&file(&directory)).unwrap();
        for number in 0..50 {
            store.put(SESSIONS, &format!("client-{number}"), Bytes::from(vec![7; 500])).await.unwrap();
        }
        let epoch = store.epoch().to_owned();
        store.close().await;
        let mut bytes = fs::read(file(&directory)).unwrap();
        damage(&mut bytes);
        fs::write(file(&directory), &bytes).unwrap();

        let (store, opening) = StateStore::open(&file(&directory)).unwrap();
        let Opening::Replaced { damaged, .. } = opening else { panic!("{what}: {opening:?}") };
        assert_eq!(fs::read(damaged).unwrap(), bytes, "{what}: kept for whoever wants to look");
        assert_ne!(store.epoch(), epoch, "{what}");
        assert_eq!(store.load_all(SESSIONS).await.unwrap(), [], "{what}");
        store.put(SESSIONS, "a", Bytes::new()).await.unwrap();
    }
}

#[tokio::test]
async fn no_flipped_byte_changes_what_is_read_unnoticed() {
    let directory = TempDir::new().unwrap();
    let (store, _) = StateStore::open(&file(&directory)).unwrap();
    for number in 0..20 {
        store.put(SESSIONS, &format!("client-{number}"), Bytes::from(vec![number; 300])).await.unwrap();
    }
    let (epoch, all) = (store.epoch().to_owned(), store.load_all(SESSIONS).await.unwrap());
    store.close().await;
    let good = fs::read(file(&directory)).unwrap();
    for at in (0..good.len()).step_by(good.len() / 97) {
        let directory = TempDir::new().unwrap();
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        fs::write(file(&directory), &bytes).unwrap();
        match StateStore::open(&file(&directory)) {
            Ok((store, Opening::Found)) => {
                assert_eq!(store.epoch(), epoch, "byte {at}");
                assert_eq!(store.load_all(SESSIONS).await.unwrap(), all, "byte {at}");
            }
            Ok((store, _)) => assert_ne!(store.epoch(), epoch, "byte {at}"),
            // Another format's number, for instance: refused, and left for a person to decide.
            Err(error) => assert!(matches!(error, StateError::Open { .. }), "byte {at}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_second_process_is_kept_out_and_nothing_is_set_aside() {
    let directory = TempDir::new().unwrap();
    let (store, _) = StateStore::open(&file(&directory)).unwrap();
    assert!(matches!(StateStore::open(&file(&directory)), Err(StateError::Open { .. })));
    store.put(SESSIONS, "a", Bytes::new()).await.unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn keys_and_values_are_bounded() {
    let directory = TempDir::new().unwrap();
    let (store, _) = StateStore::open(&file(&directory)).unwrap();
    let refused = store.put(SESSIONS, &"k".repeat(1025), Bytes::new()).await;
    assert_eq!(refused, Err(StateError::TooLarge { table: "sessions", what: "key", bytes: 1025, max_bytes: 1024 }));
    let refused = store.put(SESSIONS, "k", Bytes::from(vec![0; 1024 * 1024 + 1])).await;
    assert!(matches!(refused, Err(StateError::TooLarge { what: "value", .. })));
    store.put(SESSIONS, &"k".repeat(1024), Bytes::from(vec![0; 1024 * 1024])).await.unwrap();
}
