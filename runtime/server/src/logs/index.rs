//! The index of one segment: which of its bytes came when, and where they stand among those of the other stream. Pure:
//! bytes to header and entry and back.
//!
//! A file has a header, then entries; all are 32 bytes, so entry number n is at byte 32 (n + 1), none lies in two
//! sectors, and a place is found by halving. Each has a checksum: what a power cut left is told from an entry. Numbers
//! are little-endian.
//!
//! ```text
//! header: magic "JOBINDEX" · u16 version · u16 stream (1, 2) · u32 segment · u64 segment_bytes · u32 0 · u32 check
//! entry:  u64 offset in the stream · u32 length · u32 check · u64 time · u64 kind << 56 | sequence
//! ```
//!
//! Within a file the entries lie without holes from the segment's first byte on. The last one may grow: bytes that come
//! shortly after are added to it (`tape.rs` says when).

use super::{CHUNK_BYTES_MAX, Stream};

/// Bytes of a header and of an entry.
pub const ENTRY_BYTES: usize = 32;
/// Of this format.
pub const VERSION: u16 = 1;
/// Sequence numbers have 56 bits.
pub const SEQUENCE_MAX: u64 = (1 << 56) - 1;
/// The largest segment: the length of an entry has 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

const MAGIC: [u8; 8] = *b"JOBINDEX";
const HEADER_CHECK_AT: usize = 28;
const ENTRY_CHECK_AT: usize = 12;

/// What an index says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose bytes.
    pub stream: Stream,
    /// Which segment, from 0.
    pub segment: u32,
    /// The size of every segment but the last.
    pub segment_bytes: u64,
}

/// What an entry speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes from the job.
    Data,
    /// The same, found after a crash: when they came is known only roughly, and so is their place among the bytes of
    /// the other stream.
    Recovered,
    /// Bytes that were there before a power cut, and are no more.
    Lost,
}

/// Some bytes that stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Of what kind.
    pub kind: Kind,
    /// Where in the stream the first one stands.
    pub offset: u64,
    /// How many, at least 1.
    pub length: u32,
    /// When the last of them was read from the job, in microseconds since 1970. Never falls within a stream.
    pub time_us: u64,
    /// Its place among the entries of both streams. Never falls within a stream.
    pub sequence: u64,
}

impl Header {
    /// For the file.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(self.stream as u16 + 1).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.segment_bytes.to_le_bytes());
        seal(bytes, HEADER_CHECK_AT)
    }

    /// The reverse; `None` for bytes that are no header of this version.
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Header> {
        let sound = is_sealed(bytes, HEADER_CHECK_AT)
            && bytes.starts_with(&MAGIC)
            && u64_at(bytes, 8) & 0xffff == u64::from(VERSION);
        let stream = match (u64_at(bytes, 8) >> 16) & 0xffff {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        let header = Header { stream, segment: u32_at(bytes, 12), segment_bytes: u64_at(bytes, 16) };
        (sound && (1..=SEGMENT_BYTES_MAX).contains(&header.segment_bytes)).then_some(header)
    }
}

impl Entry {
    /// For the file.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let kind: u64 = match self.kind {
            Kind::Data => 1,
            Kind::Recovered => 2,
            Kind::Lost => 3,
        };
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.time_us.to_le_bytes());
        bytes[24..].copy_from_slice(&(kind << 56 | self.sequence & SEQUENCE_MAX).to_le_bytes());
        seal(bytes, ENTRY_CHECK_AT)
    }

    /// The reverse; `None` for bytes that are no entry.
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Entry> {
        let last = u64_at(bytes, 24);
        let kind = match last >> 56 {
            1 => Kind::Data,
            2 => Kind::Recovered,
            3 => Kind::Lost,
            _ => return None,
        };
        let entry = Entry {
            kind,
            offset: u64_at(bytes, 0),
            length: u32_at(bytes, 8),
            time_us: u64_at(bytes, 16),
            sequence: last & SEQUENCE_MAX,
        };
        let sound = is_sealed(bytes, ENTRY_CHECK_AT)
            && entry.length > 0
            && entry.offset.checked_add(u64::from(entry.length)).is_some();
        sound.then_some(entry)
    }

    /// The byte after its last one.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }

    /// Whether so many more bytes may be added to it.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        u64::from(self.length).saturating_add(bytes) <= CHUNK_BYTES_MAX as u64
    }
}

fn u64_at(bytes: &[u8; ENTRY_BYTES], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn u32_at(bytes: &[u8; ENTRY_BYTES], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn seal(mut bytes: [u8; ENTRY_BYTES], at: usize) -> [u8; ENTRY_BYTES] {
    let check = checksum(&bytes);
    bytes[at..at + 4].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn is_sealed(bytes: &[u8; ENTRY_BYTES], at: usize) -> bool {
    let mut open = *bytes;
    open[at..at + 4].fill(0);
    checksum(&open) == u32_at(bytes, at)
}

/// FNV-1a of 32 bits. It is to tell damage, not malice; of zeros it is not zero.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let kind = prop_oneof![Just(Kind::Data), Just(Kind::Recovered), Just(Kind::Lost)];
        (kind, 0..u64::MAX / 2, 1..=u32::MAX, any::<u64>(), 0..=SEQUENCE_MAX).prop_map(
            |(kind, offset, length, time_us, sequence)| Entry { kind, offset, length, time_us, sequence },
        )
    }

    proptest! {
        #[test]
        fn an_entry_comes_back(entry in entry()) {
            prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }

        #[test]
        fn one_changed_byte_is_noticed(entry in entry(), at in 0..ENTRY_BYTES, change in 1_u8..) {
            let mut bytes = entry.encode();
            bytes[at] ^= change;
            prop_assert_eq!(Entry::decode(&bytes), None);
        }

        #[test]
        fn a_header_comes_back(err: bool, segment: u32, segment_bytes in 1..=SEGMENT_BYTES_MAX) {
            let stream = if err { Stream::Stderr } else { Stream::Stdout };
            let header = Header { stream, segment, segment_bytes };
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
            prop_assert_eq!(Entry::decode(&header.encode()), None);
        }
    }

    #[test]
    fn zeros_are_neither() {
        assert_eq!(Entry::decode(&[0; ENTRY_BYTES]), None);
        assert_eq!(Header::decode(&[0; ENTRY_BYTES]), None);
    }
}
