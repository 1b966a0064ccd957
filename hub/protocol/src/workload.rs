//! The workload API: its documents, and the cryptography behind them. A module's sidecar serves it on a unix socket.
//!
//! # Encryption
//! AES-256-GCM. The key is derived (HKDF-SHA256) from the module's master key, with the caller's initialization vector as salt
//! and module id and generation id as context, so it is another for every vector, module and generation. The nonce is not
//! taken from the caller's vector, which callers are free to repeat, but is random and stands in the ciphertext:
//! ```text
//! format u8 = 1 | nonce, 12 bytes | AES-256-GCM(plaintext), tag last; authenticated with it: module id and generation id
//! ```
//! To callers the ciphertext is opaque; only the same module, in the same generation, with the same vector, gets it back.
//!
//! # Source
//! Documents: the workload API of IoT Edge 1.5. It ignores `keyId`; so do we, there is one key. Other algorithms than the one
//! it has are refused here: a signature of another kind than asked for would be a lie.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use serde::{Deserialize, Serialize};

use crate::configuration::SymmetricKey;
use crate::identity::ModuleName;
use crate::sas;

/// Largest body of a request. Modules encrypt keys and settings; the sidecar holds a few such bodies within its few megabytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// The algorithm of [`sign`].
pub const HMAC_SHA256: &str = "HMACSHA256";
/// Length of the random nonce that [`encrypt`] is given.
pub const NONCE_BYTES: usize = NONCE_LEN;
/// Bytes of a master key.
pub const MASTER_KEY_BYTES: usize = 32;

const FORMAT: u8 = 1;

/// `POST /modules/{m}/genid/{g}/sign`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignRequest {
    /// Ignored; SDKs send `primary`.
    #[serde(default)]
    pub key_id: String,
    /// [`HMAC_SHA256`] in any case, or absent.
    #[serde(default)]
    pub algo: String,
    /// What to sign, base64.
    pub data: String,
}

/// Its answer, 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignResponse {
    /// The signature, base64.
    pub digest: String,
}

/// `POST /modules/{m}/genid/{g}/encrypt`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptRequest {
    /// What to encrypt, base64.
    pub plaintext: String,
    /// At least one byte, base64; needed again to decrypt.
    pub initialization_vector: String,
}

/// Its answer, 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptResponse {
    /// Base64.
    pub ciphertext: String,
}

/// `POST /modules/{m}/genid/{g}/decrypt`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecryptRequest {
    /// What encrypt answered, base64.
    pub ciphertext: String,
    /// What encrypt was given, base64.
    pub initialization_vector: String,
}

/// Its answer, 200.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecryptResponse {
    /// Base64.
    pub plaintext: String,
}

/// Answer to `GET /trust-bundle`, 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustBundle {
    /// PEM, at least one certificate.
    pub certificate: String,
}

/// Answer of every call that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub message: String,
}

/// The module that calls: what its ciphertexts are bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub module_id: ModuleName,
    /// Changes when the identity is made anew.
    pub generation_id: String,
}

/// Why a call fails. None of them quotes what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The caller's mistake.
    #[error("{field} is not base64")]
    NotBase64 {
        /// The member of the request.
        field: &'static str,
    },
    /// The caller's mistake.
    #[error("{field} is empty")]
    Empty {
        /// The member of the request.
        field: &'static str,
    },
    /// The caller's mistake.
    #[error("algo is none that this API has; it has {HMAC_SHA256}")]
    Algorithm,
    /// Made by another module, in another generation, with another vector, or changed.
    #[error("the ciphertext cannot be decrypted with this initializationVector by this module in this generation")]
    Decrypt,
    /// The sidecar's own key is unusable; no fault of the caller's.
    #[error("the module's key is unusable")]
    Key,
}

// A plaintext is nobody's business, logs least of all.
impl fmt::Debug for EncryptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptRequest(hidden)")
    }
}

impl fmt::Debug for DecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptResponse(hidden)")
    }
}

