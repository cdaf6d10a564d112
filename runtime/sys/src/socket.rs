//! Unix sockets: messages with descriptors, who is at the other end, and a place to listen.
//!
//! What a message means is decided elsewhere. A descriptor that nobody asked for never stays open.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

use crate::error::{Act, Errno, Error, Result, check};

/// The most descriptors in one message: SCM_MAX_FD of unix(7).
pub const MESSAGE_FDS_MAX: usize = 253;
/// How many connections may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 1024;
/// The most supplementary groups a process can have: NGROUPS_MAX of getgroups(2).
const GROUPS_MAX: usize = 65_536;

/// Two connected sockets that keep the boundaries of messages and tell when the other end is gone.
pub fn seqpacket_pair() -> Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::SEQPACKET)
}

/// Two connected sockets that carry a stream of bytes.
pub fn stream_pair() -> Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::STREAM)
}

fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).act("socketpair")
}

/// Sends one message with copies of these descriptors, at most [`MESSAGE_FDS_MAX`]. *No heap.*
///
/// # Errors
/// `EAGAIN` when `nonblocking` and there is no room now; `EPIPE` when the other end is gone (no signal);
/// `EMSGSIZE` when the message is larger than the send buffer; `EINVAL` for too many descriptors,
/// and for no bytes, which would look like the end; `EIO` when a stream took only a part.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>], nonblocking: bool) -> Result<()> {
    if fds.len() > MESSAGE_FDS_MAX || bytes.is_empty() {
        return Err(Error::new("sendmsg", Errno::EINVAL));
    }
    let mut flags = SendFlags::NOSIGNAL;
    if nonblocking {
        flags |= SendFlags::DONTWAIT;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Error::new("sendmsg", Errno::EINVAL));
    }
    let sent =
        rustix::io::retry_on_intr(|| rustix::net::sendmsg(fd, &[IoSlice::new(bytes)], &mut control, flags));
    if sent.act("sendmsg")? == bytes.len() { Ok(()) } else { Err(Error::new("sendmsg", Errno::EIO)) }
}

/// One message that came in.
#[derive(Debug)]
pub struct Received {
    /// How many bytes of the buffer it filled; 0 when the other end is closed.
    pub len: usize,
    /// The descriptors that came with it, close-on-exec, in their order.
    pub fds: Vec<OwnedFd>,
    /// Bytes or descriptors were lost, because there were more than asked for: not a message to act upon.
    pub truncated: bool,
}

/// Receives one message of at most the buffer's size, with at most `fds_max` descriptors.
///
/// # Errors
/// `EAGAIN` when `nonblocking` and nothing waits; `ECONNRESET` when the other end left with bytes unread.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], fds_max: usize, nonblocking: bool) -> Result<Received> {
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    if nonblocking {
        flags |= RecvFlags::DONTWAIT;
    }
    let fds_max = fds_max.min(MESSAGE_FDS_MAX);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FDS_MAX))];
    // With no space at all the kernel closes every descriptor itself and says that it did.
    let wanted = if fds_max == 0 { 0 } else { rustix::cmsg_space!(ScmRights(fds_max)) };
    let space = space.get_mut(..wanted).ok_or(Error::new("recvmsg", Errno::EINVAL))?;
    let mut control = RecvAncillaryBuffer::new(space);
    let message = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(fd, &mut [IoSliceMut::new(buffer)], &mut control, flags)
    })
    .act("recvmsg")?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    // The space is rounded up, so one more than asked for can arrive: it is closed here.
    let extra = fds.len() > fds_max;
    fds.truncate(fds_max);
    let truncated = extra || message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Received { len: message.bytes, fds, truncated })
}

/// Sets the send and the receive buffer. The kernel doubles the size and silently stops at
/// `net.core.wmem_max` and `rmem_max`.
pub fn set_buffer_sizes(fd: BorrowedFd<'_>, bytes: usize) -> Result<()> {
    sockopt::set_socket_send_buffer_size(fd, bytes).act("set send buffer")?;
    sockopt::set_socket_recv_buffer_size(fd, bytes).act("set receive buffer")
}

/// Who connected, or who made the pair: the ids at that moment, as mapped here.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PeerCred {
    /// Its number in our pid namespace, 0 when it is outside; it may have ended since.
    pub pid: i32,
    /// Its effective uid.
    pub uid: u32,
    /// Its effective gid.
    pub gid: u32,
}

/// The identity of the other end, which the kernel vouches for (SO_PEERCRED of unix(7)).
pub fn peer_cred(fd: BorrowedFd<'_>) -> Result<PeerCred> {
    let mut cred = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes to the struct, and the size to `size`.
    let answer = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut size,
        )
    };
    check("get peer credentials", i64::from(answer))?;
    if cred.uid == u32::MAX {
        // An unconnected socket answers with no ids.
        return Err(Error::new("get peer credentials", Errno::ENOTCONN));
    }
    Ok(PeerCred { pid: cred.pid, uid: cred.uid, gid: cred.gid })
}

/// The supplementary groups of the other end at the moment it connected (SO_PEERGROUPS, Linux 4.13).
pub fn peer_groups(fd: BorrowedFd<'_>) -> Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut size = size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the kernel writes at most `size` bytes to the vector, and the size to `size`.
        let answer = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        let count = size as usize / size_of::<libc::gid_t>();
        match check("get peer groups", i64::from(answer)) {
            Ok(_) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // The size now says how many there are.
            Err(error) if error.errno == Errno::ERANGE && count > groups.len() && count <= GROUPS_MAX => {
                groups.resize(count, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Listens at a path, which must be free and at most 107 bytes. The socket belongs to its owner alone until
/// group and mode are set; it does not block in accept.
///
/// # Errors
/// `EADDRINUSE` when the path exists, `ENAMETOOLONG`, and what chown(2) says.
pub fn listen_unix(path: &Path, mode: u32, group: Option<u32>) -> Result<OwnedFd> {
    let address = SocketAddrUnix::new(path).act("socket path")?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).act("socket")?;
    // bind(2) gives the new file the mode of the socket, so there is no moment at which it is open to all,
    // and the umask of the process, which other threads share, need not change.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).act("restrict socket")?;
    rustix::net::bind(&socket, &address).act("bind")?;
    if let Some(group) = group {
        let group = rustix::fs::Gid::from_raw(group);
        let nofollow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(CWD, path, None, Some(group), nofollow).act("chown socket")?;
    }
    crate::file::chmod_path(path, mode)?;
    rustix::net::listen(&socket, BACKLOG).act("listen")?;
    Ok(socket)
}

/// Whether somebody listens at a path. The connection that this takes is closed at once.
///
/// # Errors
/// `ENOENT` without the socket, `EACCES` when we may not connect.
pub fn is_listened_at(path: &Path) -> Result<bool> {
    let address = SocketAddrUnix::new(path).act("socket path")?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).act("socket")?;
    match rustix::net::connect(&socket, &address) {
        Err(rustix::io::Errno::CONNREFUSED) => Ok(false),
        // Its queue is full; or it is a socket of another kind, and somebody has it open.
        Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::PROTOTYPE) => Ok(true),
        Err(errno) => Err(Error::new("connect", errno.into())),
    }
}

/// Whether reads and writes return `EAGAIN` instead of waiting. The flag belongs to the open file: every
/// copy of the descriptor has it.
pub fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd).act("get file flags")?;
    let wanted = if nonblocking { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK };
    rustix::fs::fcntl_setfl(fd, wanted).act("set file flags")
}

#[cfg(test)]
mod tests;
