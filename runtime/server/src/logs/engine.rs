//! Stores what waits in a pipe: one small step at a time, none of which waits for a byte. It blocks where the file system
//! does, so it runs on threads that may. Each step is safe to be the last one: a crash after any of them loses nothing.
//!
//! The order of a step: make room (cap), make the segment, splice the bytes, enter them in the index, tell the readers.
//! When the disk refuses one of these, the same step is tried again later; the bytes wait where they are.

use super::fault::{Act, Fault};
use super::index::SEQUENCE_MAX;
use super::meta::{self, Meta, State};
use super::tape::{Arrived, Tape};
use super::writer::Options;
use super::written::{Stall, Written};
use super::{Both, CHUNK_BYTES_MAX, Stream, from_kernel, now_us, recover, retain, segment, sync};
use runtime_sys::{file, pipe, poll};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Bytes over the limit are read and thrown away in pieces of this size.
const DISCARD_BYTES: usize = 64 * 1024;

/// A log that is being written.
#[derive(Debug)]
pub(super) struct Engine {
    directory: PathBuf,
    output_bytes_max: u64,
    keep_bytes: Option<u64>,
    passing: bool,
    fault: Option<Arc<dyn Fault>>,
    state: State,
    meta: File,
    tapes: Both<Tape>,
    /// A segment that is given up and not removed yet.
    doomed: Option<(Stream, u64)>,
    /// Whether files were made or removed since the last sync.
    new_names: bool,
    /// For the next new entry.
    sequence: u64,
    /// Whose bytes came last.
    latest: Option<Stream>,
    /// Bytes that are in a file and not in the index: the disk was full in between.
    arrived: Option<Arrived>,
    written: watch::Sender<Written>,
}

/// What one step brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Nothing waits.
    Nothing,
    /// So many bytes are in the file and in the index.
    Stored(u64),
    /// So many bytes were over the limit, and are gone.
    Discarded(u64),
    /// Nothing waits, and nothing can come any more.
    End,
    /// The disk refuses; try again later.
    Stalled(Stall),
}

impl Drop for Engine {
    /// However a writer ends, its readers learn that no more will come.
    fn drop(&mut self) {
        self.written.send_modify(|written| written.ended = true);
    }
}

impl Engine {
    /// Makes the directory of a new log.
    pub(super) fn create(
        directory: &Path,
        options: Options,
        written: watch::Sender<Written>,
    ) -> io::Result<Engine> {
        std::fs::DirBuilder::new().mode(0o700).create(directory)?;
        Engine::resume(directory, options, written)
    }

    /// Goes on with a log, whatever a crash left of it.
    pub(super) fn resume(
        directory: &Path,
        options: Options,
        written: watch::Sender<Written>,
    ) -> io::Result<Engine> {
        let found = Meta::load(directory)?;
        let meta = meta::open(directory)?;
        let fresh = segment::list(directory, Stream::Stdout)?.is_empty()
            && segment::list(directory, Stream::Stderr)?.is_empty();
        let state = match found.state {
            Some(state) => state,
            None if fresh => State::new(segment::choose_bytes(options.keep_bytes)),
            None => State::new(found.segment_bytes()),
        };
        if found.state.is_none() {
            state.save(&meta)?;
        }
        let (tapes, sequence) = recover::recover(directory, &state)?;
        written.send_modify(|written| {
            (written.stdout_bytes, written.stderr_bytes) = (tapes.stdout.bytes, tapes.stderr.bytes);
        });
        Ok(Engine {
            directory: directory.to_owned(),
            output_bytes_max: options.output_bytes_max,
            keep_bytes: options.keep_bytes,
            passing: options.passing,
            fault: options.fault,
            state,
            meta,
            tapes,
            doomed: None,
            new_names: true,
            sequence,
            latest: None,
            arrived: None,
            written,
        })
    }

    /// Stores once what waits in a pipe. The pipe is in nonblocking mode.
    ///
    /// # Errors
    /// What waiting does not help against.
    pub(super) fn take(&mut self, stream: Stream, from: BorrowedFd<'_>) -> io::Result<Moved> {
        let moved = match self.try_take(stream, from) {
            Err(error) => Moved::Stalled(Stall::of(&error).ok_or(error)?),
            Ok(moved) => moved,
        };
        let stalled = match &moved {
            Moved::Stalled(stall) => Some(*stall),
            Moved::Stored(_) | Moved::Discarded(_) => None,
            Moved::Nothing | Moved::End => return Ok(moved),
        };
        self.written.send_if_modified(|written| {
            let changed = written.stalled != stalled;
            written.stalled = stalled;
            changed
        });
        Ok(moved)
    }

