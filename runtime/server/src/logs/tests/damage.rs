//! What a power cut or a broken disk leaves: files that are cut anywhere, zeroed, or gone. Each byte of the log is told
//! once, stored or as a gap, what is stored is true, and a log that is resumed goes on behind all that was ever there.

use super::desk::{Desk, check, copy, pattern};
use super::engine::{Engine, Moved};
use super::*;
use proptest::prelude::*;
use std::os::fd::AsFd;
use std::path::Path;

/// A log of a few segments of both streams.
fn log() -> Desk {
    let mut desk = Desk::new(64, Options::default());
    for number in 0..9_usize {
        let stream = if number % 3 == 0 { Stream::Stderr } else { Stream::Stdout };
        desk.say(stream, &pattern(number, 5 + number * 4)).unwrap();
    }
    desk
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Reads what is left as it is, then as a new writer leaves it, then with what that one adds.
fn examine(desk: &Desk, directory: &Path) {
    let found = written::load(directory).unwrap();
    let gaps = check(&read_all(directory, From::default(), &found), &desk.said, &found);
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::Damaged), "{gaps:?}");
    let (sender, written) = watch::channel(Written::default());
    let mut engine = Engine::resume(directory, Options::default(), sender).unwrap();
    let resumed = *written.borrow();
    assert!(resumed.stdout_bytes >= found.stdout_bytes && resumed.stderr_bytes >= found.stderr_bytes);
    check(&read_all(directory, From::default(), &resumed), &desk.said, &resumed);
    let mut said = desk.said.clone_up_to(&resumed);
    let more = pattern(99, 150);
    said.stdout.extend_from_slice(&more);
    store(&mut engine, &more);
    let after = *written.borrow();
    assert_eq!(after.stdout_bytes, resumed.stdout_bytes + 150);
    let chunks =
        read_all(directory, From { stdout_offset: resumed.stdout_bytes, stderr_offset: u64::MAX }, &after);
    let tail: Vec<u8> = chunks.into_iter().map(data).flat_map(|data| data.data).collect();
    assert_eq!(tail, more);
    check(&read_all(directory, From::default(), &after), &said, &after);
}

fn store(engine: &mut Engine, bytes: &[u8]) {
    let (read, write) = runtime_sys::pipe::pipe().unwrap();
    std::fs::File::from(write).write_all(bytes).unwrap();
    while engine.take(Stream::Stdout, read.as_fd()).unwrap() != Moved::End {}
}

impl Both<Vec<u8>> {
    /// What was said so far; behind it whatever, for bytes that are in no file.
    fn clone_up_to(&self, written: &Written) -> Both<Vec<u8>> {
        Both::each(|stream| {
            let mut said = self.of(stream).clone();
            said.resize(usize::try_from(written.of(stream)).unwrap(), 0);
            said
        })
    }
}

#[test]
fn every_file_cut_at_every_byte() {
    let desk = log();
    let mut cuts = 0;
    for name in names(&desk.directory) {
        let whole = std::fs::read(desk.directory.join(&name)).unwrap();
        // Of an index, every entry is alike: the first three and the last are enough.
        let places =
            (0..whole.len()).filter(|at| !name.starts_with("index") || *at < 130 || *at > whole.len() - 33);
        for cut in places {
            let copy = copy(&desk.directory);
            std::fs::write(copy.path().join(&name), &whole[..cut]).unwrap();
            examine(&desk, copy.path());
            cuts += 1;
        }
    }
    assert!(cuts > 400, "{cuts}");
}

#[test]
fn each_file_gone() {
    let desk = log();
    for name in names(&desk.directory) {
        let copy = copy(&desk.directory);
        std::fs::remove_file(copy.path().join(&name)).unwrap();
        examine(&desk, copy.path());
    }
}

#[test]
fn a_file_of_bytes_that_lost_its_end_is_told_as_damaged_and_its_cursors_are_not_used_again() {
    let desk = log();
    let bytes = desk.written().stdout_bytes;
    let last = desk.directory.join(format!("stdout.{:03}", bytes / 64));
    let left = std::fs::metadata(&last).unwrap().len() - 3;
    std::fs::File::options().write(true).open(&last).unwrap().set_len(left).unwrap();
    let (sender, written) = watch::channel(Written::default());
    let engine = Engine::resume(&desk.directory, Options::default(), sender).unwrap();
    assert_eq!(written.borrow().stdout_bytes, bytes);
    let gaps =
        check(&read_all(&desk.directory, From::default(), &written.borrow()), &desk.said, &written.borrow());
    let told: Vec<(u64, u64, GapReason)> =
        gaps.iter().map(|gap| (gap.offset, gap.length, gap.reason)).collect();
    assert_eq!(told, [(bytes - 3, 3, GapReason::Damaged)]);
    // And again, when the next server dies at once.
    drop(engine);
    let sender = watch::channel(Written::default()).0;
    store(&mut Engine::resume(&desk.directory, Options::default(), sender).unwrap(), b"more");
    let written = written::load(&desk.directory).unwrap();
    assert_eq!(written.stdout_bytes, bytes + 4);
    let chunks =
        read_all(&desk.directory, From { stdout_offset: bytes - 3, stderr_offset: u64::MAX }, &written);
    assert!(
        matches!(&chunks[..], [Chunk::Gap(gap), Chunk::Data(data)] if gap.length == 3 && &data.data[..] == b"more")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_index_or_meta_with_other_bytes_in_it(
        which: proptest::sample::Index,
        at: proptest::sample::Index,
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..80),
            (1..200_usize).prop_map(|length| vec![0; length]),
        ],
    ) {
        let desk = log();
        let names: Vec<String> = names(&desk.directory).into_iter().filter(|name| !name.starts_with("std")).collect();
        let path = desk.directory.join(which.get(&names));
        let mut whole = std::fs::read(&path).unwrap();
        let from = at.index(whole.len());
        let until = (from + bytes.len()).min(whole.len());
        whole[from..until].copy_from_slice(&bytes[..until - from]);
        std::fs::write(&path, whole).unwrap();
        examine(&desk, &desk.directory);
    }
}

#[test]
fn a_capped_log_whose_tail_is_lost_goes_on_behind_its_gap() {
    let mut desk = Desk::new(64, Options { keep_bytes: Some(1_024), ..Options::default() });
    desk.say(Stream::Stdout, &pattern(1, 4_000)).unwrap();
    desk.engine = None;
    for number in
        segment::list(&desk.directory, Stream::Stdout).unwrap().into_iter().filter(|number| *number > 10)
    {
        std::fs::remove_file(segment::data_path(&desk.directory, Stream::Stdout, number)).unwrap();
        std::fs::remove_file(segment::index_path(&desk.directory, Stream::Stdout, number)).unwrap();
    }
    let left = written::load(&desk.directory).unwrap();
    let gaps = check(&read_all(&desk.directory, From::default(), &left), &desk.said, &left);
    assert!(
        matches!(gaps[..], [gap] if gap.reason == GapReason::JobCap && gap.offset + gap.length == left.stdout_bytes)
    );
    desk.resume().unwrap();
    assert_eq!(desk.written().stdout_bytes, left.stdout_bytes);
    desk.said.stdout.truncate(usize::try_from(left.stdout_bytes).unwrap());
    desk.say(Stream::Stdout, &pattern(2, 10)).unwrap();
    check(&desk.read(From::default()), &desk.said, &desk.written());
}
