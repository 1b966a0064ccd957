//! The files that say who the module is: a Secret mounted as a folder.
//!
//! ```text
//! <folder>/device-id  module-id  generation-id   text
//! <folder>/key        encryption-key             256 bits in base64
//! ```
//! The kubelet replaces such a folder as a whole, by pointing the link `..data` at a new one. We follow the link once per read,
//! so that all five files are of the same version. White space around a value is dropped: people make these files with `echo`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use edge_protocol::configuration::SymmetricKey;
use edge_protocol::identity::{DeviceId, ModuleName, NameError};

/// The link that the kubelet swaps.
const CURRENT_VERSION: &str = "..data";
/// Largest identity file in bytes; each holds a name or a key.
const MAX_FILE_BYTES: u64 = 4096;
/// Largest trust bundle in bytes: a ConfigMap holds no more.
const MAX_TRUST_BUNDLE_BYTES: u64 = 1024 * 1024;

/// Why a file of the identity, or the trust bundle, could not be used. Values never appear in it.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file is missing or unreadable.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than anything that belongs there.
    #[error("{path} has more than {limit} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The file is empty, or is not text.
    #[error("{path} is {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file holds something else than a device's or a module's name.
    #[error("{path} holds no valid name: {source}")]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NameError,
    },
}

/// Where the module's identity is kept.
#[derive(Clone, Debug)]
pub struct IdentityFolder(PathBuf);

/// The module, and its keys. `Debug` hides the keys.
#[derive(Debug)]
pub struct Identity {
    /// The edge device.
    pub device: DeviceId,
    /// The module that is served.
    pub module: ModuleName,
    /// Which of the module's lives this is: another one has other keys.
    pub generation: String,
    /// Signs tokens.
    pub key: SymmetricKey,
    /// Encrypts what the module wants to keep.
    pub encryption_key: SymmetricKey,
}

impl IdentityFolder {
    /// The folder at `path`; it is not looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Reads all five files, of one version.
    pub fn read(&self) -> Result<Identity, IdentityError> {
        let folder = std::fs::canonicalize(self.0.join(CURRENT_VERSION)).unwrap_or_else(|_| self.0.clone());
        let name = |file: &str| read_text(&folder.join(file), MAX_FILE_BYTES);
        Ok(Identity {
            device: name("device-id")?
                .parse()
                .map_err(|source| IdentityError::Name { path: folder.join("device-id"), source })?,
            module: name("module-id")?
                .parse()
                .map_err(|source| IdentityError::Name { path: folder.join("module-id"), source })?,
            generation: name("generation-id")?,
            key: SymmetricKey::from_base64(name("key")?),
            encryption_key: SymmetricKey::from_base64(name("encryption-key")?),
        })
    }
}

/// The certificates at `path` as PEM text; `None` where the file does not exist.
pub(super) fn read_trust_bundle(path: &Path) -> Result<Option<String>, IdentityError> {
    match read_text(path, MAX_TRUST_BUNDLE_BYTES) {
        // The SDKs take ASCII with at least one certificate, and fail strangely on anything else.
        Ok(text) if text.is_ascii() && text.contains("-----BEGIN CERTIFICATE-----") => Ok(Some(text + "\n")),
        Ok(_) => Err(IdentityError::Content { path: path.to_owned(), problem: "no list of certificates in PEM" }),
        Err(IdentityError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The text in `path`, without white space around it. Read on the spot: the files are small and their volume is memory.
fn read_text(path: &Path, limit: u64) -> Result<String, IdentityError> {
    let failed = |source| IdentityError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(IdentityError::TooLong { path: path.to_owned(), limit });
    }
    match std::str::from_utf8(&bytes).map(str::trim) {
        Ok("") => Err(IdentityError::Content { path: path.to_owned(), problem: "empty" }),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(IdentityError::Content { path: path.to_owned(), problem: "not text" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, IdentityFolder) {
        let folder = tempfile::tempdir().unwrap();
        write_version(folder.path(), "1");
        let identity = IdentityFolder::new(folder.path());
        (folder, identity)
    }

    fn write_version(folder: &Path, version: &str) {
        for (name, value) in [
            ("device-id", "line-7"),
            ("module-id", "filter"),
            ("generation-id", version),
            ("key", version),
            ("encryption-key", version),
        ] {
            std::fs::write(folder.join(name), format!("{value}\n")).unwrap();
        }
    }

    #[test]
    fn line_ends_around_a_value_are_dropped() {
        let (_folder, identity) = folder();
        let read = identity.read().unwrap();
        assert_eq!((read.module.as_str(), read.generation.as_str(), read.key.expose_base64()), ("filter", "1", "1"));
    }

    #[test]
    fn all_files_come_from_the_version_that_the_link_names() {
        let (folder, identity) = folder();
        let newer = folder.path().join("..2026");
        std::fs::create_dir(&newer).unwrap();
        write_version(&newer, "2");
        std::os::unix::fs::symlink("..2026", folder.path().join(CURRENT_VERSION)).unwrap();
        let read = identity.read().unwrap();
        assert_eq!((read.generation.as_str(), read.key.expose_base64()), ("2", "2"));
    }

    #[test]
    fn a_missing_long_empty_or_binary_file_is_named_and_not_quoted() {
        let (folder, identity) = folder();
        let path = folder.path().join("key");
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(identity.read().unwrap_err().to_string().ends_with("key has more than 4096 bytes"));
        std::fs::write(&path, b"\n").unwrap();
        assert!(identity.read().unwrap_err().to_string().ends_with("key is empty"));
        std::fs::write(&path, b"\xff").unwrap();
        assert!(identity.read().unwrap_err().to_string().ends_with("key is not text"));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(identity.read(), Err(IdentityError::Read { .. })));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let (folder, identity) = folder();
        std::fs::write(folder.path().join("module-id"), "a/b").unwrap();
        assert!(matches!(identity.read(), Err(IdentityError::Name { .. })));
    }

    #[test]
    fn a_trust_bundle_holds_certificates_or_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        assert!(read_trust_bundle(&path).unwrap().is_none());
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(read_trust_bundle(&path).unwrap().is_some());
        for text in ["", "ä -----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----"] {
            std::fs::write(&path, text).unwrap();
            assert!(read_trust_bundle(&path).is_err(), "{text}");
        }
    }
}
