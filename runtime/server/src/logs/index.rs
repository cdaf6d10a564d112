//! One entry of a log's index: which bytes of which stream came when. Pure: bytes to entry and back.
//!
//! Entries stand in the order in which the bytes were read from the job, and are all of one size, so that entry
//! number n is at byte 24 n.

use super::Stream;

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 24;

/// Some bytes that were moved at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Of which stream.
    pub stream: Stream,
    /// Where in that stream the first one stands.
    pub offset: u64,
    /// How many, at least 1.
    pub length: u32,
    /// When, in microseconds since 1970.
    pub time_us: u64,
}

impl Entry {
    /// Offset, length, stream (1 or 2), time; numbers in little-endian order.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let stream: u32 = match self.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&stream.to_le_bytes());
        bytes[16..].copy_from_slice(&self.time_us.to_le_bytes());
        bytes
    }

    /// The reverse; `None` for bytes that are no entry.
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Entry> {
        let [o0, o1, o2, o3, o4, o5, o6, o7, l0, l1, l2, l3, s0, s1, s2, s3, time @ ..] = *bytes;
        let stream = match u32::from_le_bytes([s0, s1, s2, s3]) {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        Some(Entry {
            stream,
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            time_us: u64::from_le_bytes(time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_comes_back(offset: u64, length: u32, err: bool, time_us: u64) {
            let stream = if err { Stream::Stderr } else { Stream::Stdout };
            let entry = Entry { stream, offset, length, time_us };
            prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }
    }

    #[test]
    fn an_unknown_stream_is_no_entry() {
        assert_eq!(Entry::decode(&[0; ENTRY_BYTES]), None);
    }
}
