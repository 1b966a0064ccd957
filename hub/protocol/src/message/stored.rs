//! A message read where it stands, in a record, without a copy: for whoever passes it on as it is.

use super::record::{DecodeError, FORMAT, Reader};
use crate::property_bag::MAX_PROPERTIES;
use crate::system_properties::SystemProperty;

/// A message in a record. Believes as little as [`Message::decode`](super::Message::decode), but for the limits of what a client may
/// send, which were checked when it was taken.
#[derive(Clone, Copy, Debug)]
pub struct StoredMessage<'a> {
    /// The sender's device.
    pub device: &'a str,
    /// The sender's module.
    pub module: Option<&'a str>,
    /// The output that it was sent to.
    pub output: Option<&'a str>,
    /// Opaque to the hub.
    pub body: &'a [u8],
    system: &'a [u8],
    properties: &'a [u8],
}

impl<'a> StoredMessage<'a> {
    /// Reads what [`Message::encode`](super::Message::encode) wrote.
    pub fn read(record: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader { rest: record };
        let found = reader.byte("format").unwrap_or_default();
        if found != FORMAT {
            return Err(DecodeError::Format { found });
        }
        let device = reader.text("device")?;
        let module = Some(reader.text("module")?).filter(|module| !module.is_empty());
        let output = Some(reader.text("output")?).filter(|output| !output.is_empty());
        // Walked through now, so that whoever looks at them later meets no damage.
        let system = section(&mut reader, system_count, |reader| system_property(reader).map(drop))?;
        let properties = section(&mut reader, property_count, |reader| property(reader).map(drop))?;
        Ok(Self { device, module, output, body: reader.rest, system, properties })
    }

    /// The system properties that came with it, and those stamped by the hub, in order.
    pub fn system(&self) -> impl Iterator<Item = (SystemProperty, &'a str)> {
        let mut reader = Reader { rest: self.system };
        let count = system_count(&mut reader).unwrap_or_default();
        (0..count).map_while(move |_| system_property(&mut reader).ok())
    }

    /// The application's properties, in order.
    pub fn properties(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut reader = Reader { rest: self.properties };
        let count = property_count(&mut reader).unwrap_or_default();
        (0..count).map_while(move |_| property(&mut reader).ok())
    }
}

/// The bytes of a count and so many entries.
fn section<'a>(
    reader: &mut Reader<'a>,
    count: impl Fn(&mut Reader<'a>) -> Result<usize, DecodeError>,
    entry: impl Fn(&mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<&'a [u8], DecodeError> {
    let start = reader.rest;
    for _ in 0..count(reader)? {
        entry(reader)?;
    }
    Ok(&start[..start.len() - reader.rest.len()])
}

fn system_count(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    reader.count("system properties", SystemProperty::ALL.len())
}

fn system_property<'a>(reader: &mut Reader<'a>) -> Result<(SystemProperty, &'a str), DecodeError> {
    const FIELD: &str = "system properties";
    let property = SystemProperty::from_code(reader.byte(FIELD)?).filter(|property| !property.is_derived());
    Ok((property.ok_or(DecodeError::Damaged { field: FIELD })?, reader.text(FIELD)?))
}

fn property_count(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    reader.count("properties", MAX_PROPERTIES)
}

fn property<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, Option<&'a str>), DecodeError> {
    const FIELD: &str = "properties";
    let name = reader.text(FIELD)?;
    match reader.byte(FIELD)? {
        0 => Ok((name, None)),
        1 => Ok((name, Some(reader.text(FIELD)?))),
        _ => Err(DecodeError::Damaged { field: FIELD }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::message::Message;
    use crate::system_properties::SystemProperties;

    #[test]
    fn a_message_read_in_place_says_what_the_decoded_one_says() {
        let mut message = Message {
            from: "line-7/tempSensor".parse().unwrap(),
            output: Some("readings".into()),
            system: SystemProperties::new(),
            properties: vec![("unit".into(), Some("C".into())), ("raw".into(), None)],
            body: Bytes::from_static(b"21.5"),
        };
        message.system.stamp("id", "2026-03-01T12:00:00.0000000Z");
        let record = message.encode();
        let stored = StoredMessage::read(&record).unwrap();
        assert_eq!((stored.device, stored.module, stored.output), ("line-7", Some("tempSensor"), Some("readings")));
        assert_eq!(stored.system().collect::<Vec<_>>(), message.system.iter().collect::<Vec<_>>());
        assert_eq!(stored.properties().collect::<Vec<_>>(), [("unit", Some("C")), ("raw", None)]);
        assert_eq!(stored.body, b"21.5");
    }

    #[test]
    fn other_formats_and_damage_are_named() {
        assert_eq!(StoredMessage::read(b"").unwrap_err(), DecodeError::Format { found: 0 });
        assert_eq!(StoredMessage::read(b"\x01\x06line").unwrap_err(), DecodeError::Damaged { field: "device" });
        let posing = b"\x01\x01d\0\0\x01\x10\x01x\0";
        assert_eq!(StoredMessage::read(posing).unwrap_err(), DecodeError::Damaged { field: "system properties" });
    }

    proptest! {
        #[test]
        fn whatever_decodes_reads_in_place_and_nothing_makes_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 1..300)) {
            bytes[0] = FORMAT;
            let stored = StoredMessage::read(&bytes);
            if let Ok(stored) = &stored {
                prop_assert!(stored.system().count() <= SystemProperty::ALL.len() && stored.properties().count() <= MAX_PROPERTIES);
            }
            if Message::decode(bytes.clone().into()).is_ok() {
                prop_assert!(stored.is_ok());
            }
        }
    }
}
