//! Finds places in the index of a segment without reading it whole.

use super::index::{ENTRY_BYTES, Entry};
use super::{Stream, segment};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How many damaged entries at the end of an index are stepped over in search of a sound one: more than are written in
/// the seconds that a power cut takes.
const DAMAGED_MAX: u64 = 16_384;
/// Reads of an entry that is being changed at that moment.
const TRIES: usize = 3;

/// An index that is open for reading. It may grow meanwhile.
#[derive(Debug)]
pub(super) struct IndexFile(File);

impl IndexFile {
    /// `None` when there is none.
    pub(super) fn open(directory: &Path, stream: Stream, number: u64) -> io::Result<Option<IndexFile>> {
        match File::open(segment::index_path(directory, stream, number)) {
            Ok(file) => Ok(Some(IndexFile(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many entries it has; a part of one does not count.
    pub(super) fn count(&self) -> io::Result<u64> {
        Ok((self.0.metadata()?.len() / ENTRY_BYTES as u64).saturating_sub(1))
    }

    /// Entry number `number`; `None` when it is not there or damaged.
    pub(super) fn get(&self, number: u64) -> io::Result<Option<Entry>> {
        Ok(self.read(number, 1)?.first().copied())
    }

    /// Up to `max` entries from number `first` on, up to the first that is not there or damaged.
    pub(super) fn read(&self, first: u64, max: usize) -> io::Result<Vec<Entry>> {
        let mut found: Vec<Entry> = Vec::new();
        for _ in 0..TRIES {
            let mut bytes = vec![0; (max - found.len()) * ENTRY_BYTES];
            let at = (first + found.len() as u64 + 1).saturating_mul(ENTRY_BYTES as u64);
            let filled = read_at(&self.0, &mut bytes, at)?;
            let (entries, _) = bytes[..filled].as_chunks::<ENTRY_BYTES>();
            let there = entries.len();
            let before = found.len();
            found.extend(entries.iter().map_while(Entry::decode));
            // Only the last entry of an index ever changes.
            if found.len() - before == there {
                break;
            }
        }
        Ok(found)
    }

    /// The number of the first entry of which this holds, as it does of all after it; the count when of none. Damaged
    /// entries count as behind it.
    pub(super) fn find(&self, holds: impl Fn(&Entry) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count()?);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle)? {
                Some(entry) if !holds(&entry) => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The last sound entry.
    pub(super) fn last(&self) -> io::Result<Option<Entry>> {
        let count = self.count()?;
        for number in (count.saturating_sub(DAMAGED_MAX)..count).rev() {
            if let Some(entry) = self.get(number)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// The end of the last entry of a segment's index; `None` without one.
pub(super) fn end(directory: &Path, stream: Stream, number: u64) -> io::Result<Option<u64>> {
    let Some(index) = IndexFile::open(directory, stream, number)? else { return Ok(None) };
    Ok(index.last()?.map(|entry| entry.end()))
}

/// Where the bytes begin that came at this time or later, in a stream that is `bytes` long. Bytes of that time that were
/// removed count: then it is where the gap begins.
pub(super) fn since(
    directory: &Path,
    stream: Stream,
    segment_bytes: u64,
    time_us: u64,
    bytes: u64,
) -> io::Result<u64> {
    let segments = segment::list(directory, stream)?;
    let (mut low, mut high) = (0, segments.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let last = match IndexFile::open(directory, stream, segments[middle])? {
            Some(index) => index.last()?.map(|entry| entry.time_us),
            None => None,
        };
        let last = match last {
            Some(time_us) => time_us,
            None => segment::data_time_us(directory, stream, segments[middle])?,
        };
        if last < time_us { low = middle + 1 } else { high = middle }
    }
    let Some(number) = segments.get(low).copied() else { return Ok(bytes) };
    let start = number.saturating_mul(segment_bytes);
    let index = IndexFile::open(directory, stream, number)?;
    let first = match &index {
        Some(index) => index.find(|entry| entry.time_us >= time_us)?,
        None => 0,
    };
    let found = match &index {
        Some(index) if first > 0 => index.get(first)?.map_or(start, |entry| entry.offset),
        _ => match low.checked_sub(1).and_then(|before| segments.get(before)) {
            Some(before) => (before + 1).saturating_mul(segment_bytes),
            None => 0,
        },
    };
    Ok(found.min(bytes))
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
