//! The API's messages as JSON: the field names of the .proto files, numbers as numbers, RFC 3339 UTC times, durations as
//! whole microseconds in a field whose name ends in `_us`. Fields that are absent in the message are absent here.
//!
//! The generated types have no serde, and the wire form must not leak out by accident, so each message has its function.

pub mod job;
pub mod node;
pub mod outcome;

use prost_types::{Duration, Timestamp};
use serde_json::{Map, Value, json};

/// An object that grows field by field.
#[derive(Debug, Default)]
pub struct Object(Map<String, Value>);

impl Object {
    /// A field.
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Object {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// A field that is there only when it has a value.
    pub fn set_some(self, name: &str, value: Option<impl Into<Value>>) -> Object {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object.0)
    }
}

/// Microseconds of a duration; negative ones (which the API never has) count as 0, too large ones as the largest.
pub fn microseconds(duration: &Duration) -> u64 {
    let whole = i128::from(duration.seconds) * 1_000_000 + i128::from(duration.nanos) / 1_000;
    u64::try_from(whole.max(0)).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC, with as many decimals as the time has: none, 3, 6 or 9. Outside the years 1 to 9999 the seconds.
pub fn time(time: &Timestamp) -> Value {
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;
    if (FIRST..=LAST).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) {
        json!(time.to_string())
    } else {
        json!(time.seconds)
    }
}

/// Bytes: a string when they are UTF-8, else `{"hex": "…"}`, so that nothing is lost and nothing is mistaken.
pub fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}

/// A list of messages.
pub fn list<T>(items: &[T], item: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(item).collect())
}

/// The short name of an enum value: `JOB_STATE_RUNNING` is `running`.
pub fn short<'a>(name: &'a str, prefix: &str) -> std::borrow::Cow<'a, str> {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let table = [
            (1_700_000_000, 0, json!("2023-11-14T22:13:20Z")),
            (1_700_000_000, 5_000_000, json!("2023-11-14T22:13:20.005Z")),
            (i64::MAX, 0, json!(i64::MAX)),
        ];
        for (seconds, nanos, value) in table {
            assert_eq!(time(&Timestamp { seconds, nanos }), value);
        }
    }

    #[test]
    fn durations_are_whole_microseconds() {
        assert_eq!(microseconds(&Duration { seconds: 2, nanos: 1_999 }), 2_000_001);
        assert_eq!(microseconds(&Duration { seconds: -1, nanos: 0 }), 0);
        assert_eq!(microseconds(&Duration { seconds: i64::MAX, nanos: 0 }), u64::MAX);
    }

    #[test]
    fn bytes_that_are_no_text_are_hex() {
        assert_eq!(bytes(b"abc"), json!("abc"));
        assert_eq!(bytes(b"a\xff"), json!({"hex": "61ff"}));
    }
}
