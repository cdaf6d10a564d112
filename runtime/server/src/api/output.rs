//! Reads a job's log for one client, from where the client wants it, in bounded pieces.
//!
//! What is old may have to come from the disk, so it is read on a thread that may wait; the last bytes of a job that
//! runs are in memory.

use super::Context;
use super::client::{Client, Over};
use super::convert::{Piece, piece_to_wire};
use super::errors::{Reason, server_restarting};
use crate::logs::reader::{Chunk, From, Reader, Wanted};
use crate::logs::{Stream, Written};
use crate::metrics::Counted;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tonic::Status;

/// Bytes that are read before the client gets them.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Pieces that are read before the client gets them: small ones have a price, too.
const BATCH_PIECES_MAX: usize = 64;
/// A reader that is no further behind than a full pipe reads what was written a moment ago.
const FRESH_BYTES_MAX: u64 = 64 * 1024;

/// A client's place in a log.
#[derive(Debug)]
pub(super) struct Output {
    log: Arc<Path>,
    wanted: Wanted,
    reader: Option<Reader>,
    /// Whether the job still wrote at the first look; `None` before it.
    was_live: Option<bool>,
    _counted: Counted,
}

impl Output {
    pub(super) fn new(log: PathBuf, wanted: Wanted, counted: Counted) -> Output {
        Output { log: log.into(), wanted, reader: None, was_live: None, _counted: counted }
    }

    /// The next pieces of a log that has come this far; none when there are no more yet.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) async fn next(&mut self, so_far: &Written) -> io::Result<Vec<Piece>> {
        let was_live = *self.was_live.get_or_insert(!so_far.ended);
        if so_far.bytes() == 0 {
            // There is no log yet, and later all of it is new.
            self.wanted.tail_bytes = None;
            return Ok(Vec::new());
        }
        let behind = self.behind(so_far);
        if behind == 0 && self.reader.is_some() {
            return Ok(Vec::new());
        }
        let (log, wanted, reader, so_far) = (Arc::clone(&self.log), self.wanted, self.reader.take(), *so_far);
        let read = move || read(&log, wanted, reader, &so_far);
        let (reader, pieces) = if was_live && behind <= FRESH_BYTES_MAX {
            read()?
        } else {
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??
        };
        self.reader = Some(reader);
        Ok(pieces)
    }

    /// Tells a client of all that is new in a log that has come this far. Ends the stream when the log cannot be read, or
    /// when another server takes over.
    pub(super) async fn tell<T>(
        &mut self,
        so_far: &Written,
        client: &mut Client<T>,
        context: &Context,
        wrap: impl Fn(Piece) -> T,
    ) -> Result<(), Over> {
        loop {
            let pieces = match self.next(so_far).await {
                Ok(pieces) => pieces,
                Err(error) => return Err(client.give_up(log_unavailable(&error)).await),
            };
            if pieces.is_empty() {
                return Ok(());
            }
            for piece in pieces {
                match &piece {
                    Piece::Output(chunk) => {
                        let bytes = chunk.data.len();
                        client.tell_output(wrap(piece), bytes).await?;
                    }
                    Piece::Gap(_) => client.tell(wrap(piece)).await?,
                }
            }
            if context.is_retiring() {
                return Err(client.give_up(server_restarting()).await);
            }
        }
    }

    /// The byte of each stream that comes next.
    pub(super) fn cursor(&self) -> From {
        let Some(reader) = &self.reader else { return self.wanted.from };
        let (at, from) = (reader.cursor(), self.wanted.from);
        match self.wanted.only {
            None => at,
            Some(Stream::Stdout) => From { stderr_offset: from.stderr_offset, ..at },
            Some(Stream::Stderr) => From { stdout_offset: from.stdout_offset, ..at },
        }
    }

    fn behind(&self, so_far: &Written) -> u64 {
        let at = self.cursor();
        let of = |stream: Stream, at: u64| match self.wanted.only {
            Some(only) if only != stream => 0,
            _ => so_far.of(stream).saturating_sub(at),
        };
        of(Stream::Stdout, at.stdout_offset).saturating_add(of(Stream::Stderr, at.stderr_offset))
    }
}

fn log_unavailable(error: &io::Error) -> Status {
    Reason::LogUnavailable
        .status(format!("failed to read the log of the job: {error}: look at the state directory"))
}

/// Reads until there is enough for one turn, or no more.
fn read(
    log: &Path,
    wanted: Wanted,
    reader: Option<Reader>,
    so_far: &Written,
) -> io::Result<(Reader, Vec<Piece>)> {
    let mut reader = match reader {
        Some(reader) => reader,
        None => Reader::open(log, wanted, so_far)?,
    };
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES_MAX && pieces.len() < BATCH_PIECES_MAX {
        let Some(chunk) = reader.next(so_far)? else { break };
        if let Chunk::Data(data) = &chunk {
            // A log that was empty, or whose clock stood behind, when the reader was opened.
            if wanted.since_us.is_some_and(|since_us| data.time_us < since_us) {
                continue;
            }
            bytes += data.data.len();
        }
        pieces.push(piece_to_wire(chunk));
    }
    Ok((reader, pieces))
}

#[cfg(test)]
mod tests;
