//! Random identifiers.

use ring::rand::{SecureRandom, SystemRandom};

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub(crate) struct NoRandom;

/// Bytes of one identifier.
const UUID_BYTES: usize = 16;
/// Identifiers drawn at once: asking the operating system costs more than making one.
const DRAWN: usize = 64;

/// Random UUIDs (version 4) as text. Asks for no randomness before the first.
#[derive(Default)]
pub(crate) struct Uuids {
    /// Drawn and not used.
    bytes: Vec<u8>,
}

impl Uuids {
    pub(crate) fn next(&mut self) -> Result<String, NoRandom> {
        if self.bytes.len() < UUID_BYTES {
            self.bytes.resize(DRAWN * UUID_BYTES, 0);
            if SystemRandom::new().fill(&mut self.bytes).is_err() {
                self.bytes.clear();
                return Err(NoRandom);
            }
        }
        let mut bytes = [0; UUID_BYTES];
        bytes.copy_from_slice(&self.bytes[self.bytes.len() - UUID_BYTES..]);
        self.bytes.truncate(self.bytes.len() - UUID_BYTES);
        Ok(text(bytes))
    }
}

fn text(mut bytes: [u8; UUID_BYTES]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(UUID_BYTES * 2 + 4);
    for (place, byte) in bytes.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0x0f] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant_in_place() {
        assert_eq!(text([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(text(*b"0123456789abcdef"), "30313233-3435-4637-b839-616263646566");
    }

    #[test]
    fn no_two_are_the_same() {
        let mut uuids = Uuids::default();
        let all: HashSet<String> = (0..1000).map(|_| uuids.next().unwrap()).collect();
        assert_eq!(all.len(), 1000);
    }
}
