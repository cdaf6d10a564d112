//! How far a log has come: what a writer tells, and what is found on disk when nobody writes.

use super::meta::Meta;
use super::{Stream, lookup, segment};
use runtime_sys::Errno;
use std::io;
use std::path::Path;
use std::time::Instant;

/// How far a log has come. The counts only ever grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Entries that this writer made in the index; 0 for a log that was loaded. For curiosity: readers do not need it.
    pub entries: u64,
    /// Bytes of stdout, removed ones included: the next cursor.
    pub stdout_bytes: u64,
    /// Bytes of stderr, removed ones included.
    pub stderr_bytes: u64,
    /// Bytes that this writer removed to keep the log under its own cap.
    pub capped_bytes: u64,
    /// When the last byte came from the job, stored or not; `None` before the first that this writer saw.
    pub last_byte: Option<Instant>,
    /// Why bytes wait in the pipe at this moment. It goes away by itself when there is space.
    pub stalled: Option<Stall>,
    /// The disk once refused to confirm what was written: a power cut may take more than the last second.
    pub sync_failed: bool,
    /// All pipes have ended and every byte is in the files; what remains is to wait for the disk.
    pub drained: bool,
    /// No more will come, and nothing more is done.
    pub ended: bool,
}

impl Written {
    /// Bytes of both streams.
    pub fn bytes(&self) -> u64 {
        self.stdout_bytes.saturating_add(self.stderr_bytes)
    }

    /// Bytes of one stream.
    pub fn of(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Stdout => self.stdout_bytes,
            Stream::Stderr => self.stderr_bytes,
        }
    }

    pub(super) fn of_mut(&mut self, stream: Stream) -> &mut u64 {
        match stream {
            Stream::Stdout => &mut self.stdout_bytes,
            Stream::Stderr => &mut self.stderr_bytes,
        }
    }
}

/// Why output waits in the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// The disk is full (ENOSPC).
    NoSpace,
    /// A quota is used up (EDQUOT).
    Quota,
    /// The file system became read-only (EROFS), as after an error of the disk.
    ReadOnly,
    /// The disk answers with errors (EIO).
    Broken,
    /// This process has no descriptor or no memory left for the files (EMFILE, ENFILE, ENOMEM).
    Exhausted,
}

impl Stall {
    /// What an answer of the file system means; `None` when waiting does not help.
    pub fn of(error: &io::Error) -> Option<Stall> {
        let errno = error.raw_os_error().map(Errno);
        match error.kind() {
            io::ErrorKind::StorageFull => Some(Stall::NoSpace),
            io::ErrorKind::QuotaExceeded => Some(Stall::Quota),
            io::ErrorKind::ReadOnlyFilesystem => Some(Stall::ReadOnly),
            _ if errno == Some(Errno::EIO) => Some(Stall::Broken),
            _ if errno
                .is_some_and(|errno| [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM].contains(&errno)) =>
            {
                Some(Stall::Exhausted)
            }
            _ => None,
        }
    }

    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Stall::NoSpace => "disk full",
            Stall::Quota => "quota used up",
            Stall::ReadOnly => "file system is read-only",
            Stall::Broken => "disk error",
            Stall::Exhausted => "the server has no descriptors or memory left",
        }
    }
}

/// How far a log came that nobody writes now, `ended` set. Cheap: it looks at names, sizes and the end of each index.
/// Nothing is changed; a directory that does not exist is a log of nothing.
///
/// # Errors
/// What the file system says.
pub fn load(directory: &Path) -> io::Result<Written> {
    let meta = Meta::load(directory)?;
    let mut written = Written { drained: true, ended: true, ..Written::default() };
    for stream in Stream::ALL {
        *written.of_mut(stream) = match &meta.state {
            Some(state) => match state.removed {
                Some(removed) => *removed.bytes.of(stream),
                None => {
                    stream_bytes(directory, stream, state.segment_bytes)?.max(state.gaps.of(stream).until)
                }
            },
            None => stream_bytes(directory, stream, meta.segment_bytes())?,
        };
    }
    Ok(written)
}

/// Where a stream ends: after the last byte of its last segment, or after the last byte that its index knows.
fn stream_bytes(directory: &Path, stream: Stream, segment_bytes: u64) -> io::Result<u64> {
    let Some(last) = segment::list(directory, stream)?.last().copied() else { return Ok(0) };
    let start = last.saturating_mul(segment_bytes);
    let stored = segment::data_bytes(directory, stream, last)?.min(segment_bytes);
    let known = lookup::end(directory, stream, last)?.unwrap_or(0).min(start.saturating_add(segment_bytes));
    Ok(start.saturating_add(stored).max(known))
}
