//! The cap of one job's log: which segment goes when there are too many bytes. Whole segments, so that it costs two
//! unlinks; of each stream the head stays and the tail, and between them is one gap.

use super::lookup::IndexFile;
use super::meta::State;
use super::{Both, Stream, segment};
use std::io;
use std::path::Path;

/// Of the cap, the part that is for the first bytes of the job.
const HEAD_SHARE: u64 = 4;

/// Bytes that are kept of streams of these lengths.
pub(super) fn kept(state: &State, bytes: &Both<u64>) -> u64 {
    Stream::ALL
        .into_iter()
        .map(|stream| {
            let gap = state.gaps.of(stream);
            bytes.of(stream).saturating_sub(gap.until - gap.from)
        })
        .sum()
}

/// Fixes which segments are the head: in the order in which they were begun, until they are a quarter of the cap.
pub(super) fn choose_head(
    directory: &Path,
    state: &mut State,
    bytes: &Both<u64>,
    keep_bytes: u64,
) -> io::Result<()> {
    let size = state.segment_bytes;
    let mut head = Both::<u64>::default();
    while head.stdout + head.stderr < keep_bytes / HEAD_SHARE {
        let Some(stream) = oldest(directory, size, &head, bytes)? else { break };
        *head.of_mut(stream) += size;
    }
    for stream in Stream::ALL {
        let gap = state.gaps.of_mut(stream);
        (gap.from, gap.until) = (*head.of(stream), *head.of(stream));
    }
    state.head_chosen = true;
    Ok(())
}

/// The stream whose gap grows by a segment next; `None` when only heads and tails are left.
pub(super) fn victim(directory: &Path, state: &State, bytes: &Both<u64>) -> io::Result<Option<Stream>> {
    let until = Both::each(|stream| state.gaps.of(stream).until);
    oldest(directory, state.segment_bytes, &until, bytes)
}

/// Of the segments at these places, the one that was begun first. The last segment of a stream does not count.
fn oldest(directory: &Path, size: u64, places: &Both<u64>, bytes: &Both<u64>) -> io::Result<Option<Stream>> {
    let mut found: Option<(u64, Stream)> = None;
    for stream in Stream::ALL {
        let place = *places.of(stream);
        if place.saturating_add(size) >= *bytes.of(stream) {
            continue;
        }
        let first = match IndexFile::open(directory, stream, place / size)? {
            Some(index) => index.get(0)?.map_or(0, |entry| entry.sequence),
            None => 0,
        };
        if found.is_none_or(|(sequence, _)| first < sequence) {
            found = Some((first, stream));
        }
    }
    Ok(found.map(|(_, stream)| stream))
}

/// Removes the files of a segment, the bytes first. What is gone already is fine.
pub(super) fn remove_segment(directory: &Path, stream: Stream, number: u64) -> io::Result<()> {
    for path in
        [segment::data_path(directory, stream, number), segment::index_path(directory, stream, number)]
    {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
