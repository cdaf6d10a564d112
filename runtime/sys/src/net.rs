//! The network of our namespace: its loopback interface.

use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::{Act, Result, check};

/// Brings the interface `lo` up: 127.0.0.1 and ::1 work afterwards. Needs `CAP_NET_ADMIN` in the namespace.
/// netdevice(7).
///
/// # Errors
/// `EPERM` without the capability; `EAFNOSUPPORT` on a kernel without IPv4.
pub fn bring_loopback_up() -> Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).act("socket")?;
    // SAFETY: ifreq is a struct of bytes and a union of plain values; zero is one for all of them.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (byte, letter) in request.ifr_name.iter_mut().zip(b"lo") {
        *byte = letter.cast_signed();
    }
    // SAFETY: reads the name and writes the flags of the ifreq, which outlives the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
    check("get loopback flags", i64::from(answer))?;
    // SAFETY: the call above has set this field of the union; every bit pattern of it is a value.
    let present = unsafe { request.ifr_ifru.ifru_flags };
    // IFF_UP is 1: it fits a short.
    request.ifr_ifru.ifru_flags = present | libc::IFF_UP as libc::c_short;
    // SAFETY: reads the ifreq, which outlives the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    check("bring loopback up", i64::from(answer)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_child::{self, expect, need_root};

    #[test]
    fn loopback_works_after_it_is_up_and_not_before() {
        if !need_root("a network namespace") {
            return;
        }
        in_child::run(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
            let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
            let port = socket.local_addr()?.port();
            expect("down", socket.send_to(b"x", ("127.0.0.1", port)).is_err())?;
            bring_loopback_up()?;
            socket.send_to(b"x", ("127.0.0.1", port))?;
            expect("received", socket.recv(&mut [0; 4])? == 1)
        });
    }

    #[test]
    fn without_the_capability_it_is_refused() {
        if !need_root("a network namespace") {
            return;
        }
        in_child::run(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
            crate::process::set_ids(0x7000_0000, 0x7000_0000)?;
            let refused = bring_loopback_up().map_err(|error| error.errno);
            expect("refused", refused == Err(crate::error::Errno::EPERM))
        });
    }
}
