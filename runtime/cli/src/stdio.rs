//! The bytes of a job: its output to our stdout and stderr, our stdin to it. Each side is a thread that may block, so that a
//! reader that stands still never keeps a signal waiting; memory is bounded by the queues.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bytes::Bytes;
use runtime_sys::poll::{Epoll, Interest};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;

/// Chunks of output that wait for the writer: with the API's 256 KiB a chunk, 2 MiB.
const OUTPUT_CHUNKS_MAX: usize = 8;
/// Bytes of stdin in one message.
const INPUT_BYTES: usize = 64 * 1024;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why output could not be written.
#[derive(Debug)]
pub enum WriteFailure {
    /// The reader is gone (EPIPE).
    ReaderGone,
    /// Anything else, for example a full disk.
    Failed(Error),
}

/// The writer: chunks go in, in order; the end says whether all were written.
#[derive(Debug)]
pub struct Writer {
    /// Takes chunks; dropped at the end.
    pub chunks: mpsc::Sender<(Stream, Bytes)>,
    /// Says `Ok` when every chunk was written, and an error as soon as one was not.
    pub done: oneshot::Receiver<Result<(), WriteFailure>>,
}

impl Writer {
    /// Starts the thread. Both streams go through one queue, so that their order on a shared terminal stays.
    pub fn start() -> Result<Writer, Error> {
        let stdout = duplicate(std::io::stdout().as_fd(), "stdout")?;
        let stderr = duplicate(std::io::stderr().as_fd(), "stderr")?;
        Writer::start_with(stdout, stderr)
    }

    /// The same for other files.
    pub fn start_with(mut stdout: File, mut stderr: File) -> Result<Writer, Error> {
        let (chunks, mut queue) = mpsc::channel::<(Stream, Bytes)>(OUTPUT_CHUNKS_MAX);
        let (tell, done) = oneshot::channel();
        let mut write = move || {
            while let Some((stream, bytes)) = queue.blocking_recv() {
                let (file, name) = match stream {
                    Stream::Stdout => (&mut stdout, "stdout"),
                    Stream::Stderr => (&mut stderr, "stderr"),
                };
                match write_all(file, &bytes) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                        return Err(WriteFailure::ReaderGone);
                    }
                    Err(error) => return Err(WriteFailure::Failed(Error::io("write to", name, error))),
                }
            }
            Ok(())
        };
        start_thread("output", move || {
            // Nobody listens any more only when the session is over already.
            drop(tell.send(write()));
        })?;
        Ok(Writer { chunks, done })
    }
}

/// Writes all of it, also to a descriptor that somebody made non-blocking.
fn write_all(file: &mut File, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(file.as_fd(), Interest { write: true, ..Interest::default() })?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What stdin gave.
#[derive(Debug)]
pub enum Input {
    /// Some bytes.
    Bytes(Bytes),
    /// The end.
    End,
    /// It cannot be read; the job sees the end.
    Failed(Error),
}

/// Starts a thread that reads our stdin to its end, at the pace at which the receiver takes it.
pub fn start_reading() -> Result<mpsc::Receiver<Input>, Error> {
    read_from(duplicate(std::io::stdin().as_fd(), "stdin")?)
}

fn read_from(mut stdin: File) -> Result<mpsc::Receiver<Input>, Error> {
    let (send, receive) = mpsc::channel(1);
    start_thread("input", move || {
        let mut buffer = vec![0; INPUT_BYTES];
        loop {
            let input = match stdin.read(&mut buffer) {
                Ok(0) => Input::End,
                Ok(count) => Input::Bytes(Bytes::copy_from_slice(&buffer[..count])),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    match wait(stdin.as_fd(), Interest { read: true, ..Interest::default() }) {
                        Ok(()) => continue,
                        Err(error) => Input::Failed(Error::io("wait for", "stdin", error)),
                    }
                }
                Err(error) => Input::Failed(Error::io("read", "stdin", error)),
            };
            let last = !matches!(input, Input::Bytes(_));
            if send.blocking_send(input).is_err() || last {
                return;
            }
        }
    })?;
    Ok(receive)
}

fn wait(fd: BorrowedFd<'_>, interest: Interest) -> std::io::Result<()> {
    let set = Epoll::new()?;
    set.add(fd, 0, interest)?;
    set.wait(&mut Vec::new(), Some(Duration::from_secs(60)))?;
    Ok(())
}

fn duplicate(fd: BorrowedFd<'_>, name: &str) -> Result<File, Error> {
    fd.try_clone_to_owned().map(File::from).map_err(|error| Error::io("duplicate", name, error))
}

fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| Error::io("start the thread of", name, error))
}

#[cfg(test)]
#[path = "stdio/tests.rs"]
mod tests;
