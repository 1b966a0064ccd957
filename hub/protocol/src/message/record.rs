//! A message as the journal keeps it (format 1).
//!
//! ```text
//! format u8 = 1 | device text | module text (empty: none) | output text (empty: none)
//! | system count, then code u8 and value text each
//! | application count, then name text, 0 or 1, and after 1 value text each
//! | body: the rest
//! text: length, then UTF-8. Counts and lengths: unsigned LEB128 of at most 3 bytes.
//! ```
//! The record around it has the checksum; decoding still believes nothing: every length is checked against what is there, and
//! against its limit, before anything is allocated. The body is a slice of the record, not a copy.

use bytes::{BufMut, Bytes, BytesMut};

use super::{MAX_MESSAGE_BYTES, Message, TooLarge};
use crate::identity::{DeviceId, Identity, ModuleName};
use crate::property_bag::{MAX_PROPERTIES, Properties};
use crate::system_properties::{SystemProperties, SystemProperty};

pub(super) const FORMAT: u8 = 1;
/// Most bytes of a count or a length.
const MAX_COUNT_BYTES: usize = 3;

/// Why stored bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by another version, or not a message at all.
    #[error("stored message has format {found}, only {FORMAT} is known")]
    Format {
        /// The first byte; 0 when there is none.
        found: u8,
    },
    /// Ends before it should, or a field has an impossible value.
    #[error("stored message is damaged in its {field}")]
    Damaged {
        /// Which field.
        field: &'static str,
    },
    /// Larger than any message that was ever accepted.
    #[error("stored message: {0}")]
    TooLarge(#[from] TooLarge),
}

impl Message {
    /// The bytes that the journal keeps. The message has passed [`Message::check_size`], or they will not decode.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        self.encode_into(&mut out);
        out.freeze()
    }

    /// Bytes of [`Message::encode`], or a few more.
    pub fn encoded_len(&self) -> usize {
        let module = self.from.module.as_ref().map_or(0, |module| module.as_str().len());
        let output = self.output.as_ref().map_or(0, String::len);
        let system: usize = self.system.iter().map(|(_, value)| 1 + MAX_COUNT_BYTES + value.len()).sum();
        let property = |(name, value): &(String, Option<String>)| {
            1 + 2 * MAX_COUNT_BYTES + name.len() + value.as_ref().map_or(0, String::len)
        };
        let application: usize = self.properties.iter().map(property).sum();
        1 + 5 * MAX_COUNT_BYTES + self.from.device.as_str().len() + module + output + system + application + self.body.len()
    }

    /// The same as [`Message::encode`], appended to `out`.
    pub fn encode_into(&self, out: &mut BytesMut) {
        out.put_u8(FORMAT);
        put_text(out, self.from.device.as_str());
        put_text(out, self.from.module.as_ref().map_or("", ModuleName::as_str));
        put_text(out, self.output.as_deref().unwrap_or_default());
        put_count(out, self.system.iter().len());
        for (property, value) in self.system.iter() {
            out.put_u8(property as u8);
            put_text(out, value);
        }
        put_count(out, self.properties.len());
        for (name, value) in &self.properties {
            put_text(out, name);
            out.put_u8(u8::from(value.is_some()));
            if let Some(value) = value {
                put_text(out, value);
            }
        }
        out.put_slice(&self.body);
    }

    /// Reads what [`Message::encode`] wrote. The body shares the memory of `bytes`.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader { rest: &bytes };
        let found = reader.byte("format").unwrap_or_default();
        if found != FORMAT {
            return Err(DecodeError::Format { found });
        }
        let device: DeviceId = parsed(reader.text("device")?, "device")?;
        let module = match reader.text("module")? {
            "" => None,
            name => Some(parsed::<ModuleName>(name, "module")?),
        };
        let output = Some(reader.text("output")?).filter(|output| !output.is_empty()).map(str::to_owned);
        let system = reader.system()?;
        let properties = reader.properties()?;
        let body_at = bytes.len() - reader.rest.len();
        let message = Self { from: Identity { device, module }, output, system, properties, body: bytes.split_off(body_at) };
        message.check_size()?;
        Ok(message)
    }
}

fn parsed<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, DecodeError> {
    text.parse().map_err(|_| DecodeError::Damaged { field })
}

