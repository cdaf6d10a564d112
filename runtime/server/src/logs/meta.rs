//! What a log says about itself as a whole: the size of its segments, and what was removed and why.
//!
//! The file `meta` has two places of 128 bytes, in two sectors of one block: each change goes to the older one, so a
//! power cut leaves the other, and a full disk can still be told what was removed to make room. If neither is
//! readable, the log is: the size of a segment stands in each index, too, and what is missing shows itself.

use super::index::{ENTRY_BYTES, Header, SEGMENT_BYTES_MAX, checksum};
use super::{Both, Stream, segment};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Of each of the two places.
const STATE_BYTES: usize = 128;
/// Where the second one is: the next sector.
const SECOND_AT: u64 = 512;
const MAGIC: [u8; 8] = *b"JOBMETA1";
const CHECK_AT: usize = 124;
const HEAD_CHOSEN: u64 = 1;
const REMOVED: u64 = 2;
/// Where the size of a segment is neither in `meta` nor in an index.
const SEGMENT_BYTES_UNKNOWN: u64 = 64 * 1024 * 1024;

/// Why bytes are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The cap of the job's own log.
    JobCap,
    /// The cap of all logs of its org.
    OrgCap,
    /// Its age.
    Age,
    /// Whoever started it wanted no output kept.
    NotKept,
    /// A power cut or a damaged disk.
    Damaged,
}

impl GapReason {
    const ALL: [GapReason; 5] =
        [GapReason::JobCap, GapReason::OrgCap, GapReason::Age, GapReason::NotKept, GapReason::Damaged];
}

/// What the cap of a job removed from the middle of a stream: whole segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CapGap {
    /// The first byte after the kept head.
    pub(super) from: u64,
    /// The first byte that is there again; `from` while nothing is removed.
    pub(super) until: u64,
    /// When the last of it went, in microseconds since 1970.
    pub(super) time_us: u64,
}

/// A log that was removed whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) reason: GapReason,
    pub(super) time_us: u64,
    /// What the streams were long.
    pub(super) bytes: Both<u64>,
}

/// What `meta` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Rises with each change.
    pub(super) generation: u64,
    /// At least 1.
    pub(super) segment_bytes: u64,
    /// Whether the ends of the heads are fixed: with the first removal.
    pub(super) head_chosen: bool,
    pub(super) gaps: Both<CapGap>,
    pub(super) removed: Option<Removed>,
}

/// A log's `meta` as found.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    /// `None` when there is none that can be read.
    pub(super) state: Option<State>,
    directory: PathBuf,
}

impl State {
    pub(super) fn new(segment_bytes: u64) -> State {
        State { generation: 0, segment_bytes, head_chosen: false, gaps: Both::default(), removed: None }
    }

