//! A module's identity on disk, the server in this process, and a client that sends exactly the bytes it is given.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edge_hub::workload::{Api, IdentityFolder, Socket, serve};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// The module's key, before base64.
pub(crate) const KEY: [u8; 32] = [7; 32];
pub(crate) const MODULE: &str = "filter";
pub(crate) const GENERATION: &str = "g1";
/// Only the frame of a certificate: whoever serves it does not look inside.
pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";

/// The files of one module.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(files.identity()).unwrap();
        std::fs::write(files.trust_bundle(), PEM).unwrap();
        for (name, value) in [("device-id", "line-7"), ("module-id", MODULE), ("generation-id", GENERATION)] {
            files.write(name, value);
        }
        files.write("key", &STANDARD.encode(KEY));
        files.write("encryption-key", &STANDARD.encode([9; 32]));
        files
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.0.path().join("identity")
    }

    pub(crate) fn trust_bundle(&self) -> PathBuf {
        self.0.path().join("ca.crt")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.path().join("workload.sock")
    }

    pub(crate) fn write(&self, name: &str, value: &str) {
        std::fs::write(self.identity().join(name), value).unwrap();
    }
}

/// The server, for as long as this lives.
pub(crate) struct Served {
    pub(crate) files: Files,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) fn start() -> Self {
        let files = Files::new();
        let socket = Socket::bind(&files.socket()).unwrap();
        let api = Api::new(IdentityFolder::new(files.identity()), files.trust_bundle());
        let task = tokio::spawn(async move { match serve(&socket, api).await {} });
        Self { files, task }
    }

    pub(crate) async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.files.socket()).await.unwrap()
    }

    /// Sends `request` as it stands and reads to the end, as the most demanding SDK does.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        ask(&self.files.socket(), request).await
    }

    /// A POST with a JSON body and nothing special.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(&post(path, body)).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) async fn ask(socket: &Path, request: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    Answer::read(stream).await
}

/// An answer, taken apart as strictly as the strictest SDK does.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Answer {
    /// Reads until the server ends the connection.
    pub(crate) async fn read(mut stream: UnixStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.is_ascii(), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status_line: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let [_, status, reason] = status_line[..] else { panic!("a status line has three words: {status_line:?}") };
        let headers: Vec<(String, String)> =
            lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
        let answer = Self { status: status.parse().unwrap(), reason: reason.to_owned(), headers, body: Value::Null };
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()), "{text}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{text}");
        assert_eq!(answer.header("transfer-encoding"), None, "{text}");
        assert!(!body.contains('\n') && !body.contains('\r'), "{body}");
        Self { body: serde_json::from_str(body).unwrap(), ..answer }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap()
    }
}
