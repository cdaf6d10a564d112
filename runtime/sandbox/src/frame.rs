//! Bounded messages over a SOCK_SEQPACKET socket: small ones in the datagram, large ones as a sealed memfd.
//!
//! The peer may be hostile: a receiver reads only sealed memfds, so nothing can block it or change under it, and a frame
//! that does not hold what it says is an error, never a panic.

use runtime_plan::link::{INLINE_BYTES_MAX, MESSAGE_BYTES_MAX};
use runtime_sys::{
    error::{Errno, Error},
    memfd, socket,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Body in the datagram.
const TAG_INLINE: u8 = 0;
/// Body in a sealed memfd, the first fd of the datagram.
const TAG_MEMFD: u8 = 1;
/// Bytes that a receive buffer needs.
pub const BUFFER_BYTES: usize = INLINE_BYTES_MAX + 1;

/// A message and the fds that came with it.
#[derive(Debug)]
pub struct Frame {
    /// The body, at most [`MESSAGE_BYTES_MAX`].
    pub body: Vec<u8>,
    /// The fds, in the sender's order.
    pub fds: Vec<OwnedFd>,
}

/// Why a frame could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] Error),
    /// The peer broke the form.
    #[error("the peer sent a malformed frame: {0}")]
    Malformed(&'static str),
}

impl FrameError {
    /// Whether a non-blocking call has to be tried again later.
    pub fn would_block(&self) -> bool {
        matches!(self, FrameError::Kernel(error) if error.errno == Errno::EAGAIN)
    }
}

/// Sends a message.
pub fn send(
    to: BorrowedFd<'_>,
    body: &[u8],
    fds: &[BorrowedFd<'_>],
    nonblocking: bool,
) -> Result<(), FrameError> {
    if body.len() <= INLINE_BYTES_MAX {
        let mut datagram = Vec::with_capacity(body.len() + 1);
        datagram.push(TAG_INLINE);
        datagram.extend_from_slice(body);
        return Ok(socket::send(to, &datagram, fds, nonblocking)?);
    }
    let memfd = memfd::create_sealed(c"runtime-message", body)?;
    let mut all = Vec::with_capacity(fds.len() + 1);
    all.push(memfd.as_fd());
    all.extend_from_slice(fds);
    Ok(socket::send(to, &[TAG_MEMFD], &all, nonblocking)?)
}

/// Receives a message; `None` when the peer is gone. `buffer` is scratch of at least [`BUFFER_BYTES`].
pub fn receive(
    from: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds_max: usize,
    nonblocking: bool,
) -> Result<Option<Frame>, FrameError> {
    let received = socket::receive(from, buffer, fds_max + 1, nonblocking)?;
    if received.truncated {
        return Err(FrameError::Malformed("longer than its bound"));
    }
    let Some((&tag, body)) = buffer.get(..received.len).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    let mut fds = received.fds;
    let body = match tag {
        TAG_INLINE => body.to_vec(),
        TAG_MEMFD if body.is_empty() && !fds.is_empty() => {
            let memfd = fds.remove(0);
            memfd::read_sealed(memfd.as_fd(), MESSAGE_BYTES_MAX)?
        }
        _ => return Err(FrameError::Malformed("its tag and its fds do not agree")),
    };
    if fds.len() > fds_max {
        return Err(FrameError::Malformed("more fds than it may carry"));
    }
    Ok(Some(Frame { body, fds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(body: &[u8]) -> Frame {
        let (left, right) = socket::seqpacket_pair().unwrap();
        let mut buffer = vec![0; BUFFER_BYTES];
        send(left.as_fd(), body, &[left.as_fd()], false).unwrap();
        receive(right.as_fd(), &mut buffer, 1, false).unwrap().unwrap()
    }

    #[test]
    fn small_and_large_bodies_arrive_whole() {
        for bytes in [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 1_500_000] {
            let body: Vec<u8> = (0..bytes).map(|index| index as u8).collect();
            let frame = round_trip(&body);
            assert_eq!(frame.body, body);
            assert_eq!(frame.fds.len(), 1);
        }
    }

    #[test]
    fn a_pipe_in_place_of_a_sealed_memfd_is_refused_at_once() {
        let (left, right) = socket::seqpacket_pair().unwrap();
        let (pipe, _writer) = runtime_sys::pipe::pipe().unwrap();
        socket::send(left.as_fd(), &[TAG_MEMFD], &[pipe.as_fd()], false).unwrap();
        let mut buffer = vec![0; BUFFER_BYTES];
        assert!(receive(right.as_fd(), &mut buffer, 1, false).is_err());
    }

    #[test]
    fn unknown_tags_and_surplus_fds_are_refused() {
        let (left, right) = socket::seqpacket_pair().unwrap();
        let mut buffer = vec![0; BUFFER_BYTES];
        socket::send(left.as_fd(), &[7, 1, 2], &[], false).unwrap();
        assert!(matches!(receive(right.as_fd(), &mut buffer, 1, false), Err(FrameError::Malformed(_))));
        socket::send(left.as_fd(), &[TAG_INLINE, 1], &[left.as_fd(), left.as_fd()], false).unwrap();
        assert!(receive(right.as_fd(), &mut buffer, 0, false).is_err());
    }

    #[test]
    fn a_closed_peer_is_the_end() {
        let (left, right) = socket::seqpacket_pair().unwrap();
        drop(left);
        let mut buffer = vec![0; BUFFER_BYTES];
        assert!(receive(right.as_fd(), &mut buffer, 0, false).unwrap().is_none());
    }
}