impl WorkloadError {
    /// The status to answer with.
    pub const fn status(self) -> u16 {
        match self {
            Self::NotBase64 { .. } | Self::Empty { .. } | Self::Algorithm | Self::Decrypt => 400,
            Self::Key => 500,
        }
    }
}

/// Signs with the module's identity key: HMAC-SHA256 over exactly the bytes that `data` decodes to.
pub fn sign(key: &SymmetricKey, request: &SignRequest) -> Result<SignResponse, WorkloadError> {
    if !request.algo.is_empty() && !request.algo.eq_ignore_ascii_case(HMAC_SHA256) {
        return Err(WorkloadError::Algorithm);
    }
    let tag = sas::hmac_sha256(key, &decoded("data", &request.data)?).map_err(|_| WorkloadError::Key)?;
    Ok(SignResponse { digest: STANDARD.encode(tag.as_ref()) })
}

/// Encrypts for `caller`. `nonce` comes from a secure source of randomness, a fresh one for every call.
pub fn encrypt(
    master: &SymmetricKey,
    caller: &Caller,
    request: &EncryptRequest,
    nonce: [u8; NONCE_BYTES],
) -> Result<EncryptResponse, WorkloadError> {
    let mut sealed = decoded("plaintext", &request.plaintext)?;
    let key = derived_key(master, caller, &request.initialization_vector)?;
    let aad = Aad::from(context(caller));
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).map_err(|_| WorkloadError::Key)?;
    let ciphertext = STANDARD.encode([&[FORMAT], nonce.as_slice(), sealed.as_slice()].concat());
    Ok(EncryptResponse { ciphertext })
}

/// Decrypts what [`encrypt`] made for the same caller and vector.
pub fn decrypt(master: &SymmetricKey, caller: &Caller, request: &DecryptRequest) -> Result<DecryptResponse, WorkloadError> {
    let ciphertext = decoded("ciphertext", &request.ciphertext)?;
    let key = derived_key(master, caller, &request.initialization_vector)?;
    let (nonce, sealed) = ciphertext
        .strip_prefix(&[FORMAT])
        .and_then(|rest| rest.split_first_chunk::<NONCE_BYTES>())
        .ok_or(WorkloadError::Decrypt)?;
    let mut opened = sealed.to_vec();
    let plaintext = key
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context(caller)), &mut opened)
        .map_err(|_| WorkloadError::Decrypt)?;
    Ok(DecryptResponse { plaintext: STANDARD.encode(plaintext) })
}

fn decoded(field: &'static str, text: &str) -> Result<Vec<u8>, WorkloadError> {
    STANDARD.decode(text).map_err(|_| WorkloadError::NotBase64 { field })
}

/// Module id and generation id, so that no two pairs look alike.
fn context(caller: &Caller) -> Vec<u8> {
    // No module name contains a line feed.
    [caller.module_id.as_str(), "\n", &caller.generation_id].concat().into_bytes()
}

