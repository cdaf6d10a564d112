//! The keys that leave a job without ending it: Ctrl-P, then Ctrl-Q. Pure.
//!
//! A Ctrl-P waits for the key behind it; what is not the sequence goes to the job, whole and in order.

use bytes::Bytes;

const FIRST: u8 = 0x10;
const SECOND: u8 = 0x11;

/// What was typed so far.
#[derive(Debug, Default)]
pub struct DetachKeys {
    /// A Ctrl-P is held back.
    held: bool,
}

impl DetachKeys {
    /// What goes to the job, and whether to leave; what stands behind the sequence is nobody's.
    pub fn push(&mut self, typed: &[u8]) -> (Bytes, bool) {
        let mut out = Vec::with_capacity(typed.len() + 1);
        for &byte in typed {
            match (self.held, byte) {
                (true, SECOND) => return (out.into(), true),
                (true, FIRST) => out.push(FIRST),
                (true, _) => {
                    self.held = false;
                    out.extend([FIRST, byte]);
                }
                (false, FIRST) => self.held = true,
                (false, _) => out.push(byte),
            }
        }
        (out.into(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is typed piece by piece, what the job gets, and whether that leaves.
    type Row<'a> = (&'a [&'a [u8]], &'a [u8], bool);

    #[test]
    fn only_the_whole_sequence_leaves() {
        let table: [Row<'_>; 6] = [
            (&[b"ab"], b"ab", false),
            (&[b"a\x10\x11b"], b"a", true),
            (&[b"\x10", b"\x11"], b"", true),
            (&[b"\x10", b"x\x11"], b"\x10x\x11", false),
            (&[b"\x10\x10\x11"], b"\x10", true),
            (&[b"\x11\x10"], b"\x11", false),
        ];
        for (typed, sent, left) in table {
            let mut keys = DetachKeys::default();
            let results: Vec<_> = typed.iter().map(|typed| keys.push(typed)).collect();
            let all: Vec<u8> = results.iter().flat_map(|(bytes, _)| bytes.to_vec()).collect();
            assert_eq!((all.as_slice(), results.iter().any(|(_, leave)| *leave)), (sent, left), "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn without_the_sequence_every_key_arrives(typed in proptest::collection::vec(prop_oneof![Just(FIRST), Just(b'x'), any::<u8>()], 0..50)) {
            prop_assume!(!typed.windows(2).any(|pair| pair == [FIRST, SECOND]));
            let mut keys = DetachKeys::default();
            let mut sent: Vec<u8> = typed.iter().flat_map(|key| keys.push(&[*key]).0.to_vec()).collect();
            sent.extend(keys.held.then_some(FIRST));
            prop_assert_eq!(sent, typed);
        }
    }
}
