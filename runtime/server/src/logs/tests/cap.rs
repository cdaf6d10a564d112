//! The cap of one job's log.

use super::desk::{Desk, check, pattern};
use super::*;

const KEEP: u64 = 4_096;

fn capped() -> Desk {
    Desk::new(256, Options { keep_bytes: Some(KEEP), ..Options::default() })
}

#[test]
fn of_one_stream_the_first_quarter_and_the_tail_are_kept() {
    let mut desk = capped();
    for number in 0..200 {
        desk.say(Stream::Stdout, &pattern(number, 100)).unwrap();
    }
    let gaps = check(&desk.read(From::default()), &desk.said, &desk.written());
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((gap.stream, gap.offset, gap.reason), (Stream::Stdout, KEEP / 4, GapReason::JobCap));
    assert!(gap.time_us > 0);
    assert_eq!(desk.written().capped_bytes, gap.length, "what was removed is counted");
    let kept = desk.written().stdout_bytes - gap.length;
    // All but a segment that is not full yet, and the one for which room was made.
    assert!((KEEP - 512..=KEEP).contains(&kept), "{kept}");
    let on_disk: u64 = segment::list(&desk.directory, Stream::Stdout).unwrap().len() as u64 * 256;
    assert!(on_disk <= KEEP);
}

#[test]
fn the_oldest_goes_whichever_stream_it_is_of() {
    let mut desk = capped();
    desk.say(Stream::Stderr, &pattern(1, 1_000)).unwrap();
    for number in 0..100 {
        desk.say(Stream::Stdout, &pattern(number, 100)).unwrap();
    }
    let gaps = check(&desk.read(From::default()), &desk.said, &desk.written());
    // The head is the first 1 024 bytes of the job: of stderr three full segments, of stdout one.
    let mut told: Vec<(Stream, u64)> = gaps.iter().map(|gap| (gap.stream, gap.offset)).collect();
    told.sort();
    assert_eq!(told, [(Stream::Stdout, 256)]);
    // The last segment of a stream stays, however old it is.
    for number in 0..100 {
        desk.say(Stream::Stderr, &pattern(number, 100)).unwrap();
    }
    let gaps = check(&desk.read(From::default()), &desk.said, &desk.written());
    let mut told: Vec<(Stream, u64)> = gaps.iter().map(|gap| (gap.stream, gap.offset)).collect();
    told.sort();
    assert_eq!(told, [(Stream::Stdout, 256), (Stream::Stderr, 768)]);
    let removed: u64 = gaps.iter().map(|gap| gap.length).sum();
    assert!(desk.written().bytes() - removed <= KEEP);
}

#[test]
fn a_reader_in_the_gap_is_told_the_rest_of_it_and_goes_on() {
    let mut desk = capped();
    for number in 0..100 {
        desk.say(Stream::Stdout, &pattern(number, 100)).unwrap();
    }
    let from = From { stdout_offset: 2_001, stderr_offset: 0 };
    let chunks = desk.read(from);
    let [Chunk::Gap(gap), rest @ ..] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(gap.offset, 2_001);
    let mut at = usize::try_from(gap.offset + gap.length).unwrap();
    assert_eq!(at % 256, 0);
    for chunk in rest.iter().cloned().map(data) {
        assert_eq!(chunk.offset as usize, at);
        assert_eq!(chunk.data[..], desk.said.stdout[at..at + chunk.data.len()]);
        at += chunk.data.len();
    }
    assert_eq!(at, 10_000);
}

#[test]
fn a_reader_whose_next_segment_is_removed_meanwhile_is_told_so() {
    let mut desk = capped();
    for number in 0..40 {
        desk.say(Stream::Stdout, &pattern(number, 100)).unwrap();
    }
    let mut reader =
        Reader::open(&desk.directory, From { stdout_offset: 1_100, stderr_offset: 0 }, &desk.written())
            .unwrap();
    let first = data(reader.next(&desk.written()).unwrap().unwrap());
    assert_eq!(first.offset, 1_100);
    for number in 40..200 {
        desk.say(Stream::Stdout, &pattern(number, 100)).unwrap();
    }
    // What it has open it still reads.
    let mut at = first.offset + first.data.len() as u64;
    let mut gaps = 0;
    while let Some(chunk) = reader.next(&desk.written()).unwrap() {
        match chunk {
            Chunk::Data(data) => {
                assert_eq!(data.offset, at);
                at += data.data.len() as u64;
            }
            Chunk::Gap(gap) => {
                assert_eq!((gap.offset, gap.reason), (at, GapReason::JobCap));
                at += gap.length;
                gaps += 1;
            }
        }
    }
    assert_eq!((at, gaps), (20_000, 1));
    assert_eq!(reader.cursor(), From { stdout_offset: 20_000, stderr_offset: 0 });
}

#[test]
fn a_log_under_its_cap_loses_nothing() {
    let mut desk = capped();
    desk.say(Stream::Stdout, &pattern(0, KEEP as usize)).unwrap();
    assert_eq!(check(&desk.read(From::default()), &desk.said, &desk.written()), []);
}
