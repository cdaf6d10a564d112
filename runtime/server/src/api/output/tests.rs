//! A client's place in a log that grows, and in one that is over.

use super::*;
use crate::logs::writer::{Options, Source, Writer};
use crate::metrics::Metrics;
use std::fs::File;
use std::io::Write;
use tokio::sync::{mpsc, watch};

struct Log {
    _place: tempfile::TempDir,
    directory: PathBuf,
    written: watch::Receiver<Written>,
    pipes: Option<(File, File)>,
    _over: mpsc::Receiver<u64>,
}

impl Log {
    fn start() -> Log {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("job");
        let (sender, written) = watch::channel(Written::default());
        let options = Options { output_bytes_max: u64::MAX, ..Options::default() };
        let writer = Writer::create(&directory, options, sender).unwrap();
        let (stdout, out) = runtime_sys::pipe::pipe().unwrap();
        let (stderr, err) = runtime_sys::pipe::pipe().unwrap();
        let (over, over_of) = mpsc::channel(1);
        tokio::spawn(writer.store(Source::Pipes { stdout, stderr }, over));
        let pipes = Some((out.into(), err.into()));
        Log { _place: place, directory, written, pipes, _over: over_of }
    }

    async fn say(&mut self, stream: Stream, bytes: &[u8]) {
        let wanted = self.written.borrow().of(stream) + bytes.len() as u64;
        let (out, err) = self.pipes.as_mut().unwrap();
        let file = if stream == Stream::Stdout { out } else { err };
        let (mut file, bytes) = (file.try_clone().unwrap(), bytes.to_vec());
        tokio::task::spawn_blocking(move || file.write_all(&bytes).unwrap()).await.unwrap();
        self.written.wait_for(|written| written.of(stream) >= wanted).await.unwrap();
    }

    async fn end(&mut self) {
        self.pipes = None;
        self.written.wait_for(|written| written.ended).await.unwrap();
    }

    fn so_far(&self) -> Written {
        *self.written.borrow()
    }

    fn output(&self, wanted: impl Into<Wanted>) -> Output {
        Output::new(self.directory.clone(), wanted.into(), Metrics::new().reader_opened())
    }
}

/// The bytes of both streams up to here, each checked to follow the one before.
async fn read_on(output: &mut Output, so_far: &Written) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        let at = output.cursor();
        let pieces = output.next(so_far).await.unwrap();
        if pieces.is_empty() {
            assert_eq!(at, output.cursor());
            return (out, err);
        }
        let bytes: usize = pieces.iter().map(size).sum();
        assert!(bytes <= BATCH_BYTES_MAX + crate::logs::CHUNK_BYTES_MAX && pieces.len() <= BATCH_PIECES_MAX);
        for piece in pieces {
            let Piece::Output(chunk) = piece else { panic!("no gap here") };
            match chunk.stream() {
                runtime_proto::v1::OutputStream::Stdout => out.extend_from_slice(&chunk.data),
                _ => err.extend_from_slice(&chunk.data),
            }
        }
    }
}

fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Output(chunk) => chunk.data.len(),
        Piece::Gap(_) => 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_follows_gets_each_byte_once() {
    let mut log = Log::start();
    let mut output = log.output(Wanted::default());
    assert!(output.next(&log.so_far()).await.unwrap().is_empty());
    log.say(Stream::Stdout, b"one").await;
    assert_eq!(read_on(&mut output, &log.so_far()).await, (b"one".to_vec(), Vec::new()));
    log.say(Stream::Stderr, b"two").await;
    log.end().await;
    assert_eq!(read_on(&mut output, &log.so_far()).await, (Vec::new(), b"two".to_vec()));
    assert_eq!(output.cursor(), From { stdout_offset: 3, stderr_offset: 3 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_output_comes_in_bounded_turns() {
    let mut log = Log::start();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    log.say(Stream::Stdout, &bytes).await;
    log.end().await;
    let mut output = log.output(From { stdout_offset: 5, stderr_offset: 0 });
    let (out, _) = read_on(&mut output, &log.so_far()).await;
    assert!(out == bytes[5..], "the bytes differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_stream_only_its_own_cursor_moves() {
    let mut log = Log::start();
    log.say(Stream::Stdout, b"out").await;
    log.say(Stream::Stderr, b"error").await;
    let from = From { stdout_offset: 2, stderr_offset: 1 };
    let mut output = log.output(Wanted { only: Some(Stream::Stderr), from, ..Wanted::default() });
    assert_eq!(read_on(&mut output, &log.so_far()).await, (Vec::new(), b"rror".to_vec()));
    assert_eq!(output.cursor(), From { stdout_offset: 2, stderr_offset: 5 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_is_of_what_was_there_when_it_was_asked_for() {
    let mut log = Log::start();
    let mut early = log.output(Wanted { tail_bytes: Some(2), ..Wanted::default() });
    assert!(early.next(&log.so_far()).await.unwrap().is_empty());
    log.say(Stream::Stdout, b"abcdef").await;
    let mut late = log.output(Wanted { tail_bytes: Some(2), ..Wanted::default() });
    assert_eq!(read_on(&mut early, &log.so_far()).await.0, b"abcdef");
    assert_eq!(read_on(&mut late, &log.so_far()).await.0, b"ef");
    log.say(Stream::Stdout, b"gh").await;
    assert_eq!(read_on(&mut late, &log.so_far()).await.0, b"gh");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_before_the_time_is_left_out_also_when_it_comes_later() {
    let mut log = Log::start();
    let never = Wanted { since_us: Some(u64::MAX), ..Wanted::default() };
    let mut output = log.output(never);
    assert!(output.next(&log.so_far()).await.unwrap().is_empty());
    log.say(Stream::Stdout, b"early").await;
    assert!(output.next(&log.so_far()).await.unwrap().is_empty());
    log.say(Stream::Stdout, b"late").await;
    assert!(output.next(&log.so_far()).await.unwrap().is_empty());
    assert_eq!(output.cursor().stdout_offset, 9);
}
