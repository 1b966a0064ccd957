//! Random identifiers.

use ring::rand::{SecureRandom, SystemRandom};

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub(crate) struct NoRandom;

/// A random UUID (version 4) as text.
pub(crate) fn uuid() -> Result<String, NoRandom> {
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    let value = (u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62)) | (0x4 << 76 | 0x2 << 62);
    let hex = format!("{value:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_has_its_version_and_variant_in_place() {
        let uuid = super::uuid().unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    }
}