    pub(super) fn encode(&self) -> [u8; STATE_BYTES] {
        let flags =
            if self.head_chosen { HEAD_CHOSEN } else { 0 } | if self.removed.is_some() { REMOVED } else { 0 };
        let removed = self.removed.map_or([0; 4], |removed| {
            [removed.reason as u64, removed.time_us, removed.bytes.stdout, removed.bytes.stderr]
        });
        let (out, err) = (self.gaps.stdout, self.gaps.stderr);
        let numbers = [flags, self.generation, self.segment_bytes].into_iter().chain(removed).chain([
            out.from,
            out.until,
            out.time_us,
            err.from,
            err.until,
            err.time_us,
        ]);
        let mut bytes = [0; STATE_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        for (place, number) in bytes[8..CHECK_AT].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let check = checksum(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<State> {
        let bytes = bytes.get(..STATE_BYTES)?;
        if !bytes.starts_with(&MAGIC) || bytes[CHECK_AT..] != checksum(&bytes[..CHECK_AT]).to_le_bytes() {
            return None;
        }
        let mut numbers = [0_u64; 13];
        for (number, place) in numbers.iter_mut().zip(bytes[8..CHECK_AT].as_chunks::<8>().0) {
            *number = u64::from_le_bytes(*place);
        }
        let [flags, generation, segment_bytes, reason, time_us, stdout, stderr, o0, o1, o2, e0, e1, e2] =
            numbers;
        let removed = if flags & REMOVED == 0 {
            None
        } else {
            let reason = *GapReason::ALL.get(usize::try_from(reason).ok()?)?;
            Some(Removed { reason, time_us, bytes: Both { stdout, stderr } })
        };
        let gaps = Both {
            stdout: CapGap { from: o0, until: o1, time_us: o2 },
            stderr: CapGap { from: e0, until: e1, time_us: e2 },
        };
        let sound = (1..=SEGMENT_BYTES_MAX).contains(&segment_bytes) && o0 <= o1 && e0 <= e1;
        sound.then_some(State {
            generation,
            segment_bytes,
            head_chosen: flags & HEAD_CHOSEN != 0,
            gaps,
            removed,
        })
    }

    /// Writes it to the older of the two places.
    pub(super) fn save(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.encode(), if self.generation.is_multiple_of(2) { 0 } else { SECOND_AT })
    }
}

impl Meta {
    /// Looks for it; a directory without one is no error.
    pub(super) fn load(directory: &Path) -> io::Result<Meta> {
        let mut meta = Meta { state: None, directory: directory.to_owned() };
        let file = match File::open(path(directory)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(meta),
            Err(error) => return Err(error),
        };
        for at in [0, SECOND_AT] {
            let mut bytes = [0; STATE_BYTES];
            match file.read_exact_at(&mut bytes, at) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            }
            let found = State::decode(&bytes);
            meta.state = [meta.state, found].into_iter().flatten().max_by_key(|state| state.generation);
        }
        Ok(meta)
    }

    /// The size of its segments: from `meta`, else from an index.
    pub(super) fn segment_bytes(&self) -> u64 {
        let from_index = || {
            Stream::ALL.into_iter().find_map(|stream| {
                let indexes = segment::list_indexes(&self.directory, stream).ok()?;
                indexes.into_iter().find_map(|number| {
                    let file = File::open(segment::index_path(&self.directory, stream, number)).ok()?;
                    let mut bytes = [0; ENTRY_BYTES];
                    file.read_exact_at(&mut bytes, 0).ok()?;
                    Header::decode(&bytes).map(|header| header.segment_bytes)
                })
            })
        };
        let known = self.state.map(|state| state.segment_bytes).or_else(from_index);
        known.unwrap_or(SEGMENT_BYTES_UNKNOWN)
    }
}

/// Where it is.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("meta")
}

/// Opens it for changes, and makes it if need be.
pub(super) fn open(directory: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path(directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> impl Strategy<Value = State> {
        let gap = || {
            (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, time_us)| CapGap {
                from: a.min(b),
                until: a.max(b),
                time_us,
            })
        };
        let removed =
            (0..GapReason::ALL.len(), any::<[u64; 3]>()).prop_map(|(reason, [time_us, stdout, stderr])| {
                Removed { reason: GapReason::ALL[reason], time_us, bytes: Both { stdout, stderr } }
            });
        (any::<(u64, bool)>(), 1..=SEGMENT_BYTES_MAX, gap(), gap(), proptest::option::of(removed)).prop_map(
            |((generation, head_chosen), segment_bytes, stdout, stderr, removed)| State {
                generation,
                segment_bytes,
                head_chosen,
                gaps: Both { stdout, stderr },
                removed,
            },
        )
    }

    proptest! {
        #[test]
        fn a_state_comes_back_and_damage_is_noticed(state in state(), at in 0..STATE_BYTES, change in 1_u8..) {
            let mut bytes = state.encode();
            prop_assert_eq!(State::decode(&bytes), Some(state));
            bytes[at] ^= change;
            prop_assert_eq!(State::decode(&bytes), None);
        }
    }

    #[test]
    fn the_newer_of_the_two_counts_and_the_older_when_that_is_damaged() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(Meta::load(place.path()).unwrap().state, None);
        let file = open(place.path()).unwrap();
        let mut states = Vec::new();
        for generation in 0..3 {
            let state = State { generation, ..State::new(4_096 + generation) };
            state.save(&file).unwrap();
            states.push(state);
            assert_eq!(Meta::load(place.path()).unwrap().state, Some(state));
        }
        file.write_all_at(b"torn", 20).unwrap();
        assert_eq!(Meta::load(place.path()).unwrap().state, Some(states[1]));
        file.set_len(600).unwrap();
        assert_eq!(Meta::load(place.path()).unwrap().state, None);
    }
}
