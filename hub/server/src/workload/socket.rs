//! The unix socket: put in place whole, open to every user of the pod, and taken away at the end.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Anyone in the pod may connect: modules run as users that we do not know.
const MODE: u32 = 0o666;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It could not be made.
    #[error("failed to listen on {path}: {source}")]
    Listen {
        /// Where it should have been.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path names no file.
    #[error("{path} is not the path of a socket")]
    Path {
        /// What was given.
        path: PathBuf,
    },
}

/// A listening socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens on `path`, in place of whatever an earlier process left there.
    ///
    /// The socket is made beside its path and then renamed: a client never sees one that is missing, closed to it, or not listening.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let name = path.file_name().ok_or_else(|| SocketError::Path { path: path.to_owned() })?;
        let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
        let listen = || {
            // Process ids come again; in a pod they are even always the same.
            match std::fs::remove_file(&beside) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&beside)?;
            std::fs::set_permissions(&beside, Permissions::from_mode(MODE))?;
            std::fs::rename(&beside, path)?;
            Ok(listener)
        };
        match listen() {
            Ok(listener) => Ok(Self { listener, path: path.to_owned() }),
            Err(source) => Err(SocketError::Listen { path: path.to_owned(), source }),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Best effort: the next process replaces it anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_anyone_may_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workload.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_folder_that_is_missing_is_named() {
        let error = Socket::bind(Path::new("/nowhere/workload.sock")).unwrap_err();
        assert!(error.to_string().starts_with("failed to listen on /nowhere/workload.sock"), "{error}");
        assert!(matches!(Socket::bind(Path::new("/")), Err(SocketError::Path { .. })));
    }
}
