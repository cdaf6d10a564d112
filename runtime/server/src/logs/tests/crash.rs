//! The server dies between any two acts: every byte is read once, in order, whatever it was doing.

use super::desk::{Desk, check, pattern};
use super::*;
use proptest::prelude::*;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lets so many acts happen, then none.
#[derive(Debug)]
struct CrashAfter(AtomicU64);

impl Fault for CrashAfter {
    fn before(&self, _: Act) -> io::Result<()> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| io::Error::other("crash"))
    }
}

/// Says everything; each time the server dies, the next one goes on after so many more acts. Returns how often it died.
fn run(desk: &mut Desk, said: &[(Stream, usize)], crashes: &[u64]) -> usize {
    let mut crashes = crashes.iter().copied();
    let mut died = 0;
    let mut next = |desk: &mut Desk| {
        desk.options.fault = crashes.next().map(|acts| Arc::new(CrashAfter(acts.into())) as Arc<dyn Fault>);
        desk.resume().unwrap();
    };
    next(desk);
    for (number, (stream, length)) in said.iter().enumerate() {
        desk.write(*stream, &pattern(number, *length));
        while let Err(error) = desk.store(*stream) {
            assert_eq!(error.to_string(), "crash");
            died += 1;
            next(desk);
        }
    }
    died
}

fn sayings() -> impl Strategy<Value = Vec<(Stream, usize)>> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    proptest::collection::vec((stream, 1..400_usize), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_byte_is_read_once_after_any_crashes(
        said in sayings(),
        crashes in proptest::collection::vec(0..60_u64, 0..8),
        segment_bytes in 1..300_u64,
    ) {
        let mut desk = Desk::new(segment_bytes, Options::default());
        run(&mut desk, &said, &crashes);
        let written = desk.written();
        prop_assert_eq!(written.stdout_bytes as usize, desk.said.stdout.len());
        prop_assert_eq!(check(&desk.read(From::default()), &desk.said, &written), []);
        // The same for one who comes when nobody writes.
        desk.engine = None;
        let loaded = written::load(&desk.directory).unwrap();
        prop_assert_eq!((loaded.stdout_bytes, loaded.stderr_bytes), (written.stdout_bytes, written.stderr_bytes));
        prop_assert_eq!(check(&read_all(&desk.directory, From::default(), &loaded), &desk.said, &loaded), []);
    }

    #[test]
    fn a_capped_log_survives_any_crashes(
        said in sayings(),
        crashes in proptest::collection::vec(0..60_u64, 0..8),
    ) {
        let mut desk = Desk::new(64, Options { keep_bytes: Some(1_024), ..Options::default() });
        run(&mut desk, &said, &crashes);
        let written = desk.written();
        let gaps = check(&desk.read(From::default()), &desk.said, &written);
        prop_assert!(gaps.iter().all(|gap| gap.reason == GapReason::JobCap), "{:?}", gaps);
        let removed: u64 = gaps.iter().map(|gap| gap.length).sum();
        prop_assert!(written.bytes() - removed <= 1_024);
    }
}

#[test]
fn a_crash_at_each_single_act_loses_nothing_and_marks_only_what_the_index_missed() {
    let said: Vec<(Stream, usize)> =
        (0..12).map(|number| (Stream::ALL[number % 2], 20 + number * 17)).collect();
    let mut acts = 0;
    loop {
        let mut desk = Desk::new(100, Options::default());
        let died = run(&mut desk, &said, &[acts]);
        let chunks = desk.read(From::default());
        assert_eq!(check(&chunks, &desk.said, &desk.written()), []);
        let recovered = chunks.iter().filter(|chunk| matches!(chunk, Chunk::Data(data) if data.recovered));
        assert!(recovered.count() <= died, "after {acts} acts");
        if died == 0 {
            break;
        }
        acts += 1;
    }
    // Each saying is at least one move and one entry.
    assert!(acts >= 24, "{acts}");
}

#[test]
fn without_a_crash_the_order_between_the_streams_is_exact() {
    let mut desk = Desk::new(64, Options::default());
    let mut told = Vec::new();
    for number in 0..60_usize {
        let stream = if number % 3 == 0 { Stream::Stderr } else { Stream::Stdout };
        let bytes = pattern(number, 1 + number * 5 % 90);
        desk.say(stream, &bytes).unwrap();
        told.extend(bytes.into_iter().map(|byte| (stream, byte)));
    }
    let chunks = desk.read(From::default()).into_iter().map(data);
    let read: Vec<(Stream, u8)> =
        chunks.flat_map(|data| data.data.into_iter().map(move |byte| (data.stream, byte))).collect();
    assert!(read == told);
}

#[test]
fn streams_that_alternate_single_bytes_make_an_index_of_bounded_size() {
    let mut desk = Desk::new(4_096, Options::default());
    for number in 0..4_000 {
        desk.say(Stream::ALL[number % 2], &pattern(number, 1)).unwrap();
    }
    assert_eq!(check(&desk.read(From::default()), &desk.said, &desk.written()), []);
    // Exact up to 64 entries of a segment; from there on one a second for each stream, whatever the machine's speed.
    assert!(desk.written().entries < 1_000, "{}", desk.written().entries);
}

#[test]
fn a_log_that_was_only_begun_goes_on() {
    for remove in [&["meta"][..], &["meta", "stdout.000"], &["index.stdout.000"], &["stdout.000"], &[]] {
        let mut desk = Desk::new(64, Options::default());
        desk.engine.as_mut().unwrap();
        desk.write(Stream::Stdout, b"");
        // A segment that was made, and nothing in it: each of its files may be missing.
        for name in ["stdout.000", "index.stdout.000"] {
            std::fs::write(desk.directory.join(name), b"").unwrap();
        }
        for name in remove {
            std::fs::remove_file(desk.directory.join(name)).unwrap();
        }
        desk.resume().unwrap();
        desk.say(Stream::Stdout, b"all of it").unwrap();
        assert_eq!(check(&desk.read(From::default()), &desk.said, &desk.written()), [], "{remove:?}");
    }
}

#[test]
fn a_log_that_is_not_there_cannot_be_resumed() {
    let place = tempfile::tempdir().unwrap();
    let resumed =
        Writer::resume(&place.path().join("none"), Options::default(), watch::channel(Written::default()).0);
    assert_eq!(resumed.unwrap_err().kind(), io::ErrorKind::NotFound);
}
