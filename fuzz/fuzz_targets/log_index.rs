//! The directory of a log as a crash, a power cut or a broken disk may leave it: any bytes in its indexes, in `meta` and in
//! its segments, and any of them missing. No entry panics the decoder; a log of anything can be read and resumed; readers
//! are told each byte once, stored or as a gap; and resuming never takes back a cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_server::logs::index::{ENTRY_BYTES, Entry, Header, Kind};
use runtime_server::logs::reader::{Chunk, From, Reader};
use runtime_server::logs::writer::{Options, Writer};
use runtime_server::logs::{CHUNK_BYTES_MAX, Stream, Written, written};
use std::path::Path;
use tokio::sync::watch;

/// Small ones make many borders.
const SEGMENT_BYTES: [u64; 4] = [1, 16, 100, 8 << 20];
const NAMES: [&str; 11] = [
    "stdout.000",
    "stdout.001",
    "stdout.003",
    "stderr.000",
    "stderr.012",
    "index.stdout.000",
    "index.stdout.001",
    "index.stdout.003",
    "index.stderr.000",
    "index.stderr.012",
    "meta",
];
/// More are not told of a log as small as these: each is a byte at least, or a gap.
const CHUNKS_MAX: usize = 200_000;

fuzz_target!(|data: &[u8]| {
    for bytes in data.as_chunks::<ENTRY_BYTES>().0 {
        if let Some(entry) = Entry::decode(bytes) {
            assert_eq!(entry.encode(), *bytes);
        }
        if let Some(header) = Header::decode(bytes) {
            assert_eq!(Header::decode(&header.encode()), Some(header));
        }
    }
    let place = tempfile::tempdir_in(memory()).expect("a directory");
    let mut says_lost = false;
    let mut rest = data;
    while let [what, length, tail @ ..] = rest {
        let (content, after) = tail.split_at(tail.len().min(usize::from(*length) * 4));
        rest = after;
        let name = NAMES[usize::from(what & 0x1f) % NAMES.len()];
        let bytes = match name.strip_prefix("index.") {
            Some(stream) if what & 0x80 != 0 => sound_index(stream, *what, content, &mut says_lost),
            _ => content.to_vec(),
        };
        std::fs::write(place.path().join(name), bytes).expect("write");
    }
    let found = written::load(place.path()).expect("load");
    let whole = read(place.path(), From::default(), &found);
    // From the middle on, the rest is the same.
    let middle = From { stdout_offset: found.stdout_bytes / 2, stderr_offset: found.stderr_bytes / 2 };
    let half = read(place.path(), middle, &found);
    assert!(whole.stdout.ends_with(&half.stdout) && whole.stderr.ends_with(&half.stderr));
    // What a new writer makes of it.
    let (sender, resumed) = watch::channel(Written::default());
    let writer = Writer::resume(place.path(), Options::default(), sender).expect("resume");
    let resumed = *resumed.borrow();
    assert!(resumed.stdout_bytes >= found.stdout_bytes && resumed.stderr_bytes >= found.stderr_bytes);
    let after = read(place.path(), From::default(), &resumed);
    // An entry that calls stored bytes lost is believed: as a rule there is a hole in the file.
    let (stdout, stderr) = (after.stdout.len(), after.stderr.len());
    assert!(says_lost || whole.stdout.len() <= stdout && whole.stderr.len() <= stderr);
    // And another one, of a log that is whole now.
    drop(writer);
    let (sender, again) = watch::channel(Written::default());
    drop(Writer::resume(place.path(), Options::default(), sender).expect("resume again"));
    assert_eq!(
        (again.borrow().stdout_bytes, again.borrow().stderr_bytes),
        (resumed.stdout_bytes, resumed.stderr_bytes)
    );
});

/// An index with sound checksums: what the numbers in it say is up to the input.
fn sound_index(name: &str, what: u8, content: &[u8], says_lost: &mut bool) -> Vec<u8> {
    let stream = if name.starts_with("stdout") { Stream::Stdout } else { Stream::Stderr };
    let segment = name.rsplit('.').next().and_then(|number| number.parse().ok()).expect("a number");
    let segment_bytes = SEGMENT_BYTES[usize::from(what >> 5 & 3)];
    let mut bytes = Header { stream, segment, segment_bytes }.encode().to_vec();
    let mut offset = u64::from(segment) * segment_bytes;
    let mut sequence = 0;
    for [how, length, more, time] in content.as_chunks::<4>().0 {
        let kind = [Kind::Data, Kind::Recovered, Kind::Lost][usize::from(how & 3) % 3];
        *says_lost |= kind == Kind::Lost;
        // Mostly where the entry before ended, at times elsewhere.
        offset =
            if how & 0x80 == 0 { offset } else { offset.wrapping_add(u64::from(*more)).wrapping_sub(64) };
        let length = u32::from(*length) + 1;
        sequence += u64::from(how >> 2 & 3);
        bytes.extend(Entry { kind, offset, length, time_us: u64::from(*time), sequence }.encode());
        offset = offset.wrapping_add(u64::from(length));
    }
    bytes
}

/// The stored bytes that a reader told.
#[derive(Default)]
struct Told {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Reads everything and checks that nothing is told twice or left out.
fn read(directory: &Path, from: From, so_far: &Written) -> Told {
    let mut reader = Reader::open(directory, from, so_far).expect("open");
    let (mut stdout, mut stderr) = (from.stdout_offset, from.stderr_offset);
    let mut told = Told::default();
    for _ in 0..CHUNKS_MAX {
        let Some(chunk) = reader.next(so_far).expect("read") else {
            assert_eq!((stdout, stderr), (so_far.stdout_bytes, so_far.stderr_bytes));
            return told;
        };
        let (stream, offset, length, bytes) = match &chunk {
            Chunk::Data(data) => {
                assert!((1..=CHUNK_BYTES_MAX).contains(&data.data.len()));
                (data.stream, data.offset, data.data.len() as u64, &data.data[..])
            }
            Chunk::Gap(gap) => (gap.stream, gap.offset, gap.length, &[][..]),
        };
        let (at, told) = match stream {
            Stream::Stdout => (&mut stdout, &mut told.stdout),
            Stream::Stderr => (&mut stderr, &mut told.stderr),
        };
        assert_eq!((offset, length > 0), (*at, true));
        *at += length;
        told.extend_from_slice(bytes);
    }
    panic!("more than {CHUNKS_MAX} chunks");
}

fn memory() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}