    fn try_take(&mut self, stream: Stream, from: BorrowedFd<'_>) -> io::Result<Moved> {
        self.settle()?;
        let room = self.output_bytes_max.saturating_sub(self.written.borrow().bytes());
        if room == 0 {
            return self.discard(from);
        }
        let max = room.min(CHUNK_BYTES_MAX as u64);
        // Without bytes no file is made, and no fault is asked about them.
        if self.tapes.of(stream).needs_segment() || self.fault.is_some() {
            let waiting = match waiting(from)? {
                Waiting::Bytes(bytes) => bytes,
                Waiting::Nothing => return Ok(Moved::Nothing),
                Waiting::End => return Ok(Moved::End),
            };
            self.prepare(stream, waiting.min(max))?;
        }
        let bytes = match self.tapes.of(stream).splice(from, max) {
            Ok(0) => return Ok(Moved::End),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::Nothing),
            Err(error) => return Err(error),
        };
        self.arrived = Some(Arrived {
            stream,
            bytes: u32::try_from(bytes).map_err(io::Error::other)?,
            at: Instant::now(),
            time_us: now_us(),
            sequence: self.sequence,
            interrupted: self.latest.is_some_and(|latest| latest != stream),
        });
        self.settle()?;
        Ok(Moved::Stored(bytes as u64))
    }

    /// Sees to it that there is a segment for these bytes.
    fn prepare(&mut self, stream: Stream, bytes: u64) -> io::Result<()> {
        if self.tapes.of(stream).needs_segment() {
            self.make_room()?;
            self.ask(Act::Segment)?;
            self.tapes.of_mut(stream).open_segment()?;
            self.new_names = true;
        }
        self.ask(Act::Data(bytes))
    }

    /// Enters the bytes that are in a file and in no entry, then tells the readers.
    fn settle(&mut self) -> io::Result<()> {
        let Some(arrived) = self.arrived else { return Ok(()) };
        self.ask(Act::Index)?;
        let new = self.tapes.of_mut(arrived.stream).enter(&arrived)?;
        self.arrived = None;
        self.latest = Some(arrived.stream);
        if new {
            self.sequence = (self.sequence + 1).min(SEQUENCE_MAX);
        }
        self.written.send_modify(|written| {
            written.entries += u64::from(new);
            *written.of_mut(arrived.stream) += u64::from(arrived.bytes);
            written.last_byte = Some(arrived.at);
            written.stalled = None;
        });
        Ok(())
    }

    fn discard(&mut self, from: BorrowedFd<'_>) -> io::Result<Moved> {
        let mut buffer = vec![0; DISCARD_BYTES];
        match file::read_fd(from, &mut buffer).map_err(from_kernel) {
            Ok(0) => Ok(Moved::End),
            Ok(bytes) => {
                self.written.send_modify(|written| written.last_byte = Some(Instant::now()));
                Ok(Moved::Discarded(bytes as u64))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Moved::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Removes segments until one more fits under the cap.
    fn make_room(&mut self) -> io::Result<()> {
        let Some(keep_bytes) = self.keep_bytes else { return Ok(()) };
        let bytes = Both::each(|stream| self.tapes.of(stream).bytes);
        let size = self.state.segment_bytes;
        self.remove_doomed()?;
        while retain::kept(&self.state, &bytes).saturating_add(size) > keep_bytes {
            let mut state = self.state;
            if !state.head_chosen {
                retain::choose_head(&self.directory, &mut state, &bytes, keep_bytes)?;
            }
            let Some(stream) = retain::victim(&self.directory, &state, &bytes)? else { return Ok(()) };
            let gap = state.gaps.of_mut(stream);
            let number = gap.until / size;
            gap.until += size;
            gap.time_us = now_us();
            state.generation += 1;
            // First the reason, then the removal: what is missing is never unexplained.
            self.ask(Act::Meta)?;
            state.save(&self.meta)?;
            self.state = state;
            self.doomed = Some((stream, number));
            // Nobody has to be woken for it.
            self.written.send_if_modified(|written| {
                written.capped_bytes += size;
                false
            });
            self.remove_doomed()?;
        }
        Ok(())
    }

    fn remove_doomed(&mut self) -> io::Result<()> {
        if let Some((stream, number)) = self.doomed {
            self.ask(Act::Remove)?;
            retain::remove_segment(&self.directory, stream, number)?;
            self.doomed = None;
        }
        Ok(())
    }

    fn ask(&self, act: Act) -> io::Result<()> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault.before(act))
    }

    /// What has to reach the disk since the last time; `None` when nothing has.
    pub(super) fn take_dirty(&mut self) -> Option<sync::Dirty> {
        if self.passing {
            return None;
        }
        let mut segments = Both::default();
        for stream in Stream::ALL {
            let tape = self.tapes.of_mut(stream);
            let last = tape.open.as_ref().map(|open| open.number);
            *segments.of_mut(stream) = tape.dirty_from.take().zip(last);
        }
        if segments == Both::default() {
            return None;
        }
        let names = std::mem::take(&mut self.new_names);
        Some(sync::Dirty { directory: self.directory.clone(), segments, names })
    }

    /// Whether there is something to sync.
    pub(super) fn is_dirty(&self) -> bool {
        !self.passing && Stream::ALL.into_iter().any(|stream| self.tapes.of(stream).dirty_from.is_some())
    }

    /// Notes what came of a sync. The kernel forgets what it could not write: trying again would not tell.
    pub(super) fn heed_sync(&self, result: &io::Result<()>) {
        if let Err(error) = result {
            let directory = self.directory.display();
            tracing::error!(%directory, %error, "failed to bring output to the disk");
            self.written.send_modify(|written| written.sync_failed = true);
        }
    }

    pub(super) fn tell_drained(&self) {
        self.written.send_modify(|written| (written.drained, written.stalled) = (true, None));
    }

    pub(super) fn output_bytes_max(&self) -> u64 {
        self.output_bytes_max
    }
}

enum Waiting {
    Bytes(u64),
    Nothing,
    End,
}

/// What is in a pipe, without a file to move it to.
fn waiting(from: BorrowedFd<'_>) -> io::Result<Waiting> {
    let count = || pipe::bytes_waiting(from).map_err(from_kernel);
    let bytes = count()?;
    if bytes > 0 {
        return Ok(Waiting::Bytes(bytes));
    }
    let readable = poll::wait_readable(from, Duration::ZERO).map_err(from_kernel)?;
    // Bytes may have come between the two looks.
    Ok(match (readable, count()?) {
        (_, bytes @ 1..) => Waiting::Bytes(bytes),
        (true, 0) => Waiting::End,
        (false, 0) => Waiting::Nothing,
    })
}
