//! One message as one line of JSON: `{"topic":…,"payload":…}`, where the payload is shown as it is meant.

use serde_json::{Value, json};

/// Longest payload that is shown, in bytes. A longer one is cut and marked, so that a log stays readable and bounded.
const MAX_SHOWN_BYTES: usize = 4096;

/// The line for one message, without a line end. A payload that is JSON is shown as JSON, any other as text.
pub(crate) fn render(topic: &[u8], payload: &[u8]) -> String {
    let topic = String::from_utf8_lossy(topic);
    if payload.len() > MAX_SHOWN_BYTES {
        let start = String::from_utf8_lossy(&payload[..MAX_SHOWN_BYTES]);
        return json!({"topic": topic, "bytes": payload.len(), "payloadStart": start}).to_string();
    }
    let payload = serde_json::from_slice::<Value>(payload).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload)));
    json!({"topic": topic, "payload": payload}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_payload_is_shown_as_json() {
        assert_eq!(render(b"edge/d/m/o", br#"{"a": 1}"#), r#"{"payload":{"a":1},"topic":"edge/d/m/o"}"#);
    }

    #[test]
    fn any_other_payload_is_shown_as_text_on_one_line() {
        assert_eq!(render(b"t", b"a\n\xff"), "{\"payload\":\"a\\n\u{fffd}\",\"topic\":\"t\"}");
    }

    #[test]
    fn a_long_payload_is_cut_and_says_how_long_it_was() {
        let line = render(b"t", &[b'x'; MAX_SHOWN_BYTES + 1]);
        assert!(line.len() < MAX_SHOWN_BYTES + 100, "{}", line.len());
        assert!(line.contains("\"bytes\":4097"), "{line}");
    }
}
