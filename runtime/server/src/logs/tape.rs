//! The writing side of one stream: its current segment and the end of its index. It decides nothing about other streams.

use super::index::{ENTRY_BYTES, Entry, Header, Kind};
use super::{Stream, from_kernel, segment};
use runtime_sys::pipe;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes that come so soon after those of the last entry are added to it, if nothing of the other stream came between.
const JOIN: Duration = Duration::from_millis(5);
/// The same when the index of the segment has grown to a hundredth of its bytes or so.
const JOIN_LATER: Duration = Duration::from_millis(50);
/// And when it is a quarter of them: from here on, also over bytes of the other stream, so that a job that alternates
/// single bytes makes an index of bounded size. The order between the streams is then exact to a second.
const JOIN_HEAVY: Duration = Duration::from_secs(1);
/// Entries of a segment until [`JOIN_LATER`]: one for so many of its bytes, and no fewer and no more than these.
const LATER: (u64, u64, u64) = (2_048, 16, 4_096);
/// And until [`JOIN_HEAVY`]: 2 MiB of index.
const HEAVY: (u64, u64, u64) = (128, 64, 65_536);

/// One stream of a log that is being written.
#[derive(Debug)]
pub(super) struct Tape {
    pub(super) stream: Stream,
    directory: PathBuf,
    segment_bytes: u64,
    /// How long the stream is.
    pub(super) bytes: u64,
    /// Of the last entry: times do not fall, whatever the clock does.
    pub(super) time_us: u64,
    pub(super) open: Option<Files>,
    /// The first segment with bytes that no sync has covered yet.
    pub(super) dirty_from: Option<u64>,
}

/// The files of the current segment.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) number: u64,
    pub(super) data: File,
    pub(super) index: File,
    pub(super) entries: u64,
    /// The last entry of this segment, and when it was begun; without that it does not grow any more.
    pub(super) last: Option<(Entry, Option<Instant>)>,
}

/// What is known about bytes that are in the file and in no entry yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    pub(super) stream: Stream,
    /// At least 1.
    pub(super) bytes: u32,
    pub(super) at: Instant,
    pub(super) time_us: u64,
    /// The number for a new entry.
    pub(super) sequence: u64,
    /// Whether bytes of the other stream came after the last entry of this one.
    pub(super) interrupted: bool,
}

impl Tape {
    /// A stream that is so long, its last segment not open.
    pub(super) fn new(directory: &Path, stream: Stream, segment_bytes: u64, bytes: u64) -> Tape {
        let directory = directory.to_owned();
        Tape { stream, directory, segment_bytes, bytes, time_us: 0, open: None, dirty_from: None }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// The number of the segment to which the next byte belongs.
    pub(super) fn number(&self) -> u64 {
        self.bytes / self.segment_bytes
    }

    /// Whether the files of that segment have yet to be made.
    pub(super) fn needs_segment(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.number != self.number())
    }

    /// Makes them. Nothing was ever written to that segment.
    pub(super) fn open_segment(&mut self) -> io::Result<()> {
        let number = self.number();
        // Not for appending: splice refuses such files.
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let data = options.open(segment::data_path(&self.directory, self.stream, number))?;
        let index = options.open(segment::index_path(&self.directory, self.stream, number))?;
        self.write_header(&index, number)?;
        self.open = Some(Files { number, data, index, entries: 0, last: None });
        Ok(())
    }

    pub(super) fn write_header(&self, index: &File, number: u64) -> io::Result<()> {
        let segment = u32::try_from(number).map_err(io::Error::other)?;
        let header = Header { stream: self.stream, segment, segment_bytes: self.segment_bytes };
        index.write_all_at(&header.encode(), 0)
    }

    /// Moves up to `max` bytes from a pipe to the end of the segment, without waiting.
    pub(super) fn splice(&self, from: BorrowedFd<'_>, max: u64) -> io::Result<usize> {
        let Some(open) = &self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let at = self.bytes % self.segment_bytes;
        let max = usize::try_from(max.min(self.segment_bytes - at)).unwrap_or(usize::MAX);
        pipe::splice_to_file(from, open.data.as_fd(), at, max).map_err(from_kernel)
    }

    /// Enters bytes that are in the file. Whether that made a new entry.
    pub(super) fn enter(&mut self, arrived: &Arrived) -> io::Result<bool> {
        let time_us = arrived.time_us.max(self.time_us);
        let (offset, segment_bytes) = (self.bytes, self.segment_bytes);
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let (entry, begun, new) = match open.last {
            Some((last, Some(begun))) if may_join(&last, begun, open.entries, segment_bytes, arrived) => {
                (Entry { length: last.length + arrived.bytes, time_us, ..last }, begun, false)
            }
            _ => {
                let (length, sequence) = (arrived.bytes, arrived.sequence);
                (Entry { kind: Kind::Data, offset, length, time_us, sequence }, arrived.at, true)
            }
        };
        open.put(&entry, Some(begun), new)?;
        self.bytes = entry.end();
        self.time_us = time_us;
        self.dirty_from.get_or_insert(open.number);
        Ok(new)
    }
}

impl Files {
    /// Writes an entry: a new one, or the last one again.
    pub(super) fn put(&mut self, entry: &Entry, begun: Option<Instant>, new: bool) -> io::Result<()> {
        let entries = self.entries + u64::from(new);
        // The header counts as one.
        self.index.write_all_at(&entry.encode(), entries * ENTRY_BYTES as u64)?;
        self.entries = entries;
        self.last = Some((*entry, begun));
        Ok(())
    }
}

fn may_join(last: &Entry, begun: Instant, entries: u64, segment_bytes: u64, arrived: &Arrived) -> bool {
    let many = |(share, min, max): (u64, u64, u64)| entries > (segment_bytes / share).clamp(min, max);
    let (window, over_others) = if many(HEAVY) {
        (JOIN_HEAVY, true)
    } else if many(LATER) {
        (JOIN_LATER, false)
    } else {
        (JOIN, false)
    };
    last.kind == Kind::Data
        && last.has_room(u64::from(arrived.bytes))
        && (over_others || !arrived.interrupted)
        && arrived.at.saturating_duration_since(begun) < window
}
