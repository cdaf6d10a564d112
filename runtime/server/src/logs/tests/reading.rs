//! Readers that begin anywhere.

use super::desk::{Desk, check, pattern};
use super::index::{Entry, Header, Kind};
use super::meta::State;
use super::*;
use std::path::Path;

#[test]
fn from_every_byte_of_either_stream() {
    let mut desk = Desk::new(50, Options::default());
    for number in 0..30_usize {
        let stream = if number % 4 == 1 { Stream::Stderr } else { Stream::Stdout };
        desk.say(stream, &pattern(number, 1 + number * 3 % 40)).unwrap();
    }
    let said = &desk.said;
    for at in 0..=said.stdout.len().max(said.stderr.len()) {
        for from in [(at, 0), (0, at), (at, at)] {
            let (stdout_offset, stderr_offset) = (from.0 as u64, from.1 as u64);
            let chunks = desk.read(From { stdout_offset, stderr_offset });
            let mut read = Both::<Vec<u8>>::default();
            for chunk in chunks.into_iter().map(data) {
                read.of_mut(chunk.stream).extend_from_slice(&chunk.data);
            }
            assert_eq!(read.stdout, said.stdout.get(from.0..).unwrap_or_default(), "{from:?}");
            assert_eq!(read.stderr, said.stderr.get(from.1..).unwrap_or_default(), "{from:?}");
        }
    }
}

#[test]
fn one_stream_alone_and_the_last_bytes() {
    let mut desk = Desk::new(50, Options::default());
    for number in 0..30_usize {
        desk.say(Stream::ALL[number % 2], &pattern(number, 20)).unwrap();
    }
    let joined = |wanted: Wanted| {
        let chunks: Vec<Data> = desk.read(wanted).into_iter().map(data).collect();
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
        (chunks.iter().map(|chunk| chunk.stream).collect::<std::collections::BTreeSet<_>>(), bytes)
    };
    let only = Some(Stream::Stderr);
    let (streams, bytes) = joined(Wanted { only, ..Wanted::default() });
    assert_eq!((streams.len(), bytes), (1, desk.said.stderr.clone()));
    let (_, bytes) = joined(Wanted { only, tail_bytes: Some(33), ..Wanted::default() });
    assert_eq!(bytes, desk.said.stderr[300 - 33..]);
    let (streams, bytes) = joined(Wanted { tail_bytes: Some(10), ..Wanted::default() });
    assert_eq!((streams.len(), bytes.len()), (2, 20));
    let (_, bytes) = joined(Wanted { tail_bytes: Some(1_000_000), ..Wanted::default() });
    assert_eq!(bytes.len(), 600);
    // Without a chunk of that stream between them, what stands together is told together.
    let chunks = desk.read(Wanted { only, ..Wanted::default() });
    assert!(chunks.len() < 15, "{}", chunks.len());
}

/// A log of 4 segments of 100 bytes in which byte n came at second n, entries of 10 bytes.
fn timed(directory: &Path) -> Written {
    State::new(100).save(&meta::open(directory).unwrap()).unwrap();
    for number in 0..4_u64 {
        let header = Header { stream: Stream::Stdout, segment: number as u32, segment_bytes: 100 };
        let mut index = header.encode().to_vec();
        for entry in 0..10 {
            let offset = number * 100 + entry * 10;
            let time_us = (offset + 9) * 1_000_000;
            index.extend(Entry { kind: Kind::Data, offset, length: 10, time_us, sequence: offset }.encode());
        }
        std::fs::write(segment::index_path(directory, Stream::Stdout, number), index).unwrap();
        std::fs::write(segment::data_path(directory, Stream::Stdout, number), pattern(number as usize, 100))
            .unwrap();
    }
    written::load(directory).unwrap()
}

fn start(directory: &Path, written: &Written, since_s: u64) -> u64 {
    let wanted = Wanted { since_us: Some(since_s * 1_000_000), ..Wanted::default() };
    Reader::open(directory, wanted, written).unwrap().cursor().stdout_offset
}

#[test]
fn since_a_time() {
    let place = tempfile::tempdir().unwrap();
    let written = timed(place.path());
    assert_eq!(written.stdout_bytes, 400);
    for since in 0..=399 {
        // The bytes of an entry have the time of its last one.
        assert_eq!(start(place.path(), &written, since), since / 10 * 10, "{since}");
    }
    assert_eq!(start(place.path(), &written, 400), 400);
    assert_eq!(start(place.path(), &written, 1_000_000), 400);
    // Where the time lies in a part that is gone, the reader is told of that part.
    std::fs::remove_file(segment::data_path(place.path(), Stream::Stdout, 1)).unwrap();
    std::fs::remove_file(segment::data_path(place.path(), Stream::Stdout, 2)).unwrap();
    assert_eq!(start(place.path(), &written, 55), 50);
    assert_eq!(start(place.path(), &written, 99), 90);
    for since in [100, 150, 299, 300, 309] {
        assert_eq!(start(place.path(), &written, since), 100, "{since}");
    }
    assert_eq!(start(place.path(), &written, 310), 310);
}

#[test]
fn entries_that_are_damaged_in_the_middle_cost_order_and_time_but_no_byte() {
    let place = tempfile::tempdir().unwrap();
    let written = timed(place.path());
    let path = segment::index_path(place.path(), Stream::Stdout, 2);
    let mut index = std::fs::read(&path).unwrap();
    index[32 * 4..32 * 7].fill(0);
    std::fs::write(&path, index).unwrap();
    let said = Both { stdout: (0..4).flat_map(|number| pattern(number, 100)).collect(), stderr: Vec::new() };
    for from in 0..400 {
        let chunks = read_all(place.path(), From { stdout_offset: from, stderr_offset: 0 }, &written);
        let read: Vec<u8> = chunks.into_iter().map(data).flat_map(|data| data.data).collect();
        assert_eq!(read, said.stdout[from as usize..]);
    }
    let chunks = read_all(place.path(), From::default(), &written);
    check(&chunks, &said, &written);
    assert!(chunks.iter().any(|chunk| matches!(chunk, Chunk::Data(data) if data.recovered)));
}

#[test]
fn opening_the_end_of_a_long_log_reads_little_of_it() {
    // 10 GiB in name: files with holes, and an index of the last segment alone. Reading it from the start would take
    // longer than any test may.
    let place = tempfile::tempdir().unwrap();
    let size = 64 << 20;
    State::new(size).save(&meta::open(place.path()).unwrap()).unwrap();
    for number in 0..160 {
        let file = std::fs::File::create(segment::data_path(place.path(), Stream::Stdout, number)).unwrap();
        file.set_len(size).unwrap();
    }
    let last = segment::data_path(place.path(), Stream::Stdout, 159);
    let file = std::fs::File::options().write(true).open(last).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"the end", size - 7).unwrap();
    let written = written::load(place.path()).unwrap();
    assert_eq!(written.stdout_bytes, 160 * size);
    let chunks = read_all(place.path(), From { stdout_offset: 160 * size - 7, stderr_offset: 0 }, &written);
    assert_eq!(chunks.into_iter().map(data).next().unwrap().data, &b"the end"[..]);
}
