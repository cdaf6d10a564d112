//! Logs of jobs that are over, and go.

use super::desk::{Desk, check, pattern};
use super::*;

fn over() -> Desk {
    let mut desk = Desk::new(128, Options::default());
    desk.say(Stream::Stdout, &pattern(1, 1_000)).unwrap();
    desk.say(Stream::Stderr, &pattern(2, 77)).unwrap();
    desk.engine = None;
    desk
}

#[test]
fn a_removed_log_is_one_gap_for_each_stream() {
    let desk = over();
    let before = removal::measure(&desk.directory).unwrap();
    removal::remove(&desk.directory, GapReason::Age).unwrap();
    // A second time changes neither reason nor time.
    removal::remove(&desk.directory, GapReason::OrgCap).unwrap();
    let written = written::load(&desk.directory).unwrap();
    assert_eq!((written.stdout_bytes, written.stderr_bytes, written.ended), (1_000, 77, true));
    let gaps = check(&read_all(&desk.directory, From::default(), &written), &desk.said, &written);
    let told: Vec<(Stream, u64, GapReason)> =
        gaps.iter().map(|gap| (gap.stream, gap.length, gap.reason)).collect();
    assert_eq!(told, [(Stream::Stdout, 1_000, GapReason::Age), (Stream::Stderr, 77, GapReason::Age)]);
    let from = From { stdout_offset: 990, stderr_offset: 77 };
    assert!(matches!(&read_all(&desk.directory, from, &written)[..], [Chunk::Gap(gap)] if gap.length == 10));
    assert!(removal::measure(&desk.directory).unwrap() < before);
    let left: Vec<_> =
        std::fs::read_dir(&desk.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["meta"]);
}

#[test]
fn a_removal_that_was_cut_short_is_told_and_can_be_finished() {
    let desk = over();
    let whole = super::desk::copy(&desk.directory);
    removal::remove(&desk.directory, GapReason::OrgCap).unwrap();
    for name in ["stdout.003", "index.stdout.001", "stderr.000"] {
        std::fs::copy(whole.path().join(name), desk.directory.join(name)).unwrap();
    }
    let written = written::load(&desk.directory).unwrap();
    let gaps = check(&read_all(&desk.directory, From::default(), &written), &desk.said, &written);
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::OrgCap));
    removal::remove(&desk.directory, GapReason::OrgCap).unwrap();
    assert_eq!(std::fs::read_dir(&desk.directory).unwrap().count(), 1);
}

#[test]
fn a_log_that_vanished_without_a_word_is_damaged() {
    let desk = over();
    let written = desk.written();
    removal::delete(&desk.directory).unwrap();
    removal::delete(&desk.directory).unwrap();
    assert_eq!(removal::measure(&desk.directory).unwrap(), 0);
    let gaps = check(&read_all(&desk.directory, From::default(), &written), &desk.said, &written);
    assert!(gaps.len() == 2 && gaps.iter().all(|gap| gap.reason == GapReason::Damaged));
    assert_eq!(written::load(&desk.directory).unwrap().bytes(), 0);
    removal::remove(&desk.directory, GapReason::Age).unwrap();
}

#[test]
fn a_reader_of_a_log_that_is_removed_meanwhile_is_told_so() {
    let desk = over();
    let written = desk.written();
    let mut reader = Reader::open(&desk.directory, From::default(), &written).unwrap();
    let mut chunks = vec![reader.next(&written).unwrap().unwrap()];
    removal::remove(&desk.directory, GapReason::NotKept).unwrap();
    chunks.extend(std::iter::from_fn(|| reader.next(&written).unwrap()));
    let gaps = check(&chunks, &desk.said, &written);
    assert!(gaps.iter().any(|gap| gap.reason == GapReason::NotKept));
}
