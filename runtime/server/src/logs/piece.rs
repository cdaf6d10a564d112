//! One stream of a log, piece by piece: which bytes come next, when they came, or why they are not there.

use super::index::{Entry, Kind};
use super::lookup::{IndexFile, read_at};
use super::meta::{GapReason, Meta};
use super::{CHUNK_BYTES_MAX, Stream, segment};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Entries that are read at a time.
const ENTRIES_AT_ONCE: usize = 128;

/// Bytes that stand together and share a fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: u64,
    /// Greater than `from`.
    pub(super) until: u64,
    /// Its place among the pieces of both streams.
    pub(super) sequence: u64,
    /// When it came, or when it was removed.
    pub(super) time_us: u64,
    pub(super) kind: PieceKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    Stored { recovered: bool },
    Missing(GapReason),
}

/// A place in one stream.
#[derive(Debug)]
pub(super) struct Cursor {
    directory: PathBuf,
    stream: Stream,
    segment_bytes: u64,
    /// The next byte.
    pub(super) at: u64,
    open: Option<Open>,
    /// Of the piece before: order and time for bytes that no entry knows.
    last: (u64, u64),
}

/// The files of the segment in which the cursor is.
#[derive(Debug)]
struct Open {
    number: u64,
    data: File,
    /// Where the segment's bytes ended at the last look.
    stored_until: u64,
    index: Option<IndexFile>,
    /// Entries that were read and are not used up, with the number of the first.
    ahead: VecDeque<Entry>,
    ahead_number: u64,
    searched: bool,
}

impl Cursor {
    pub(super) fn new(directory: PathBuf, stream: Stream, segment_bytes: u64, at: u64) -> Cursor {
        Cursor { directory, stream, segment_bytes, at, open: None, last: (0, 0) }
    }

    /// What comes next in a stream that is `limit` long; `None` at its end. At most [`CHUNK_BYTES_MAX`] when stored.
    pub(super) fn next(&mut self, limit: u64) -> io::Result<Option<Piece>> {
        self.piece(self.at, limit)
    }

    /// The same from a later byte on. What is before it in the index is not asked for again.
    pub(super) fn piece(&mut self, at: u64, limit: u64) -> io::Result<Option<Piece>> {
        if at >= limit {
            return Ok(None);
        }
        let number = at / self.segment_bytes;
        let end = (number + 1).saturating_mul(self.segment_bytes).min(limit);
        if self.open.as_ref().is_none_or(|open| open.number != number) {
            self.open = self.open_segment(number)?;
        }
        let Some(open) = &mut self.open else { return self.removed(at, limit).map(Some) };
        if open.stored_until < end {
            let size = open.data.metadata()?.len();
            open.stored_until = (number * self.segment_bytes).saturating_add(size);
        }
        let (stored_until, entry) = (open.stored_until, open.entry(at)?);
        if let Some(entry) = entry.filter(|entry| entry.offset <= at) {
            self.last = (entry.sequence, entry.time_us);
        }
        let (sequence, time_us) = self.last;
        let missing = |until| Piece {
            from: at,
            until,
            sequence,
            time_us,
            kind: PieceKind::Missing(GapReason::Damaged),
        };
        let stored = |until: u64, recovered| {
            let until = until.min(stored_until).min(at.saturating_add(CHUNK_BYTES_MAX as u64));
            Piece { from: at, until, sequence, time_us, kind: PieceKind::Stored { recovered } }
        };
        Ok(Some(match entry {
            Some(entry) if entry.offset <= at && entry.kind == Kind::Lost => missing(entry.end().min(end)),
            _ if at >= stored_until => missing(end),
            Some(entry) if entry.offset <= at => stored(entry.end().min(end), entry.kind == Kind::Recovered),
            Some(entry) => stored(entry.offset.min(end), true),
            None => stored(end, true),
        }))
    }

    /// Reads the bytes of a piece, of this segment; fewer where the file was cut meanwhile.
    pub(super) fn read(&self, from: u64, until: u64) -> io::Result<Vec<u8>> {
        let Some(open) = &self.open else { return Ok(Vec::new()) };
        let mut bytes = vec![0; usize::try_from(until - from).map_err(io::Error::other)?];
        let filled = read_at(&open.data, &mut bytes, from % self.segment_bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Whether a segment ends before this byte.
    pub(super) fn is_border(&self, at: u64) -> bool {
        at.is_multiple_of(self.segment_bytes)
    }

    fn open_segment(&self, number: u64) -> io::Result<Option<Open>> {
        let data = match File::open(segment::data_path(&self.directory, self.stream, number)) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let index = IndexFile::open(&self.directory, self.stream, number)?;
        let (ahead, ahead_number) = (VecDeque::new(), 0);
        Ok(Some(Open { number, data, stored_until: 0, index, ahead, ahead_number, searched: false }))
    }

    /// The segment is not there: says how much is missing, and why.
    fn removed(&self, at: u64, limit: u64) -> io::Result<Piece> {
        let state = Meta::load(&self.directory)?.state;
        let (sequence, last_time_us) = self.last;
        let piece = |until: u64, time_us, reason| {
            let kind = PieceKind::Missing(reason);
            Piece { from: at, until: until.min(limit), sequence, time_us, kind }
        };
        if let Some(removed) = state.and_then(|state| state.removed) {
            return Ok(piece(limit, removed.time_us, removed.reason));
        }
        if let Some(gap) = state.map(|state| *state.gaps.of(self.stream))
            && (gap.from..gap.until).contains(&at)
        {
            return Ok(piece(gap.until, gap.time_us, GapReason::JobCap));
        }
        let number = at / self.segment_bytes;
        let next = segment::list(&self.directory, self.stream)?.into_iter().find(|there| *there > number);
        let until = next.map_or(limit, |next| next.saturating_mul(self.segment_bytes));
        Ok(piece(until, last_time_us, GapReason::Damaged))
    }
}

impl Open {
    /// The entry with this byte, or the first one behind it as far as is known.
    fn entry(&mut self, at: u64) -> io::Result<Option<Entry>> {
        self.skip(at);
        if let Some(entry) = self.ahead.front() {
            return Ok(Some(*entry));
        }
        let Some(index) = &self.index else { return Ok(None) };
        if !self.searched {
            self.searched = true;
            self.ahead_number = index.find(|entry| entry.end() > at)?;
        }
        // Once more from the last one that was known: it may have grown.
        let first = self.ahead_number.saturating_sub(1);
        self.ahead = index.read(first, ENTRIES_AT_ONCE)?.into();
        self.ahead_number = first;
        self.skip(at);
        Ok(self.ahead.front().copied())
    }

    fn skip(&mut self, at: u64) {
        while self.ahead.front().is_some_and(|entry| entry.end() <= at) {
            self.ahead.pop_front();
            self.ahead_number += 1;
        }
    }
}
