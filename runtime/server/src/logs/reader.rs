//! Reads a log in the order in which the job wrote it, from any place in each stream, while it grows or afterwards.
//!
//! A reader never waits: it is told how far the log has come, and answers with the next chunk or none. It holds at most
//! the files of one segment of each stream, and no more than one chunk and a few entries of the index.

use super::meta::Meta;
use super::piece::{Cursor, Piece, PieceKind};
use super::{Both, CHUNK_BYTES_MAX, GapReason, Stream, Written, lookup};
use bytes::Bytes;
use std::io;
use std::path::Path;

/// Bytes that came within this time of each other are told in one chunk, where nothing of the other stream is between.
const JOIN_US: u64 = 20_000;

/// The first byte that is wanted, for each stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct From {
    /// Of stdout.
    pub stdout_offset: u64,
    /// Of stderr.
    pub stderr_offset: u64,
}

/// Which part of a log is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Nothing before these bytes.
    pub from: From,
    /// Only this stream.
    pub only: Option<Stream>,
    /// Nothing that came before this time, in microseconds since 1970.
    pub since_us: Option<u64>,
    /// Of what there is when the reader is opened, only the last so many bytes of each stream.
    pub tail_bytes: Option<u64>,
}

impl std::convert::From<From> for Wanted {
    fn from(from: From) -> Wanted {
        Wanted { from, ..Wanted::default() }
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Some output.
    Data(Data),
    /// Output that is not there any more.
    Gap(Gap),
}

/// Some output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Of which stream.
    pub stream: Stream,
    /// Where in that stream its first byte stands.
    pub offset: u64,
    /// When its last byte was read from the job, in microseconds since 1970; the others came at most a second before.
    pub time_us: u64,
    /// Found after a crash: the time is rough, and so is the place among the bytes of the other stream.
    pub recovered: bool,
    /// The bytes: at least 1, at most [`CHUNK_BYTES_MAX`].
    pub data: Bytes,
}

/// Output that is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Of which stream.
    pub stream: Stream,
    /// Where in that stream its first byte stood, or the first that was wanted.
    pub offset: u64,
    /// How many bytes, at least 1.
    pub length: u64,
    /// Why.
    pub reason: GapReason,
    /// When it was removed, or for damage: when the bytes before it came; in microseconds since 1970.
    pub time_us: u64,
}

/// A place in a log.
#[derive(Debug)]
pub struct Reader {
    /// Of the streams that are wanted.
    cursors: Both<Option<Cursor>>,
}

impl Reader {
    /// Opens a log that has come this far. The cost does not grow with the log.
    ///
    /// # Errors
    /// What the file system says. What is not there is told as a gap, a whole directory, too.
    pub fn open(directory: &Path, wanted: impl Into<Wanted>, written: &Written) -> io::Result<Reader> {
        let wanted = wanted.into();
        let segment_bytes = Meta::load(directory)?.segment_bytes();
        let start = |stream| -> io::Result<u64> {
            let bytes = written.of(stream);
            let from = match stream {
                Stream::Stdout => wanted.from.stdout_offset,
                Stream::Stderr => wanted.from.stderr_offset,
            };
            let tail = wanted.tail_bytes.map_or(0, |tail| bytes.saturating_sub(tail));
            let since = match wanted.since_us {
                Some(time_us) => lookup::since(directory, stream, segment_bytes, time_us, bytes)?,
                None => 0,
            };
            Ok(from.max(tail).max(since))
        };
        let mut cursors = Both { stdout: None, stderr: None };
        for stream in Stream::ALL.into_iter().filter(|stream| wanted.only.is_none_or(|only| only == *stream))
        {
            let cursor = Cursor::new(directory.to_owned(), stream, segment_bytes, start(stream)?);
            *cursors.of_mut(stream) = Some(cursor);
        }
        Ok(Reader { cursors })
    }

    /// The byte of each stream that comes next; of a stream that is not wanted 0.
    pub fn cursor(&self) -> From {
        let at = |cursor: &Option<Cursor>| cursor.as_ref().map_or(0, |cursor| cursor.at);
        From { stdout_offset: at(&self.cursors.stdout), stderr_offset: at(&self.cursors.stderr) }
    }

    /// The next chunk of a log that has come this far; `None` when there is none yet.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next(&mut self, written: &Written) -> io::Result<Option<Chunk>> {
        let mut pieces = Both::default();
        for stream in Stream::ALL {
            if let Some(cursor) = self.cursors.of_mut(stream) {
                *pieces.of_mut(stream) = cursor.next(written.of(stream))?;
            }
        }
        let (stream, piece, other) = match (pieces.stdout, pieces.stderr) {
            (Some(out), Some(err)) if out.sequence <= err.sequence => (Stream::Stdout, out, Some(err)),
            (Some(out), None) => (Stream::Stdout, out, None),
            (out, Some(err)) => (Stream::Stderr, err, out),
            (None, None) => return Ok(None),
        };
        let Some(cursor) = self.cursors.of_mut(stream) else { return Ok(None) };
        take(cursor, stream, piece, other, written.of(stream)).map(Some)
    }
}

/// Turns a piece into a chunk, together with what belongs to it, and moves on.
fn take(
    cursor: &mut Cursor,
    stream: Stream,
    first: Piece,
    other: Option<Piece>,
    limit: u64,
) -> io::Result<Chunk> {
    let gap = |until: u64, reason, time_us| {
        let length = until - first.from;
        Chunk::Gap(Gap { stream, offset: first.from, length, reason, time_us })
    };
    let recovered = match first.kind {
        PieceKind::Missing(reason) => {
            cursor.at = first.until;
            return Ok(gap(first.until, reason, first.time_us));
        }
        PieceKind::Stored { recovered } => recovered,
    };
    let mut last = first;
    while !cursor.is_border(last.until) {
        let Some(next) = cursor.piece(last.until, limit)? else { break };
        let fits = next.kind == first.kind
            && next.until - first.from <= CHUNK_BYTES_MAX as u64
            && next.time_us.saturating_sub(first.time_us) <= JOIN_US
            && other.is_none_or(|other| next.sequence < other.sequence);
        if !fits {
            break;
        }
        last = next;
    }
    let data = cursor.read(first.from, last.until)?;
    if data.is_empty() {
        // The file was cut after the look at its size: somebody damages it.
        cursor.at = last.until;
        return Ok(gap(last.until, GapReason::Damaged, last.time_us));
    }
    cursor.at = first.from + data.len() as u64;
    Ok(Chunk::Data(Data { stream, offset: first.from, time_us: last.time_us, recovered, data: data.into() }))
}
