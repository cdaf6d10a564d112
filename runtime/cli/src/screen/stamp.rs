//! A time before each line: the one at which the line's first byte came.

use bytes::Bytes;
use prost_types::Timestamp;

use crate::text::stream::Escaper;

/// Decimals are always three, so that lines stand below each other.
const NANOS_PER_MILLI: i32 = 1_000_000;

/// Whether a line has begun.
#[derive(Debug, Default)]
pub struct Stamp {
    in_line: bool,
}

impl Stamp {
    /// The chunk with its stamps; the bytes themselves go through the escaper, when there is one.
    pub fn push(&mut self, bytes: &[u8], time: Option<&Timestamp>, escaper: &mut Option<Escaper>) -> Bytes {
        let mark = time.map(mark).unwrap_or_default();
        let mut out = Vec::with_capacity(bytes.len() + mark.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.in_line {
                out.extend_from_slice(mark.as_bytes());
            }
            match escaper {
                Some(escaper) => out.extend_from_slice(escaper.push(line).as_bytes()),
                None => out.extend_from_slice(line),
            }
            self.in_line = !line.ends_with(b"\n");
        }
        out.into()
    }
}

fn mark(time: &Timestamp) -> String {
    let whole = Timestamp { nanos: 0, ..*time }.to_string();
    let milliseconds = time.nanos / NANOS_PER_MILLI;
    format!("{}.{milliseconds:03}Z ", whole.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_stamped_once_when_it_begins() {
        let first = Timestamp { seconds: 1_700_000_000, nanos: 5_999_999 };
        let second = Timestamp { seconds: 1_700_000_001, nanos: 0 };
        let mut stamp = Stamp::default();
        let mut out = stamp.push(b"one\ntw", Some(&first), &mut None).to_vec();
        out.extend(stamp.push(b"o\n\nthree", Some(&second), &mut None));
        let expected = "2023-11-14T22:13:20.005Z one\n2023-11-14T22:13:20.005Z two\n2023-11-14T22:13:21.000Z \n2023-11-14T22:13:21.000Z three";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn lines_are_escaped_and_stamps_are_not() {
        let mut stamp = Stamp::default();
        let out = stamp.push(b"\x1b[2J\n", None, &mut Some(Escaper::default()));
        assert_eq!(out.as_ref(), b"\\x1b[2J\n");
    }
}
