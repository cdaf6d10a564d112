//! Writes what clients send to a job's stdin. A job that reads slowly makes the sender wait; a job that has closed
//! its stdin, or ended, makes the rest be dropped.

use super::record::StdinPiece;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;
use tokio::sync::mpsc;

/// Writes until the channel or the job's interest ends. Dropping the returned future closes the pipe.
pub(super) async fn write_stdin(pipe: OwnedFd, mut pieces: mpsc::Receiver<StdinPiece>) {
    let mut pipe = match Sender::from_owned_fd(pipe) {
        Ok(pipe) => Some(pipe),
        Err(error) => {
            tracing::error!(%error, "failed to use the stdin pipe of a job");
            None
        }
    };
    while let Some(piece) = pieces.recv().await {
        let closed = match (&mut pipe, piece) {
            (Some(open), StdinPiece::Bytes(bytes)) => match open.write_all(&bytes).await {
                Ok(()) => false,
                Err(error) => {
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        tracing::warn!(%error, "failed to write to the stdin of a job");
                    }
                    true
                }
            },
            (Some(_), StdinPiece::Close) => true,
            (None, _) => false,
        };
        if closed {
            pipe = None;
        }
    }
}
