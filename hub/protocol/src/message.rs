//! A message from the moment it is taken from a client to the moment it leaves the hub. Its form in the journal: [`record`].
//!
//! `from` is the authenticated sender. Nothing that a client writes into a topic or a property changes it.

pub mod record;
mod stored;

use bytes::Bytes;

use crate::identity::{Identity, ModuleName};
use crate::property_bag::{self, MAX_PROPERTIES, Properties};
use crate::system_properties::{SystemProperties, SystemProperty};

pub use record::DecodeError;
pub use stored::StoredMessage;

/// Largest message: body plus property names and values. IoT Hub refuses more, so accepting more would only fail later, offline.
pub const MAX_MESSAGE_BYTES: usize = 262_144;
/// Most bytes of properties as they stand, encoded, in a topic. A topic holds 65,535; the rest is for the address of an input
/// and the sender's names, so that whatever was accepted can be delivered.
pub const MAX_ENCODED_PROPERTY_BYTES: usize = 65_535 - 2_048;

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
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
