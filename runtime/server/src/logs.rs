//! The output of jobs, on disk: per job a directory with `stdout.000` and `stderr.000`, the bytes exactly as written,
//! and an `index` of what came when.
//!
//! The files are the truth. A writer moves bytes from the pipes into them; any number of readers follow at their own
//! pace, so a slow reader slows neither the job nor another reader, and memory does not grow with what a job writes.
//! Reads and writes of the page cache are done where they are asked for, at most 256 KiB at a time.

pub mod index;
pub mod reader;
pub mod writer;

use std::path::{Path, PathBuf};

/// Bytes that are moved or read at a time, and the most in one chunk of the API.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Which stream of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How far a log has come. Only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Entries of the index.
    pub entries: u64,
    /// Bytes of stdout.
    pub stdout_bytes: u64,
    /// Bytes of stderr.
    pub stderr_bytes: u64,
    /// No more will come.
    pub ended: bool,
}

impl Written {
    /// Bytes of both streams.
    pub fn bytes(&self) -> u64 {
        self.stdout_bytes.saturating_add(self.stderr_bytes)
    }
}

/// The file of a stream in a job's directory. Segments are numbered; this version writes one.
fn stream_path(directory: &Path, stream: Stream) -> PathBuf {
    directory.join(match stream {
        Stream::Stdout => "stdout.000",
        Stream::Stderr => "stderr.000",
    })
}

fn index_path(directory: &Path) -> PathBuf {
    directory.join("index")
}

#[cfg(test)]
mod tests;