fn derived_key(master: &SymmetricKey, caller: &Caller, vector: &str) -> Result<LessSafeKey, WorkloadError> {
    const FIELD: &str = "initializationVector";
    let vector = decoded(FIELD, vector)?;
    if vector.is_empty() {
        return Err(WorkloadError::Empty { field: FIELD });
    }
    let master = STANDARD.decode(master.expose_base64()).map_err(|_| WorkloadError::Key)?;
    if master.len() != MASTER_KEY_BYTES {
        return Err(WorkloadError::Key);
    }
    let context = context(caller);
    let info = [b"edge-workload encryption 1\n".as_slice(), &context];
    let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &vector)
        .extract(&master)
        .expand(&info, &AES_256_GCM)
        .map(UnboundKey::from)
        .map_err(|_| WorkloadError::Key)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn master() -> SymmetricKey {
        SymmetricKey::from_base64(STANDARD.encode([7; MASTER_KEY_BYTES]))
    }

    fn caller(module: &str, generation: &str) -> Caller {
        Caller { module_id: module.parse().unwrap(), generation_id: generation.to_owned() }
    }

    fn seal(text: &[u8], vector: &[u8], nonce: u8) -> EncryptResponse {
        let request = EncryptRequest { plaintext: STANDARD.encode(text), initialization_vector: STANDARD.encode(vector) };
        encrypt(&master(), &caller("filter", "g1"), &request, [nonce; NONCE_BYTES]).unwrap()
    }

    fn open(ciphertext: &str, vector: &[u8], by: &Caller) -> Result<DecryptResponse, WorkloadError> {
        let request = DecryptRequest { ciphertext: ciphertext.to_owned(), initialization_vector: STANDARD.encode(vector) };
        decrypt(&master(), by, &request)
    }

    #[test]
    fn signing_is_hmac_sha256_over_the_decoded_bytes() {
        // RFC 4231, test case 2.
        let key = SymmetricKey::from_base64(STANDARD.encode("Jefe"));
        let request: SignRequest = serde_json::from_str(&format!(
            r#"{{"keyId":"primary","algo":"HMACSHA256","data":"{}"}}"#,
            STANDARD.encode("what do ya want for nothing?")
        ))
        .unwrap();
        let digest = STANDARD.decode(sign(&key, &request).unwrap().digest).unwrap();
        assert_eq!(digest[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn a_bad_request_to_sign_names_the_member() {
        let request = |algo: &str, data: &str| SignRequest { key_id: String::new(), algo: algo.into(), data: data.into() };
        assert_eq!(sign(&master(), &request("", "%")), Err(WorkloadError::NotBase64 { field: "data" }));
        assert_eq!(sign(&master(), &request("RS256", "AA==")), Err(WorkloadError::Algorithm));
        assert!(sign(&master(), &request("hmacsha256", "")).is_ok());
        let unusable = sign(&SymmetricKey::from_base64("?"), &request("", "AA==")).unwrap_err();
        assert_eq!((unusable, unusable.status()), (WorkloadError::Key, 500));
    }

    #[test]
    fn only_the_same_module_generation_and_vector_decrypt() {
        let sealed = seal(b"secret", b"iv", 1).ciphertext;
        let own = caller("filter", "g1");
        assert_eq!(open(&sealed, b"iv", &own).unwrap().plaintext, STANDARD.encode("secret"));
        for (vector, by) in [(b"iv".as_slice(), caller("filter", "g2")), (b"iv", caller("other", "g1")), (b"other", own.clone())]
        {
            assert_eq!(open(&sealed, vector, &by), Err(WorkloadError::Decrypt), "{by:?}");
        }
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert_eq!(open(&STANDARD.encode(&bytes), b"iv", &own), Err(WorkloadError::Decrypt), "byte {index}");
            bytes[index] ^= 1;
        }
        assert_eq!(open("", b"iv", &own), Err(WorkloadError::Decrypt));
    }

    #[test]
    fn a_vector_used_again_does_not_show_that_plaintexts_are_alike() {
        assert_ne!(seal(b"secret", b"iv", 1), seal(b"secret", b"iv", 2));
    }

    #[test]
    fn vectors_are_of_any_length_but_empty() {
        for vector in [b"1".as_slice(), &[9; 12], &[9; 1_000]] {
            let sealed = seal(b"", vector, 3).ciphertext;
            assert_eq!(open(&sealed, vector, &caller("filter", "g1")).unwrap().plaintext, "");
        }
        assert_eq!(open("AA==", b"", &caller("filter", "g1")), Err(WorkloadError::Empty { field: "initializationVector" }));
    }

    #[test]
    fn a_master_key_of_another_length_is_refused() {
        let request = EncryptRequest { plaintext: String::new(), initialization_vector: "AA==".into() };
        let short = SymmetricKey::from_base64("AAAA");
        assert_eq!(encrypt(&short, &caller("m", "g"), &request, [0; NONCE_BYTES]), Err(WorkloadError::Key));
    }

    proptest! {
        #[test]
        fn no_ciphertext_makes_decryption_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let framed = [&[FORMAT], bytes.as_slice()].concat();
            for bytes in [bytes, framed] {
                prop_assert_eq!(open(&STANDARD.encode(bytes), b"iv", &caller("m", "g")), Err(WorkloadError::Decrypt));
            }
        }
    }
}
