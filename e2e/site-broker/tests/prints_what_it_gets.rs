//! The broker as a process: what a client publishes is printed, and who may connect is checked.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use edge_mqtt::{Connect, Connection, Endpoint, Event};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    port: u16,
    child: Child,
    printed: Lines<BufReader<ChildStdout>>,
}

fn start(arguments: &[&str]) -> Running {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_edge-site-broker"))
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let printed = BufReader::new(child.stdout.take().unwrap()).lines();
    Running { port, child, printed }
}

impl Running {
    /// Connects as soon as the broker listens.
    async fn connect(&self, login: Option<(&str, &'static str)>) -> Result<Connection, edge_mqtt::Error> {
        let connect = Connect {
            endpoint: Endpoint { host: "127.0.0.1".to_owned(), port: self.port, tls: None },
            client_id: "edge-line-7".to_owned(),
            username: login.map(|(name, _)| name.to_owned()),
            password: login.map(|(_, password)| Bytes::from_static(password.as_bytes())),
            keep_alive: Duration::from_secs(30),
            clean_session: true,
            timeout: Duration::from_secs(5),
        };
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        connect.open().await
    }
}

#[tokio::test]
async fn every_message_is_printed_in_the_order_in_which_it_came() {
    const MESSAGES: usize = 1000;
    let work = async {
        let mut broker = start(&[]);
        let mut client = broker.connect(None).await.unwrap();
        // More than the printer is handed in one go, in steps of a client's window.
        for number in 0..MESSAGES {
            client.publish("edge/line-7/sensor/out", format!("{{\"sequence\":{number}}}").as_bytes(), false).unwrap();
            if number % 50 == 49 {
                while client.in_flight() > 0 {
                    assert!(matches!(client.next().await.unwrap(), Event::PubAck(_)));
                }
            }
        }
        for number in 0..MESSAGES {
            let line = broker.printed.next_line().await.unwrap().unwrap();
            assert_eq!(line, format!("{{\"payload\":{{\"sequence\":{number}}},\"topic\":\"edge/line-7/sensor/out\"}}"));
        }
    };
    timeout(PATIENCE, work).await.unwrap();
}

#[tokio::test]
async fn only_users_in_the_file_may_connect() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "edge:right\n").unwrap();
    let work = async {
        let broker = start(&["--users", users.to_str().unwrap()]);
        assert!(broker.connect(Some(("edge", "wrong"))).await.is_err());
        assert!(broker.connect(None).await.is_err());
        assert!(broker.connect(Some(("edge", "right"))).await.is_ok());
    };
    timeout(PATIENCE, work).await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_and_not_a_silent_wait() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let output = timeout(PATIENCE, Command::new(env!("CARGO_BIN_EXE_edge-site-broker")).args(["--listen", &listen]).output());
    let output = output.await.unwrap().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("failed to listen"), "{output:?}");
}

#[tokio::test]
async fn sigterm_ends_it_at_once_and_well() {
    let work = async {
        let mut broker = start(&[]);
        drop(broker.connect(None).await.unwrap());
        let pid = broker.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        assert!(broker.child.wait().await.unwrap().success());
    };
    timeout(PATIENCE, work).await.unwrap();
}
