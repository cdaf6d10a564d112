//! Reads a log in the order in which the job wrote it, from any place in each stream, while it grows or afterwards.
//!
//! A reader never waits: it is told how far the log has come, and answers with the next chunk or none.

use super::index::{ENTRY_BYTES, Entry};
use super::{Stream, Written, index_path, stream_path};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Entries that are read at a time.
const ENTRIES_AT_ONCE: usize = 128;

/// The first byte that is wanted, for each stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct From {
    /// Of stdout.
    pub stdout_offset: u64,
    /// Of stderr.
    pub stderr_offset: u64,
}

/// Some output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Of which stream.
    pub stream: Stream,
    /// Where in that stream its first byte stands.
    pub offset: u64,
    /// When it was read from the job, in microseconds since 1970.
    pub time_us: u64,
    /// The bytes, at least 1.
    pub data: Bytes,
}

/// A place in a log.
#[derive(Debug)]
pub struct Reader {
    stdout: File,
    stderr: File,
    index: File,
    from: From,
    next_entry: u64,
    read_ahead: std::collections::VecDeque<Entry>,
}

impl Reader {
    /// Opens a log.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(directory: &Path, from: From) -> io::Result<Reader> {
        Ok(Reader {
            stdout: File::open(stream_path(directory, Stream::Stdout))?,
            stderr: File::open(stream_path(directory, Stream::Stderr))?,
            index: File::open(index_path(directory))?,
            from,
            next_entry: 0,
            read_ahead: std::collections::VecDeque::new(),
        })
    }

    /// The next chunk of a log that has come this far; `None` when there is none yet.
    ///
    /// # Errors
    /// What the file system says, and `InvalidData` for an index that is damaged.
    pub fn next(&mut self, written: &Written) -> io::Result<Option<Chunk>> {
        loop {
            if self.read_ahead.is_empty() {
                self.read_entries(written.entries)?;
            }
            let Some(entry) = self.read_ahead.pop_front() else { return Ok(None) };
            if let Some(chunk) = self.read_chunk(entry)? {
                return Ok(Some(chunk));
            }
        }
    }

    /// Reads the entries that follow, as far as they are written.
    fn read_entries(&mut self, entries: u64) -> io::Result<()> {
        let waiting = usize::try_from(entries.saturating_sub(self.next_entry)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; waiting.min(ENTRIES_AT_ONCE) * ENTRY_BYTES];
        self.index.read_exact_at(&mut bytes, self.next_entry * ENTRY_BYTES as u64)?;
        let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
        for entry in entries {
            let entry = Entry::decode(entry)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the index is damaged"))?;
            self.read_ahead.push_back(entry);
            self.next_entry += 1;
        }
        Ok(())
    }

    /// The part of an entry that is wanted, if there is one.
    fn read_chunk(&self, entry: Entry) -> io::Result<Option<Chunk>> {
        let (file, wanted) = match entry.stream {
            Stream::Stdout => (&self.stdout, self.from.stdout_offset),
            Stream::Stderr => (&self.stderr, self.from.stderr_offset),
        };
        let end = entry.offset.saturating_add(u64::from(entry.length));
        let offset = entry.offset.max(wanted);
        if offset >= end || entry.length as usize > super::CHUNK_BYTES_MAX {
            return Ok(None);
        }
        let mut data = vec![0; usize::try_from(end - offset).map_err(io::Error::other)?];
        file.read_exact_at(&mut data, offset)?;
        Ok(Some(Chunk { stream: entry.stream, offset, time_us: entry.time_us, data: data.into() }))
    }
}
