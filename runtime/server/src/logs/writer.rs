//! Moves what a job writes from its pipes into files, with splice(2): there is no moment at which bytes are in our
//! memory only. Counts, keeps the index, and says when the job wrote more than it may.
//!
//! It must not know about clients. On a full disk the bytes stay in the pipe, the job waits, and so does this writer.

use super::index::{ENTRY_BYTES, Entry};
use super::{CHUNK_BYTES_MAX, Stream, Written, index_path, stream_path};
use runtime_sys::error::{Errno, Error};
use runtime_sys::pipe;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, watch};

/// How long a full disk is left alone before the next try.
const FULL_DISK_WAIT: Duration = Duration::from_millis(250);
/// From this many entries on, a writer that got little at once waits a little, so that the index of a job that
/// writes single bytes grows by at most 24 bytes every [`SMALL_WAIT`].
const ENTRIES_UNPACED: u64 = 4_096;
/// What counts as little.
const SMALL_BYTES: usize = 4_096;
/// And how long it waits then. The pipe holds what comes meanwhile.
const SMALL_WAIT: Duration = Duration::from_millis(2);
/// Bytes over the limit are read and thrown away in pieces of this size.
const DISCARD_BYTES: usize = 64 * 1024;

/// The open files of a log, and who is told of its growth.
#[derive(Debug)]
pub struct Writer {
    stdout: File,
    stderr: File,
    index: File,
    written: watch::Sender<Written>,
}

impl Drop for Writer {
    /// However a writer ends, its readers learn that no more will come.
    fn drop(&mut self) {
        self.written.send_modify(|written| written.ended = true);
    }
}

/// One pipe of the job.
struct Source {
    stream: Stream,
    pipe: Receiver,
    ended: bool,
}

/// What one try brought.
enum Moved {
    Nothing,
    Stored(usize),
    Discarded(u64),
    End,
    DiskFull,
}

impl Writer {
    /// Makes the directory and the files of a new log.
    ///
    /// # Errors
    /// What the file system says; an existing directory is one.
    pub fn create(directory: &Path, written: watch::Sender<Written>) -> io::Result<Writer> {
        std::fs::DirBuilder::new().mode(0o700).create(directory)?;
        // Not for appending: splice refuses such files.
        let create = |path| File::options().write(true).create_new(true).mode(0o600).open(path);
        Ok(Writer {
            stdout: create(stream_path(directory, Stream::Stdout))?,
            stderr: create(stream_path(directory, Stream::Stderr))?,
            index: create(index_path(directory))?,
            written,
        })
    }

    /// Stores everything until both pipes have ended. Above `bytes_max` it says once on `over` how much was
    /// written, and throws away the rest, so that nobody blocks on a full pipe.
    ///
    /// # Errors
    /// When a descriptor is no pipe, or a file cannot be written for another reason than a full disk.
    pub async fn store(
        mut self,
        stdout: OwnedFd,
        stderr: OwnedFd,
        bytes_max: u64,
        over: mpsc::Sender<u64>,
    ) -> io::Result<()> {
        let source =
            |stream, fd| Receiver::from_owned_fd(fd).map(|pipe| Source { stream, pipe, ended: false });
        let mut out = source(Stream::Stdout, stdout)?;
        let mut err = source(Stream::Stderr, stderr)?;
        let mut told = false;
        while !(out.ended && err.ended) {
            let ready = tokio::select! {
                ready = out.pipe.readable(), if !out.ended => ready.map(|()| &mut out),
                ready = err.pipe.readable(), if !err.ended => ready.map(|()| &mut err),
            };
            let source = ready?;
            match self.take(source, bytes_max)? {
                Moved::Nothing => {}
                Moved::End => source.ended = true,
                Moved::Stored(bytes) => self.pace(bytes).await,
                Moved::DiskFull => tokio::time::sleep(FULL_DISK_WAIT).await,
                Moved::Discarded(bytes) if !told => {
                    told = true;
                    if over.send(bytes_max.saturating_add(bytes)).await.is_err() {
                        tracing::debug!("nobody asks for the output limit any more");
                    }
                }
                Moved::Discarded(_) => {}
            }
        }
        Ok(())
    }

    /// Takes once what waits in a pipe.
    fn take(&mut self, source: &Source, bytes_max: u64) -> io::Result<Moved> {
        let room = bytes_max.saturating_sub(self.written.borrow().bytes());
        if room == 0 {
            let mut buffer = vec![0; DISCARD_BYTES];
            return match source.pipe.try_read(&mut buffer) {
                Ok(0) => Ok(Moved::End),
                Ok(bytes) => Ok(Moved::Discarded(bytes as u64)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Moved::Nothing),
                Err(error) => Err(error),
            };
        }
        let written = *self.written.borrow();
        let (file, offset) = match source.stream {
            Stream::Stdout => (&self.stdout, written.stdout_bytes),
            Stream::Stderr => (&self.stderr, written.stderr_bytes),
        };
        let max = usize::try_from(room).map_or(CHUNK_BYTES_MAX, |room| room.min(CHUNK_BYTES_MAX));
        // The kernel's answer is kept beside: readiness only has to hear "not now".
        let mut answer: Option<Error> = None;
        let moved = source.pipe.try_io(|| {
            pipe::splice_to_file(source.pipe.as_fd(), file.as_fd(), offset, max).map_err(|error| {
                let kind = io::Error::from_raw_os_error(error.errno.0);
                answer = Some(error);
                kind
            })
        });
        match moved {
            Ok(0) => Ok(Moved::End),
            Ok(bytes) => self.enter(source.stream, offset, bytes).map(|()| Moved::Stored(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Moved::Nothing),
            Err(error) => match answer.map(|error| error.errno) {
                Some(Errno::ENOSPC) => Ok(Moved::DiskFull),
                Some(errno) if errno.name() == "EDQUOT" => Ok(Moved::DiskFull),
                _ => Err(error),
            },
        }
    }

    /// Writes the entry of bytes that are in the file, then tells the readers.
    fn enter(&self, stream: Stream, offset: u64, bytes: usize) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let entry = Entry {
            stream,
            offset,
            length: u32::try_from(bytes).map_err(io::Error::other)?,
            time_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
        };
        let at = self.written.borrow().entries * ENTRY_BYTES as u64;
        self.index.write_all_at(&entry.encode(), at)?;
        self.written.send_modify(|written| {
            written.entries += 1;
            match stream {
                Stream::Stdout => written.stdout_bytes += bytes as u64,
                Stream::Stderr => written.stderr_bytes += bytes as u64,
            }
        });
        Ok(())
    }

    async fn pace(&self, bytes: usize) {
        let entries = self.written.borrow().entries;
        if bytes < SMALL_BYTES && entries > ENTRIES_UNPACED {
            tokio::time::sleep(SMALL_WAIT).await;
        } else {
            // Others get their turn while this job floods.
            tokio::task::yield_now().await;
        }
    }
}
