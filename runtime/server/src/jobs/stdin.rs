//! Writes what clients send to a job's stdin, or types it into its terminal. A job that reads slowly makes the sender wait; a
//! job that has closed its stdin, or ended, makes the rest be dropped.

use super::job::StdinPiece;
use crate::link::Link;
use runtime_plan::link::{JobId, ToLauncher};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What a terminal takes for the end of input: VEOF, as a new terminal has it (termios(3)).
const END_OF_TRANSMISSION: u8 = 4;

/// Where stdin goes.
pub(super) enum Sink {
    /// A pipe, which is closed behind the last byte.
    Pipe(OwnedFd),
    /// A terminal, which stays open: its end of input is a character.
    Terminal(OwnedFd),
}

/// One job's stdin.
pub(super) struct Feeding {
    pub(super) job: JobId,
    pub(super) pieces: mpsc::Receiver<StdinPiece>,
    /// When the last byte went.
    pub(super) fed: watch::Sender<Option<Instant>>,
    pub(super) link: Link,
}

impl Feeding {
    /// Writes until the input or the job's interest ends. The launcher has a copy of the pipe, so it is told of the end.
    pub(super) async fn feed(mut self, sink: Sink) {
        let typed = matches!(sink, Sink::Terminal(_));
        let opened = match sink {
            Sink::Pipe(pipe) => Sender::from_owned_fd(pipe),
            Sink::Terminal(master) => open_terminal(master),
        };
        match opened {
            Ok(mut sink) => self.write_all(&mut sink, typed).await,
            Err(error) => tracing::error!(job = %self.job, %error, "failed to use the stdin of a job"),
        }
        self.pieces.close();
        if !typed && self.link.send(ToLauncher::CloseStdin { job: self.job.clone() }).await.is_err() {
            tracing::debug!(job = %self.job, "no launcher to close stdin");
        }
    }

    async fn write_all(&mut self, sink: &mut Sender, typed: bool) {
        while let Some(piece) = self.pieces.recv().await {
            let written = match piece {
                StdinPiece::Bytes(bytes) => sink.write_all(&bytes).await,
                StdinPiece::Close if typed => sink.write_all(&[END_OF_TRANSMISSION]).await,
                StdinPiece::Close => return,
            };
            self.fed.send_replace(Some(Instant::now()));
            if let Err(error) = written {
                // EIO: nobody has the terminal open.
                if error.kind() != io::ErrorKind::BrokenPipe && !typed {
                    tracing::warn!(job = %self.job, %error, "failed to write to the stdin of a job");
                }
                return;
            }
        }
    }
}

/// The type says "pipe", but only readiness is taken from it, and write(2).
fn open_terminal(master: OwnedFd) -> io::Result<Sender> {
    let set = runtime_sys::pipe::set_nonblocking(master.as_fd());
    set.map_err(|error| io::Error::from_raw_os_error(error.errno.0))?;
    Sender::from_owned_fd_unchecked(master)
}
