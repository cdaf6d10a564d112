//! A writer on real pipes, and readers beside it. What a crash leaves, caps and places are in the files beside.

mod cap;
mod crash;
mod damage;
mod desk;
mod follow;
mod full_disk;
mod reading;
mod removed;
mod terminal;

use super::reader::{Chunk, Data, From, Reader, Wanted};
use super::writer::{Options, Source, Writer};
use super::*;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tokio::sync::{mpsc, watch};

struct Log {
    _place: tempfile::TempDir,
    directory: PathBuf,
    written: watch::Receiver<Written>,
    over: mpsc::Receiver<u64>,
    stdout: Option<std::fs::File>,
    stderr: Option<std::fs::File>,
    writer: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn start(bytes_max: u64) -> Log {
    start_with(Options { output_bytes_max: bytes_max, ..Options::default() })
}

fn start_with(options: Options) -> Log {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("job");
    let (sender, written) = watch::channel(Written::default());
    let writer = Writer::create(&directory, options, sender).unwrap();
    let pipe = || runtime_sys::pipe::pipe().unwrap();
    let ((out, out_writer), (err, err_writer)): ((OwnedFd, OwnedFd), (OwnedFd, OwnedFd)) = (pipe(), pipe());
    let (over_sender, over) = mpsc::channel(1);
    let writer = tokio::spawn(writer.store(Source::Pipes { stdout: out, stderr: err }, over_sender));
    Log {
        _place: place,
        directory,
        written,
        over,
        stdout: Some(out_writer.into()),
        stderr: Some(err_writer.into()),
        writer,
    }
}

impl Log {
    /// Writes, and waits until the bytes are in the log.
    async fn say(&mut self, stream: Stream, bytes: &[u8]) {
        let before = self.written.borrow().bytes();
        let file = match stream {
            Stream::Stdout => self.stdout.as_mut(),
            Stream::Stderr => self.stderr.as_mut(),
        };
        file.unwrap().write_all(bytes).unwrap();
        let wanted = before + bytes.len() as u64;
        self.written.wait_for(|written| written.bytes() >= wanted).await.unwrap();
    }

    async fn end(&mut self) {
        (self.stdout, self.stderr) = (None, None);
        self.written.wait_for(|written| written.ended).await.unwrap();
    }

    fn read(&self, wanted: impl Into<Wanted>) -> Vec<Data> {
        let written = *self.written.borrow();
        read_all(&self.directory, wanted, &written).into_iter().map(data).collect()
    }
}

/// Everything that a reader tells of a log that has come this far.
fn read_all(directory: &std::path::Path, wanted: impl Into<Wanted>, written: &Written) -> Vec<Chunk> {
    let mut reader = Reader::open(directory, wanted, written).unwrap();
    std::iter::from_fn(|| reader.next(written).unwrap()).collect()
}

fn data(chunk: Chunk) -> Data {
    match chunk {
        Chunk::Data(data) => data,
        Chunk::Gap(gap) => panic!("{gap:?}"),
    }
}

#[tokio::test]
async fn chunks_come_in_the_order_in_which_they_were_written() {
    let mut log = start(u64::MAX);
    for (stream, bytes) in [
        (Stream::Stdout, "one "),
        (Stream::Stderr, "two "),
        (Stream::Stdout, "three "),
        (Stream::Stderr, "four"),
    ] {
        log.say(stream, bytes.as_bytes()).await;
    }
    log.end().await;
    let chunks = log.read(From::default());
    let said: Vec<(Stream, u64, &[u8])> =
        chunks.iter().map(|chunk| (chunk.stream, chunk.offset, &chunk.data[..])).collect();
    assert_eq!(
        said,
        [
            (Stream::Stdout, 0, &b"one "[..]),
            (Stream::Stderr, 0, b"two "),
            (Stream::Stdout, 4, b"three "),
            (Stream::Stderr, 4, b"four")
        ]
    );
    assert!(chunks.is_sorted_by_key(|chunk| chunk.time_us));
    assert!(chunks.iter().all(|chunk| !chunk.recovered));
    assert_eq!(std::fs::read(log.directory.join("stdout.000")).unwrap(), b"one three ");
    log.writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reader_starts_at_any_byte_of_each_stream() {
    let mut log = start(u64::MAX);
    log.say(Stream::Stdout, b"0123456789").await;
    log.say(Stream::Stderr, b"abcdef").await;
    let chunks = log.read(From { stdout_offset: 7, stderr_offset: 6 });
    assert_eq!(chunks.len(), 1);
    assert_eq!((chunks[0].offset, &chunks[0].data[..]), (7, &b"789"[..]));
    assert!(log.read(From { stdout_offset: 1_000, stderr_offset: 1_000 }).is_empty());
}

#[tokio::test]
async fn a_log_stops_at_its_limit_says_so_once_and_drains_the_rest() {
    let mut log = start(10);
    log.say(Stream::Stdout, b"01234").await;
    log.stdout.as_mut().unwrap().write_all(b"56789abc").unwrap();
    // The first byte over the limit is noticed when it is there: 10 are stored, 3 are not.
    assert_eq!(log.over.recv().await, Some(13));
    // Far more than a pipe holds: without a reader this would block for ever.
    let mut out = log.stdout.take().unwrap();
    let flood = tokio::task::spawn_blocking(move || out.write_all(&vec![b'x'; 1 << 20]));
    flood.await.unwrap().unwrap();
    log.end().await;
    assert_eq!(log.over.recv().await, None);
    assert_eq!(std::fs::read(log.directory.join("stdout.000")).unwrap(), b"0123456789");
}

#[tokio::test]
async fn exactly_the_limit_is_not_over_it() {
    let mut log = start(10);
    log.say(Stream::Stderr, b"0123456789").await;
    log.end().await;
    assert_eq!(log.over.recv().await, None);
}

#[tokio::test]
async fn an_aborted_writer_ends_its_log() {
    let mut log = start(u64::MAX);
    log.say(Stream::Stdout, b"kept").await;
    log.writer.abort();
    log.written.wait_for(|written| written.ended).await.unwrap();
    assert_eq!(log.read(From::default()).len(), 1);
}

#[tokio::test]
async fn many_small_writes_do_not_make_a_large_index() {
    let mut log = start(u64::MAX);
    let mut out = log.stdout.take().unwrap();
    let bytes = 50_000;
    let chatter = tokio::task::spawn_blocking(move || {
        for _ in 0..bytes {
            out.write_all(b".").unwrap();
        }
    });
    chatter.await.unwrap();
    log.end().await;
    let written = *log.written.borrow();
    assert_eq!(written.stdout_bytes, bytes);
    // What came within 5 ms is one entry, so there are fewer than looks at the pipe, and those are paced.
    assert!(written.entries <= 64 + bytes / 5, "{} entries", written.entries);
    let whole: Vec<u8> = log.read(From::default()).into_iter().flat_map(|data| data.data).collect();
    assert_eq!(whole, vec![b'.'; bytes as usize]);
}
