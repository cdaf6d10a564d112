//! The files of a log's directory: their names, which exist, how large they are. It opens nothing for writing.

use super::Stream;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Of a log that keeps everything: making files costs, and nothing is removed in parts.
const LARGE_BYTES: u64 = 64 * 1024 * 1024;
/// A page.
const SMALL_BYTES: u64 = 4 * 1024;
/// How many segments a capped log has at least.
const SEGMENTS_KEPT_MIN: u64 = 16;

/// The size of a segment: a power of two, such that a cap is met to a sixteenth.
pub(super) fn choose_bytes(keep_bytes: Option<u64>) -> u64 {
    let Some(keep) = keep_bytes else { return LARGE_BYTES };
    let share = (keep / SEGMENTS_KEPT_MIN).max(1);
    LARGE_BYTES.min(1 << share.ilog2()).max(SMALL_BYTES)
}

/// Where the bytes of a segment are.
pub(super) fn data_path(directory: &Path, stream: Stream, segment: u64) -> PathBuf {
    directory.join(format!("{}.{segment:03}", stream.name()))
}

/// Where the index of a segment is.
pub(super) fn index_path(directory: &Path, stream: Stream, segment: u64) -> PathBuf {
    directory.join(format!("index.{}.{segment:03}", stream.name()))
}

/// The numbers of the segments whose bytes are there, rising.
pub(super) fn list(directory: &Path, stream: Stream) -> io::Result<Vec<u64>> {
    let prefix = format!("{}.", stream.name());
    numbers(directory, &prefix)
}

/// The numbers of the segments whose index is there, rising.
pub(super) fn list_indexes(directory: &Path, stream: Stream) -> io::Result<Vec<u64>> {
    let prefix = format!("index.{}.", stream.name());
    numbers(directory, &prefix)
}

fn numbers(directory: &Path, prefix: &str) -> io::Result<Vec<u64>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix)).and_then(number);
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

/// Only what this module itself would write: three digits, more without leading zeros.
fn number(text: &str) -> Option<u64> {
    let number = u64::from(text.parse::<u32>().ok()?);
    (format!("{number:03}") == text).then_some(number)
}

/// How many bytes a segment has; 0 when it is not there.
pub(super) fn data_bytes(directory: &Path, stream: Stream, segment: u64) -> io::Result<u64> {
    file_bytes(&data_path(directory, stream, segment))
}

/// How many bytes a file has; 0 when it is not there.
pub(super) fn file_bytes(path: &Path) -> io::Result<u64> {
    Ok(stat(path)?.map_or(0, |stat| stat.len()))
}

/// When a segment was last written, in microseconds since 1970; 0 when it is not there.
pub(super) fn data_time_us(directory: &Path, stream: Stream, segment: u64) -> io::Result<u64> {
    let stat = stat(&data_path(directory, stream, segment))?;
    Ok(stat.map_or(0, |stat| {
        let (seconds, nanoseconds) = (stat.mtime(), stat.mtime_nsec());
        let us = seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000);
        u64::try_from(us).unwrap_or(0)
    }))
}

fn stat(path: &Path) -> io::Result<Option<std::fs::Metadata>> {
    match std::fs::metadata(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        const KIB: u64 = 1024;
        for (keep, wanted) in [
            (None, LARGE_BYTES),
            (Some(64 * KIB), 4 * KIB),
            (Some(1), 4 * KIB),
            (Some(1_000 * KIB), 32 * KIB),
            (Some(u64::MAX), LARGE_BYTES),
            (Some(1 << 26), 4 * KIB * KIB),
        ] {
            assert_eq!(choose_bytes(keep), wanted, "{keep:?}");
        }
    }

    #[test]
    fn names_are_numbers_of_three_digits_and_more() {
        let place = tempfile::tempdir().unwrap();
        for name in [
            "stdout.000",
            "stdout.1000",
            "stdout.012",
            "stdout.12",
            "stdout.0012",
            "index.stdout.003",
            "meta",
        ] {
            std::fs::write(place.path().join(name), b"x").unwrap();
        }
        assert_eq!(list(place.path(), Stream::Stdout).unwrap(), [0, 12, 1_000]);
        assert_eq!(list_indexes(place.path(), Stream::Stdout).unwrap(), [3]);
        assert_eq!(list(place.path(), Stream::Stderr).unwrap(), [0_u64; 0]);
        assert_eq!(list(&place.path().join("none"), Stream::Stderr).unwrap(), [0_u64; 0]);
        assert_eq!(data_path(place.path(), Stream::Stdout, 1_000), place.path().join("stdout.1000"));
    }
}
