//! Tests of messages, identities and the listening socket.

use std::os::fd::AsFd;

use super::*;
use crate::file::{Kind, read_fd, stat_fd, stat_path, write_fd};
use crate::in_child::{self, expect, need_root};

#[test]
fn messages_keep_their_boundaries_and_bring_descriptors() {
    let (left, right) = seqpacket_pair().expect("pair");
    let (reader, writer) = crate::pipe::pipe().expect("pipe");
    assert_eq!(send(left.as_fd(), b"", &[], false).expect_err("looks like an end").errno, Errno::EINVAL);
    send(left.as_fd(), b"first", &[writer.as_fd(), reader.as_fd()], false).expect("send");
    send(left.as_fd(), b"second", &[], false).expect("send");
    let mut buffer = [0; 64];
    let first = receive(right.as_fd(), &mut buffer, 2, false).expect("receive");
    assert_eq!((&buffer[..first.len], first.fds.len(), first.truncated), (&b"first"[..], 2, false));
    write_fd(first.fds[0].as_fd(), b"x").expect("the writing end came first");
    assert_eq!(read_fd(reader.as_fd(), &mut buffer).expect("read"), 1);
    let flags = rustix::io::fcntl_getfd(&first.fds[0]).expect("flags");
    assert_eq!(flags, rustix::io::FdFlags::CLOEXEC);
    let second = receive(right.as_fd(), &mut buffer, 2, false).expect("receive");
    assert_eq!((second.len, second.fds.len(), second.truncated), (6, 0, false));
}

#[test]
fn a_full_or_empty_socket_does_not_block_when_asked() {
    let (left, right) = seqpacket_pair().expect("pair");
    set_buffer_sizes(left.as_fd(), 8192).expect("sizes");
    let empty = receive(right.as_fd(), &mut [0; 8], 0, true).expect_err("empty");
    assert_eq!(empty.errno, Errno::EAGAIN);
    let full = (0..10_000).find_map(|_| send(left.as_fd(), &[0; 1024], &[], true).err());
    assert_eq!(full.expect("full at last").errno, Errno::EAGAIN);
    let large = send(left.as_fd(), &[0; 1 << 20], &[], true).expect_err("too large");
    assert_eq!(large.errno, Errno::EMSGSIZE);
}

#[test]
fn what_was_cut_off_is_told_and_extra_descriptors_are_closed() {
    // In a child: the number of open descriptors is compared.
    in_child::run(|| {
        let (left, right) = seqpacket_pair()?;
        let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
        let mut buffer = [0; 4];
        let before = count()?;
        for (sent, wanted, kept) in [(2, 1, 1), (3, 1, 1), (3, 2, 2), (1, 0, 0), (40, 3, 3)] {
            send(left.as_fd(), b"abc", &vec![left.as_fd(); sent], false)?;
            let message = receive(right.as_fd(), &mut buffer, wanted, false)?;
            expect("told", message.truncated && message.len == 3)?;
            expect("kept", message.fds.len() == kept && count()? == before + kept)?;
        }
        expect("all closed", count()? == before)?;
        send(left.as_fd(), b"abcde", &[], false)?;
        let message = receive(right.as_fd(), &mut buffer, 1, false)?;
        expect("bytes cut off", message.truncated && message.len == 4)?;
        send(left.as_fd(), b"a", &vec![left.as_fd(); MESSAGE_FDS_MAX], false)?;
        let message = receive(right.as_fd(), &mut buffer, MESSAGE_FDS_MAX, false)?;
        expect("the most", message.fds.len() == MESSAGE_FDS_MAX && !message.truncated)?;
        let many = send(left.as_fd(), b"a", &vec![left.as_fd(); MESSAGE_FDS_MAX + 1], false);
        expect("one too many", many.is_err_and(|error| error.errno == Errno::EINVAL))
    });
}