fn put_count(out: &mut BytesMut, mut count: usize) {
    loop {
        let [low, ..] = count.to_le_bytes();
        count >>= 7;
        if count == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_count(out, text.len());
    out.put_slice(text.as_bytes());
}

/// What is left to read.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Damaged { field })?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn count(&mut self, field: &'static str, most: usize) -> Result<usize, DecodeError> {
        let mut count = 0_usize;
        for shift in [0, 7, 14] {
            let byte = self.byte(field)?;
            count |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if count <= most { Ok(count) } else { Err(DecodeError::Damaged { field }) };
            }
        }
        Err(DecodeError::Damaged { field })
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.count(field, MAX_MESSAGE_BYTES)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Damaged { field })?;
        self.rest = rest;
        str::from_utf8(text).map_err(|_| DecodeError::Damaged { field })
    }

    fn system(&mut self) -> Result<SystemProperties, DecodeError> {
        const FIELD: &str = "system properties";
        let mut system = SystemProperties::new();
        for _ in 0..self.count(FIELD, SystemProperty::ALL.len())? {
            let property = SystemProperty::from_code(self.byte(FIELD)?).ok_or(DecodeError::Damaged { field: FIELD })?;
            if property.is_derived() || system.get(property).is_some() {
                return Err(DecodeError::Damaged { field: FIELD });
            }
            system.set(property, self.text(FIELD)?);
        }
        Ok(system)
    }

    fn properties(&mut self) -> Result<Properties, DecodeError> {
        const FIELD: &str = "properties";
        let count = self.count(FIELD, MAX_PROPERTIES)?;
        let mut properties = Properties::with_capacity(count);
        for _ in 0..count {
            let name = self.text(FIELD)?.to_owned();
            let value = match self.byte(FIELD)? {
                0 => None,
                1 => Some(self.text(FIELD)?.to_owned()),
                _ => return Err(DecodeError::Damaged { field: FIELD }),
            };
            properties.push((name, value));
        }
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(body: &[u8]) -> Message {
        Message {
            from: "line-7/tempSensor".parse().unwrap(),
            output: Some("readings".into()),
            system: SystemProperties::new(),
            properties: vec![("unit".into(), Some("C".into())), ("raw".into(), None)],
            body: Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn the_body_is_a_slice_of_the_record() {
        let record = message(b"0123456789").encode();
        let body = Message::decode(record.clone()).unwrap().body;
        assert_eq!(body.as_ptr(), record[record.len() - 10..].as_ptr());
    }

    #[test]
    fn the_stored_form_does_not_change_by_accident() {
        let mut message = message(b"B");
        message.system.set(SystemProperty::MessageId, "m");
        assert_eq!(
            &message.encode()[..],
            b"\x01\x06line-7\x0atempSensor\x08readings\x01\x01\x01m\x02\x04unit\x01\x01C\x03raw\x00B"
        );
    }

    #[test]
    fn other_formats_and_damage_are_named() {
        assert_eq!(Message::decode(Bytes::new()), Err(DecodeError::Format { found: 0 }));
        assert_eq!(Message::decode(Bytes::from_static(b"\x02rest")), Err(DecodeError::Format { found: 2 }));
        assert_eq!(Message::decode(Bytes::from_static(b"\x01\x06line")), Err(DecodeError::Damaged { field: "device" }));
        assert_eq!(Message::decode(Bytes::from_static(b"\x01\xff\xff\xff\xff")), Err(DecodeError::Damaged { field: "device" }));
        let posing = b"\x01\x01d\x00\x00\x01\x10\x01x\x00";
        assert_eq!(Message::decode(Bytes::from_static(posing)), Err(DecodeError::Damaged { field: "system properties" }));
    }

    prop_compose! {
        fn any_message()(
            device in "[A-Za-z0-9._@-]{1,128}",
            module in prop::option::of("[A-Za-z0-9_-]{1,128}"),
            output in prop::option::of("\\PC{1,40}"),
            stored in prop::collection::btree_map(0..SystemProperty::ALL.len(), "\\PC{0,40}", 0..8),
            properties in prop::collection::vec(("\\PC{1,20}", prop::option::of("\\PC{0,300}")), 0..12),
            body in prop::collection::vec(any::<u8>(), 0..4_000),
        ) -> Message {
            let mut system = SystemProperties::new();
            for (index, value) in stored {
                system.set(SystemProperty::ALL[index], value);
            }
            let from = Identity { device: device.parse().unwrap(), module: module.map(|name| name.parse().unwrap()) };
            Message { from, output, system, properties, body: body.into() }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same_message(message in any_message()) {
            prop_assert!(message.encode().len() <= message.encoded_len());
            prop_assert_eq!(Message::decode(message.encode()).unwrap(), message);
        }

        #[test]
        fn a_message_cut_or_changed_anywhere_never_panics(
            message in any_message(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let record = message.encode();
            let mut changed = record[..cut.index(record.len() + 1)].to_vec();
            let _ = Message::decode(changed.clone().into());
            if !changed.is_empty() {
                let at = at.index(changed.len());
                changed[at] = byte;
                let _ = Message::decode(changed.into());
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = Message::decode(bytes.clone().into());
            let _ = Message::decode([&[FORMAT], bytes.as_slice()].concat().into());
        }
    }
}
