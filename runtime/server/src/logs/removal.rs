//! Removes the logs of jobs that are over, and measures them. A log that nobody writes any more may have readers: they
//! read on in the files that they have open, and are told of a gap then.

use super::meta::{self, Meta, Removed, State};
use super::written::load;
use super::{Both, GapReason, Stream, now_us, retain, segment};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Removes the bytes of a log and leaves a note of how many there were and why they went, 4 KiB on disk: whoever reads
/// it later gets one gap for each stream. Doing it again changes nothing.
///
/// # Errors
/// What the file system says. Removed or not, readers are told the truth.
pub fn remove(directory: &Path, reason: GapReason) -> io::Result<()> {
    let found = Meta::load(directory)?;
    let mut state = found.state.unwrap_or_else(|| State::new(found.segment_bytes()));
    if state.removed.is_none() {
        let written = load(directory)?;
        let bytes = Both { stdout: written.stdout_bytes, stderr: written.stderr_bytes };
        state.removed = Some(Removed { reason, time_us: now_us(), bytes });
        state.generation += 1;
        let file = match meta::open(directory) {
            Ok(file) => file,
            // Never made: a job that had no log.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        state.save(&file)?;
        // Before the bytes go: after a power cut they would be missing without a reason.
        file.sync_data()?;
    }
    for stream in Stream::ALL {
        let mut numbers = segment::list(directory, stream)?;
        numbers.extend(segment::list_indexes(directory, stream)?);
        for number in numbers {
            retain::remove_segment(directory, stream, number)?;
        }
    }
    Ok(())
}

/// Removes a log with every trace, for a job whose record goes, too. No log is no error.
///
/// # Errors
/// What the file system says.
pub fn delete(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Bytes that a log takes on the disk, its index included; 0 for no log.
///
/// # Errors
/// What the file system says.
pub fn measure(directory: &Path) -> io::Result<u64> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = 0_u64;
    for entry in entries {
        match entry?.metadata() {
            // st_blocks counts in 512, whatever the size of a block: stat(2).
            Ok(stat) => bytes = bytes.saturating_add(stat.blocks().saturating_mul(512)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
