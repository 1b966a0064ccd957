//! A message from the moment it is taken from a client to the moment it leaves the hub, and its form in the journal.
//!
//! `from` is the authenticated sender. Nothing that a client writes into a topic or a property changes it.
//!
//! # In the journal (format 1)
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

use crate::identity::{DeviceId, Identity, ModuleName};
use crate::property_bag::{self, MAX_PROPERTIES, Properties};
use crate::system_properties::{SystemProperties, SystemProperty};

/// Largest message: body plus property names and values. IoT Hub refuses more, so accepting more would only fail later, offline.
pub const MAX_MESSAGE_BYTES: usize = 262_144;
/// Most bytes of properties as they stand, encoded, in a topic. A topic holds 65,535; the rest is for the address of an input
/// and the sender's names, so that whatever was accepted can be delivered.
pub const MAX_ENCODED_PROPERTY_BYTES: usize = 65_535 - 2_048;

const FORMAT: u8 = 1;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The authenticated sender.
    pub from: Identity,
    /// The output that it was sent to; never empty.
    pub output: Option<String>,
    /// What client and hub say about it.
    pub system: SystemProperties,
    /// What the application says about it; a name without a value is `None`.
    pub properties: Properties,
    /// Opaque to the hub.
    pub body: Bytes,
}

/// A message past one of its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// Body and properties together.
    #[error("the message has {size} bytes of body and properties; at most {MAX_MESSAGE_BYTES} are accepted")]
    Message {
        /// Its size.
        size: usize,
    },
    /// Its properties would not fit into the topic of a delivery.
    #[error("the message's properties take {size} bytes in a topic; at most {MAX_ENCODED_PROPERTY_BYTES} are accepted")]
    Properties {
        /// Their size, encoded.
        size: usize,
    },
    /// More than [`MAX_PROPERTIES`] application properties.
    #[error("the message has {count} properties; at most {MAX_PROPERTIES} are accepted")]
    Count {
        /// How many.
        count: usize,
    },
}

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
    /// The value of a system property, the derived ones included.
    pub fn system_property(&self, property: SystemProperty) -> Option<&str> {
        match property {
            SystemProperty::ConnectionDeviceId => Some(self.from.device.as_str()),
            SystemProperty::ConnectionModuleId => self.from.module.as_ref().map(ModuleName::as_str),
            SystemProperty::OutputName => self.output.as_deref(),
            stored => self.system.get(stored),
        }
    }

    /// Bytes of body, property names and values. What the hub stamps does not count, so that the answer is the same before
    /// and after.
    pub fn size(&self) -> usize {
        let output = self.output.as_ref().map_or(0, |output| SystemProperty::OutputName.name().len() + output.len());
        let system: usize = self.sent_system().map(|(property, value)| property.name().len() + value.len()).sum();
        let application: usize =
            self.properties.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len)).sum();
        self.body.len() + output + system + application
    }

    /// Is it within every limit?
    pub fn check_size(&self) -> Result<(), TooLarge> {
        let size = self.size();
        if size > MAX_MESSAGE_BYTES {
            return Err(TooLarge::Message { size });
        }
        if self.properties.len() > MAX_PROPERTIES {
            return Err(TooLarge::Count { count: self.properties.len() });
        }
        // Encoding makes three bytes of one at worst, so most messages need no second look.
        if (size - self.body.len() + 2 * self.properties.len()) * 3 > MAX_ENCODED_PROPERTY_BYTES {
            let encoded = self.encoded_property_bytes();
            if encoded > MAX_ENCODED_PROPERTY_BYTES {
                return Err(TooLarge::Properties { size: encoded });
            }
        }
        Ok(())
    }

    /// The system properties that came with the message.
    fn sent_system(&self) -> impl Iterator<Item = (SystemProperty, &str)> {
        self.system.iter().filter(|(property, _)| !property.is_stamped())
    }

    fn encoded_property_bytes(&self) -> usize {
        let pair = |key: &str, value: &str| property_bag::encoded_len(key) + property_bag::encoded_len(value) + 2;
        let system: usize =
            self.sent_system().filter_map(|(property, value)| property.outgoing_key().map(|key| pair(key, value))).sum();
        let application: usize =
            self.properties.iter().map(|(name, value)| pair(name, value.as_deref().unwrap_or_default())).sum();
        system + application
    }

    /// The bytes that the journal keeps. The message has passed [`Message::check_size`], or they will not decode.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size() + 256);
        out.put_u8(FORMAT);
        put_text(&mut out, self.from.device.as_str());
        put_text(&mut out, self.from.module.as_ref().map_or("", ModuleName::as_str));
        put_text(&mut out, self.output.as_deref().unwrap_or_default());
        put_count(&mut out, self.system.iter().len());
        for (property, value) in self.system.iter() {
            out.put_u8(property as u8);
            put_text(&mut out, value);
        }
        put_count(&mut out, self.properties.len());
        for (name, value) in &self.properties {
            put_text(&mut out, name);
            out.put_u8(u8::from(value.is_some()));
            if let Some(value) = value {
                put_text(&mut out, value);
            }
        }
        out.put_slice(&self.body);
        out.freeze()
    }

    /// Reads what [`Message::encode`] wrote. The body shares the memory of `bytes`.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
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
        let message = Self { from: Identity { device, module }, output, system, properties, body: bytes.slice(body_at..) };
        message.check_size()?;
        Ok(message)
    }
}

fn parsed<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, DecodeError> {
    text.parse().map_err(|_| DecodeError::Damaged { field })
}

fn put_count(out: &mut BytesMut, mut count: usize) {
    while count >= 0x80 {
        out.put_u8((count & 0x7f) as u8 | 0x80);
        count >>= 7;
    }
    out.put_u8((count & 0x7f) as u8);
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_count(out, text.len());
    out.put_slice(text.as_bytes());
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Damaged { field })?;
        self.rest = rest;
        Ok(*first)
    }

    fn count(&mut self, field: &'static str, most: usize) -> Result<usize, DecodeError> {
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

    fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
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
    fn size_counts_body_names_and_values_but_nothing_that_the_hub_adds() {
        let mut message = message(b"12345");
        message.system.set(SystemProperty::ContentType, "text");
        let sent = 5 + "outputNamereadings".len() + "contentTypetext".len() + "unitCraw".len();
        assert_eq!(message.size(), sent);
        message.system.stamp("id", "2026-03-01T12:00:00.0000000Z");
        assert_eq!(message.size(), sent);
    }

    #[test]
    fn the_largest_message_is_accepted_and_one_byte_more_is_not() {
        let room = MAX_MESSAGE_BYTES - message(b"").size();
        assert_eq!(message(&vec![0; room]).check_size(), Ok(()));
        let over = message(&vec![0; room + 1]);
        assert_eq!(over.check_size(), Err(TooLarge::Message { size: MAX_MESSAGE_BYTES + 1 }));
        assert!(matches!(Message::decode(over.encode()), Err(DecodeError::TooLarge(_))));
    }

    #[test]
    fn properties_that_would_not_fit_into_a_topic_again_are_refused() {
        let mut message = message(b"");
        message.properties = vec![("tildes".into(), Some("~".repeat(30_000)))];
        assert!(matches!(message.check_size(), Err(TooLarge::Properties { size }) if size > 90_000));
        message.properties = vec![("letters".into(), Some("a".repeat(60_000)))];
        assert_eq!(message.check_size(), Ok(()));
        message.properties = vec![("x".into(), None); MAX_PROPERTIES + 1];
        assert_eq!(message.check_size(), Err(TooLarge::Count { count: MAX_PROPERTIES + 1 }));
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
