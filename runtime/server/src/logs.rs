//! The output of jobs, on disk. Per job a directory `<state>/logs/<xx>/<id>/` ([`place`]) with
//!
//! - `stdout.000`, `stdout.001` …, `stderr.000` …: the bytes exactly as written, in segments of one size
//!   (`cat $(ls -v stdout.*)` is the output),
//! - `index.stdout.000` …: per segment, which bytes came when and in which order ([`index`]),
//! - `meta`: the size of a segment, and what was removed and why ([`meta`]).
//!
//! The files of bytes are the truth; index and meta add order, times and reasons. A byte is at segment
//! `offset / segment_bytes`, so no list has to be read to find one, and what is missing shows itself. Bytes that the
//! index does not know are still read; bytes that are not there are told as a gap: a reader never fails because of
//! what a crash or a power cut left.
//!
//! ```text
//! Writer::create | Writer::resume ── store(Source, over) ──▶ files     watch::Sender<Written> ──▶ how far, stalled, ended
//!                                                              │
//! Reader::open(directory, &Wanted, &Written) ── next(&Written) ◀── Chunk::Data | Chunk::Gap, in the order of arrival
//! written::load(directory) ──▶ Written of a log that nobody writes
//! removal::{remove, delete, measure}, place::Place
//! ```
//!
//! A writer moves bytes from the pipes into the files; any number of readers follow at their own pace, so a slow reader
//! slows neither the job nor another reader, and memory does not grow with what a job writes. The calls of a
//! [`reader::Reader`] read the page cache, at most 256 KiB at a time; a writer works on blocking threads, since a
//! kernel that is over its limit of dirty pages holds back whoever writes.
//!
//! Who ends what: `written.drained` says that every byte of the job is in the files, `written.ended` that they are on
//! the disk too, or that the writer was dropped.

mod engine;
pub mod fault;
pub mod index;
mod lookup;
pub mod meta;
mod piece;
pub mod place;
pub mod reader;
mod recover;
pub mod removal;
mod retain;
mod segment;
mod sync;
mod tape;
mod terminal;
pub mod writer;
pub mod written;

pub use fault::{Act, Fault};
pub use meta::GapReason;
pub use written::{Stall, Written};

use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes that are moved or read at a time, and the most in one chunk of the API.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Which stream of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output; with a terminal all output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both.
    pub const ALL: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    /// As in the names of files.
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Something for each of the two streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Both<T> {
    pub(crate) stdout: T,
    pub(crate) stderr: T,
}

impl<T> Both<T> {
    pub(crate) fn each(mut make: impl FnMut(Stream) -> T) -> Both<T> {
        Both { stdout: make(Stream::Stdout), stderr: make(Stream::Stderr) }
    }

    pub(crate) fn of(&self, stream: Stream) -> &T {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    pub(crate) fn of_mut(&mut self, stream: Stream) -> &mut T {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// The wall clock, in microseconds since 1970.
fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// An answer of the kernel, as the standard library says it.
fn from_kernel(error: runtime_sys::Error) -> std::io::Error {
    std::io::Error::from_raw_os_error(error.errno.0)
}

#[cfg(test)]
mod tests;
