//! A terminal as a source of output: master → relay pipe → file, so that no byte is in our memory only. The relay belongs
//! to the job and outlives this process: what a server that died left in it comes first.
//!
//! ```text
//! waiting for the master ──▶ open ──▶ over (EIO: nobody has the terminal open any more; or it never came)
//! ```

use super::from_kernel;
use runtime_sys::{Errno, pipe};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

/// Bytes that are moved from the terminal at a time.
const RELAY_BYTES: usize = 64 * 1024;

/// The descriptors of a terminal's output.
#[derive(Debug)]
pub struct Relay {
    /// Where the relay is read.
    pub read: OwnedFd,
    /// Where it is written.
    pub write: OwnedFd,
    /// The terminal itself, when the job has been started. Dropped when it never will be.
    pub master: oneshot::Receiver<OwnedFd>,
}

#[derive(Debug)]
pub(super) enum Master {
    Coming(oneshot::Receiver<OwnedFd>),
    Open(Receiver),
    Over,
}

enum Pumped {
    Some,
    Full,
    End,
}

impl Master {
    /// Moves once what waits in the terminal into the relay, whose other end is `read`. `false` when nothing waits or
    /// nothing fits.
    pub(super) fn pump(&mut self, relay: &OwnedFd, read: &OwnedFd) -> io::Result<bool> {
        let Master::Open(master) = self else { return Ok(false) };
        let moved = master.try_io(|| {
            match pipe::splice_to_pipe(master.as_fd(), relay.as_fd(), RELAY_BYTES) {
                Ok(0) => Ok(Pumped::End),
                Ok(_) => Ok(Pumped::Some),
                Err(error) if error.errno == Errno::EIO => Ok(Pumped::End),
                // Of a full relay: that says nothing about the terminal, which must stay known as ready.
                Err(error) if error.errno == Errno::EAGAIN && holds_bytes(read)? => Ok(Pumped::Full),
                Err(error) => Err(from_kernel(error)),
            }
        });
        match moved {
            Ok(Pumped::Some) => Ok(true),
            Ok(Pumped::Full) => Ok(false),
            Ok(Pumped::End) => {
                *self = Master::Over;
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until it came, or has bytes, or ended. For ever when it is over.
    pub(super) async fn changed(&mut self) -> io::Result<()> {
        match self {
            Master::Coming(coming) => {
                *self = match coming.await {
                    Ok(master) => {
                        pipe::set_nonblocking(master.as_fd()).map_err(from_kernel)?;
                        // No pipe, which is what the check would find; only its readiness is asked for.
                        Master::Open(Receiver::from_owned_fd_unchecked(master)?)
                    }
                    Err(_) => Master::Over,
                };
                Ok(())
            }
            Master::Open(master) => master.readable().await,
            Master::Over => std::future::pending().await,
        }
    }
}

fn holds_bytes(pipe: &OwnedFd) -> io::Result<bool> {
    pipe::bytes_waiting(pipe.as_fd()).map(|bytes| bytes > 0).map_err(from_kernel)
}
