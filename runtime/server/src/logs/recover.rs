//! What a crash left is made whole before a writer goes on. After the death of a process: bytes that are in a file and in
//! no entry, a segment that has just been begun, a removal that was begun. After a power cut: also parts of entries,
//! zeros, and entries of bytes that never reached the disk.

use super::index::{ENTRY_BYTES, Entry, Header, Kind, SEQUENCE_MAX};
use super::lookup::{self, read_at};
use super::meta::State;
use super::tape::{Files, Tape};
use super::{Both, Stream, retain, segment};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Entries of an index that are read at a time.
const ENTRIES_AT_ONCE: usize = 4_096;

/// The sound part of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sound {
    /// How many entries.
    pub(super) entries: u64,
    /// The last of them.
    pub(super) last: Option<Entry>,
    /// The highest sequence number.
    pub(super) sequence: u64,
    /// Where they end: the start of the segment when there are none.
    pub(super) end: u64,
}

impl Sound {
    pub(super) fn none(start: u64) -> Sound {
        Sound { entries: 0, last: None, sequence: 0, end: start }
    }

    /// Takes the next entry of a segment that ends at `segment_end`, if it follows the one before; an entry of bytes
    /// behind `stored_end` is cut there.
    pub(super) fn take(&mut self, entry: Entry, stored_end: u64, segment_end: u64) -> bool {
        let follows = entry.offset == self.end
            && entry.end() <= segment_end
            && entry.sequence >= self.sequence
            && self.last.is_none_or(|last| entry.time_us >= last.time_us);
        if !follows || entry.offset >= stored_end {
            return false;
        }
        let length = u32::try_from(entry.end().min(stored_end) - entry.offset).unwrap_or(u32::MAX);
        self.last = Some(Entry { length, ..entry });
        (self.entries, self.sequence, self.end) =
            (self.entries + 1, entry.sequence, entry.offset + u64::from(length));
        true
    }
}

/// Opens both streams for writing where they ended, and says which sequence number comes next. Repairs what is needed:
/// then every byte that is in a file has an entry, and every byte that an entry spoke of has its place.
pub(super) fn recover(directory: &Path, state: &State) -> io::Result<(Both<Tape>, u64)> {
    let mut tapes = Both::each(|stream| Tape::new(directory, stream, state.segment_bytes, 0));
    let mut ends = Both::default();
    for stream in Stream::ALL {
        let (tape, known_end) = open(directory, stream, state)?;
        *tapes.of_mut(stream) = tape;
        *ends.of_mut(stream) = known_end;
    }
    let last =
        |tape: &Tape| tape.open.as_ref().and_then(|open| open.last).map_or(0, |(entry, _)| entry.sequence);
    let mut sequence = last(&tapes.stdout).max(last(&tapes.stderr)) + 1;
    for stream in Stream::ALL {
        while complete(tapes.of_mut(stream), *ends.of(stream), sequence)? {
            sequence = (sequence + 1).min(SEQUENCE_MAX);
        }
    }
    Ok((tapes, sequence))
}

/// Opens the last segment of a stream and cuts its index to the sound part. Says where the index thought that the
/// bytes ended.
fn open(directory: &Path, stream: Stream, state: &State) -> io::Result<(Tape, u64)> {
    let (size, gap) = (state.segment_bytes, state.gaps.of(stream));
    let mut segments = segment::list(directory, stream)?;
    for number in
        segments.iter().filter(|number| (gap.from..gap.until).contains(&number.saturating_mul(size)))
    {
        retain::remove_segment(directory, stream, *number)?;
    }
    segments.retain(|number| !(gap.from..gap.until).contains(&number.saturating_mul(size)));
    // Behind the gap there is always a segment, unless the disk lost it: then the cursors up to there are used up.
    let behind = |number: &u64| gap.from == gap.until || number.saturating_mul(size) >= gap.until;
    let Some(number) = segments.last().copied().filter(behind) else {
        return Ok((Tape::new(directory, stream, size, gap.until), 0));
    };
    let start = number.checked_mul(size).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let data = options.open(segment::data_path(directory, stream, number))?;
    let index = options.open(segment::index_path(directory, stream, number))?;
    let segment_end = start.saturating_add(size);
    let stored_end = start.saturating_add(data.metadata()?.len()).min(segment_end);
    let mut tape = Tape::new(directory, stream, size, stored_end);
    let mut header = [0; ENTRY_BYTES];
    let whole = read_at(&index, &mut header, 0)? == ENTRY_BYTES && Header::decode(&header).is_some();
    let (sound, known_end) = match whole {
        true => scan(&index, start, stored_end, segment_end)?,
        false => (Sound::none(start), start),
    };
    // Entries behind a damaged one cannot be used, but their bytes were there.
    let last_end = lookup::end(directory, stream, number)?.unwrap_or(0).min(segment_end);
    let known_end = known_end.max(last_end);
    index.set_len((sound.entries + 1) * ENTRY_BYTES as u64)?;
    tape.write_header(&index, number)?;
    if let Some(last) = sound.last {
        index.write_all_at(&last.encode(), sound.entries * ENTRY_BYTES as u64)?;
        tape.time_us = last.time_us;
    }
    let last = sound.last.map(|last| (last, None));
    tape.open = Some(Files { number, data, index, entries: sound.entries, last });
    tape.dirty_from = Some(number);
    Ok((tape, known_end))
}

/// Reads an index up to its first entry that does not follow, and on for as long as sound entries speak of bytes that
/// are not in the file.
fn scan(index: &File, start: u64, stored_end: u64, segment_end: u64) -> io::Result<(Sound, u64)> {
    let mut sound = Sound::none(start);
    let mut known_end = start;
    let mut at = ENTRY_BYTES as u64;
    let mut bytes = vec![0; ENTRIES_AT_ONCE * ENTRY_BYTES];
    loop {
        let filled = read_at(index, &mut bytes, at)?;
        for entry in bytes[..filled].as_chunks::<ENTRY_BYTES>().0 {
            let Some(entry) = Entry::decode(entry) else { return Ok((sound, known_end)) };
            let follows = entry.offset == known_end && entry.end() <= segment_end;
            if !sound.take(entry, stored_end, segment_end) && !follows {
                return Ok((sound, known_end));
            }
            known_end = entry.end();
        }
        if filled < bytes.len() {
            return Ok((sound, known_end));
        }
        at += filled as u64;
    }
}

/// Adds an entry that is missing: for bytes that no entry knows, or for bytes that are no more. Whether it did.
fn complete(tape: &mut Tape, known_end: u64, sequence: u64) -> io::Result<bool> {
    let Some(open) = &tape.open else { return Ok(false) };
    let start = open.last.map_or(open.number.saturating_mul(tape.segment_bytes()), |(last, _)| last.end());
    let stored_end = tape.bytes;
    let (kind, end) =
        if stored_end > start { (Kind::Recovered, stored_end) } else { (Kind::Lost, known_end) };
    let Ok(length) = u32::try_from(end.saturating_sub(start)) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if length == 0 {
        return Ok(false);
    }
    let number = open.number;
    let time_us = segment::data_time_us(tape.directory(), tape.stream, number)?.max(tape.time_us);
    let entry = Entry { kind, offset: start, length, time_us, sequence };
    let Some(open) = &mut tape.open else { return Ok(false) };
    open.put(&entry, None, true)?;
    tape.bytes = end;
    tape.time_us = time_us;
    Ok(true)
}