#[test]
fn a_closed_end_is_told_without_a_signal() {
    in_child::run(|| {
        let (left, right) = seqpacket_pair()?;
        drop(left);
        expect("end", receive(right.as_fd(), &mut [0; 4], 0, false)?.len == 0)?;
        let gone = send(right.as_fd(), b"x", &[], false).map_err(|error| error.errno);
        expect("gone", gone == Err(Errno::EPIPE))
    });
}

#[test]
fn a_stream_carries_bytes() {
    let (left, right) = stream_pair().expect("pair");
    write_fd(left.as_fd(), b"ab").expect("write");
    write_fd(left.as_fd(), b"cd").expect("write");
    let mut buffer = [0; 8];
    assert_eq!(read_fd(right.as_fd(), &mut buffer).expect("read"), 4);
    set_nonblocking(right.as_fd(), true).expect("set");
    assert_eq!(read_fd(right.as_fd(), &mut buffer).expect_err("empty").errno, Errno::EAGAIN);
    set_nonblocking(right.as_fd(), false).expect("set");
    assert!(!rustix::fs::fcntl_getfl(&right).expect("flags").contains(OFlags::NONBLOCK));
}

#[test]
fn the_kernel_names_the_peer() {
    in_child::run(|| {
        let privileged = crate::process::effective_uid() == 0;
        if privileged {
            crate::process::set_groups(&(100..300).collect::<Vec<u32>>())?;
            crate::process::set_ids(0x7000_0005, 0x7000_0006)?;
        }
        let (left, _right) = stream_pair()?;
        let own = PeerCred {
            pid: std::process::id().cast_signed(),
            uid: crate::process::effective_uid(),
            gid: crate::process::effective_gid(),
        };
        expect("ids", peer_cred(left.as_fd())? == own)?;
        expect("groups", peer_groups(left.as_fd())? == crate::process::groups()?)?;
        expect("many groups", !privileged || peer_groups(left.as_fd())?.len() == 200)?;
        let (unix, stream) = (AddressFamily::UNIX, SocketType::STREAM);
        let alone = rustix::net::socket_with(unix, stream, SocketFlags::CLOEXEC, None)?;
        expect("nobody", peer_cred(alone.as_fd()).is_err())
    });
}

#[test]
fn a_listening_socket_has_its_mode_and_its_group() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("api.sock");
    let root = need_root("the group of another user");
    let group = if root { 0x7000_0007 } else { crate::process::effective_gid() };
    let socket = listen_unix(&path, 0o660, Some(group)).expect("listen");
    let stat = stat_path(&path, false).expect("stat");
    assert_eq!((stat.kind, stat.mode, stat.gid), (Kind::Socket, 0o660, group));
    assert_eq!(stat_fd(socket.as_fd()).expect("stat").kind, Kind::Socket);
    let nobody = rustix::net::accept(&socket).expect_err("does not block");
    assert_eq!(nobody, rustix::io::Errno::AGAIN);
    let client = std::os::unix::net::UnixStream::connect(&path).expect("connect");
    let accepted = rustix::net::accept(&socket).expect("accept");
    assert_eq!(peer_cred(accepted.as_fd()).expect("cred").pid, std::process::id().cast_signed());
    drop(client);
    assert_eq!(listen_unix(&path, 0o660, None).expect_err("in use").errno, Errno::EADDRINUSE);
    let long = dir.path().join("x".repeat(108));
    assert_eq!(listen_unix(&long, 0o660, None).expect_err("too long").errno, Errno::ENAMETOOLONG);
}

#[test]
fn a_socket_is_listened_at_as_long_as_somebody_holds_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("api.sock");
    assert_eq!(is_listened_at(&path).expect_err("not there").errno, Errno::ENOENT);
    let listener = listen_unix(&path, 0o600, None).expect("listen");
    assert!(is_listened_at(&path).expect("ask"));
    drop(listener);
    assert!(!is_listened_at(&path).expect("ask"));
    assert!(path.exists());
}
