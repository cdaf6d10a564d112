//! The output of a job on its way to our stdout and stderr: every byte at its place, once; made safe when a terminal shows it.
//!
//! It owns the cursors, so that a broken connection goes on where it stopped. Writing is `stdio`'s.

mod stamp;

use std::collections::VecDeque;
use std::io::IsTerminal;

use bytes::Bytes;
use runtime_proto::v1::{GapReason, OutputChunk, OutputGap, OutputStream};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::output;
use crate::stdio::{Stream, WriteFailure, Writer};
use crate::text::{amount, stream::Escaper};
use stamp::Stamp;

/// How output is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Control sequences as they are.
    pub raw: bool,
    /// Each line begins with the time at which it came.
    pub timestamps: bool,
}

/// One of the two streams.
#[derive(Debug, Default)]
struct Lane {
    /// The byte that comes next; `None` until it is known.
    next: Option<u64>,
    escaper: Option<Escaper>,
    stamp: Option<Stamp>,
}

/// Where output goes.
#[derive(Debug)]
pub struct Screen {
    lanes: [Lane; 2],
    writer: Writer,
    /// What the writer has no room for yet; nothing more is taken before.
    waiting: VecDeque<(Stream, Bytes)>,
    writing: bool,
    /// The reader went away: what comes is thrown away.
    closed: bool,
}

impl Screen {
    /// Our stdout and stderr.
    pub fn start(look: Look) -> Result<Screen, Error> {
        let shown = [std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
        Ok(Screen::with(Writer::start()?, look, shown))
    }

    /// A writer; `shown` says whether stdout and stderr are terminals.
    pub fn with(writer: Writer, look: Look, shown: [bool; 2]) -> Screen {
        let lane = |shown: bool| Lane {
            next: None,
            escaper: (shown && !look.raw).then(Escaper::default),
            stamp: look.timestamps.then(Stamp::default),
        };
        Screen { lanes: shown.map(lane), writer, waiting: VecDeque::new(), writing: true, closed: false }
    }

    /// Every stream begins at byte 0: anything else that comes first is a hole.
    pub fn at_the_start(mut self) -> Screen {
        self.lanes.iter_mut().for_each(|lane| lane.next = Some(0));
        self
    }

    /// The bytes of stdout and stderr that come next; `None` for a stream of which nothing came yet.
    pub fn cursors(&self) -> [Option<u64>; 2] {
        [self.lanes[0].next, self.lanes[1].next]
    }

    /// Takes a chunk, which then waits for room.
    pub fn take(&mut self, chunk: OutputChunk) -> Result<(), Error> {
        let stream = stream_of(chunk.stream())?;
        let lane = &mut self.lanes[index(stream)];
        let expected = lane.next.unwrap_or(chunk.offset_bytes);
        lane.next = Some(end(chunk.offset_bytes, chunk.data.len()));
        if !self.closed {
            let stamped = match &mut lane.stamp {
                Some(stamp) => stamp.push(&chunk.data, chunk.time.as_ref(), &mut lane.escaper),
                None => escape(&mut lane.escaper, chunk.data),
            };
            self.wait_for_room(stream, stamped);
        }
        if chunk.offset_bytes == expected {
            return Ok(());
        }
        let what = format!("{} came at byte {} after byte {expected}", name(stream), chunk.offset_bytes);
        Err(Error::Protocol { what })
    }

    /// Takes a gap, and tells it in a line on stderr, at its place.
    pub fn skip(&mut self, gap: &OutputGap) -> Result<(), Error> {
        let stream = stream_of(gap.stream())?;
        let lane = &mut self.lanes[index(stream)];
        let expected = lane.next.unwrap_or(gap.offset_bytes);
        lane.next = Some(gap.offset_bytes.saturating_add(gap.length_bytes));
        if gap.offset_bytes != expected {
            let what =
                format!("a gap of {} came at byte {} after byte {expected}", name(stream), gap.offset_bytes);
            return Err(Error::Protocol { what });
        }
        let line = format!(
            "runtime: {} of {} from byte {} on are kept no longer: {}",
            amount::size(gap.length_bytes),
            name(stream),
            gap.offset_bytes,
            why(gap.reason())
        );
        if !self.closed {
            self.wait_for_room(Stream::Stderr, output::line(&line).into());
        }
        Ok(())
    }

    /// What was taken last is shown as this instead.
    pub fn replace(&mut self, stream: Stream, bytes: Bytes) {
        if !self.closed {
            self.waiting.clear();
            self.wait_for_room(stream, bytes);
        }
    }

    fn wait_for_room(&mut self, stream: Stream, bytes: Bytes) {
        if !bytes.is_empty() {
            self.waiting.push_back((stream, bytes));
        }
    }

    /// Whether more may be taken.
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Where what waits goes: reserve room there, then call [`Screen::hand_over`].
    pub fn queue(&self) -> mpsc::Sender<(Stream, Bytes)> {
        self.writer.chunks.clone()
    }

    /// Hands one waiting piece over.
    pub fn hand_over(&mut self, room: mpsc::Permit<'_, (Stream, Bytes)>) {
        if let Some(piece) = self.waiting.pop_front() {
            room.send(piece);
        }
    }

    /// Whether the writer lives.
    pub const fn is_writing(&self) -> bool {
        self.writing
    }

    /// What the writer says when it ends early.
    pub const fn done(&mut self) -> &mut oneshot::Receiver<Result<(), WriteFailure>> {
        &mut self.writer.done
    }

    /// The writer has ended; from here on output is taken and thrown away, so that the daemon gets to the end.
    pub fn close(&mut self) {
        self.writing = false;
        self.closed = true;
        self.waiting.clear();
    }

    /// Writes what is left. Nothing to do after [`Screen::close`].
    pub async fn flush(mut self) -> Result<(), WriteFailure> {
        if !self.writing {
            return Ok(());
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = self.lanes[index(stream)].escaper.as_mut().map(Escaper::finish).unwrap_or_default();
            self.wait_for_room(stream, rest.into());
        }
        let Writer { chunks, done } = self.writer;
        for piece in self.waiting {
            // A writer that is gone has said why.
            if chunks.send(piece).await.is_err() {
                break;
            }
        }
        drop(chunks);
        done.await.unwrap_or(Ok(()))
    }
}

fn escape(escaper: &mut Option<Escaper>, bytes: Bytes) -> Bytes {
    match escaper {
        Some(escaper) => escaper.push(&bytes).into(),
        None => bytes,
    }
}

const fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

const fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

fn stream_of(stream: OutputStream) -> Result<Stream, Error> {
    match stream {
        OutputStream::Stdout => Ok(Stream::Stdout),
        OutputStream::Stderr => Ok(Stream::Stderr),
        OutputStream::Unspecified => Err(Error::Protocol { what: "output of no stream came".to_owned() }),
    }
}

fn end(offset: u64, bytes: usize) -> u64 {
    offset.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX))
}

const fn why(reason: GapReason) -> &'static str {
    match reason {
        GapReason::JobCap => "the job was to keep less (--keep-output)",
        GapReason::OrgCap => "its org had more output than the operator keeps",
        GapReason::Age => "it was older than the operator keeps",
        GapReason::NotKept => "the job asked that its output be not kept",
        GapReason::Damaged => "a power cut or a damaged disk took it",
        GapReason::Unspecified => "the daemon gives no reason",
    }
}

#[cfg(test)]
#[path = "screen/tests.rs"]
mod tests;
