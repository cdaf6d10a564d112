//! The zygote: a small single-threaded process that does nothing but clone inits.
//!
//! It holds no job's fd and no spec: each request brings the one socket that the new init will be born with, and the cgroup
//! to be born into. The init becomes a child of the launcher, not of the zygote (CLONE_PARENT), so the launcher waits for
//! it, and it dies with the launcher.

use crate::inside;
use runtime_sys::{
    Errno, Error,
    clone::{self, CloneRequest, Cloned, Namespaces, Pid, SingleThreaded},
    file, pidfd, poll, process, socket,
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// Bytes of a request: owner uid, namespaces.
const REQUEST_BYTES: usize = 5;
/// Bytes of an answer: a pid, or a negative errno.
const ANSWER_BYTES: usize = 4;
/// A clone takes a millisecond or two; a zygote that does not answer for this long is ended, and the launcher with it: an
/// answer that came later would be taken for that to another request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// signal(7).
const SIGKILL: i32 = 9;

/// The launcher's handle on its zygote.
#[derive(Debug)]
pub struct Zygote {
    socket: OwnedFd,
    /// Readable when the zygote is dead.
    pub pidfd: OwnedFd,
}

/// A sandbox that has just been born and waits for its order.
#[derive(Debug)]
pub struct Newborn {
    /// Its pid as the launcher sees it: for /proc/PID/uid_map, while the pidfd shows that it lives.
    pub pid: Pid,
    /// Itself.
    pub pidfd: OwnedFd,
}

/// Which namespaces a sandbox gets, and who is charged for them.
#[derive(Debug, Clone, Copy)]
pub struct Birth {
    /// Namespaces to make.
    pub namespaces: Namespaces,
    /// Effective uid during the clone: the kernel charges the owner of a user namespace for what is made in it, so a pool
    /// that one job empties (inotify, for one) is not another's. `None` without root.
    pub owner: Option<u32>,
}

/// Forks the zygote. To be called while the launcher has one thread and nothing worth inheriting.
pub fn start(proof: &SingleThreaded) -> Result<Zygote, Error> {
    let (ours, theirs) = socket::seqpacket_pair()?;
    match clone::fork(proof)? {
        Cloned::Parent { pidfd, .. } => Ok(Zygote { socket: ours, pidfd }),
        Cloned::Child => {
            drop(ours);
            let served = serve(proof, &theirs);
            process::exit_now(if served.is_ok() { 0 } else { 1 })
        }
    }
}

impl Zygote {
    /// Has a sandbox born. `init_end` is the one fd that its init gets.
    pub fn bear(
        &self,
        birth: Birth,
        init_end: BorrowedFd<'_>,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Newborn, Error> {
        let mut request = [0; REQUEST_BYTES];
        request[..4].copy_from_slice(&birth.owner.unwrap_or(u32::MAX).to_le_bytes());
        request[4] = pack(birth.namespaces);
        let fds: Vec<_> = std::iter::once(init_end).chain(cgroup).collect();
        socket::send(self.socket.as_fd(), &request, &fds, false)?;
        if !poll::wait_readable(self.socket.as_fd(), Some(ANSWER_TIMEOUT))? {
            pidfd::send_signal(self.pidfd.as_fd(), SIGKILL)?;
            return Err(Error { act: "wait for the zygote", errno: Errno::ETIMEDOUT });
        }
        let mut answer = [0; ANSWER_BYTES];
        let received = socket::receive(self.socket.as_fd(), &mut answer, 1, false)?;
        if received.len != ANSWER_BYTES {
            return Err(Error { act: "hear from the zygote", errno: Errno::EPIPE });
        }
        let pid = i32::from_le_bytes(answer);
        match received.fds.into_iter().next() {
            Some(pidfd) if pid > 0 => Ok(Newborn { pid: Pid(pid), pidfd }),
            _ => Err(Error { act: "clone the namespaces", errno: Errno(pid.saturating_neg()) }),
        }
    }
}

impl Zygote {
    /// Ends it, so that nothing of it stays, not even a zombie.
    pub fn end(&self) -> Result<(), Error> {
        match pidfd::send_signal(self.pidfd.as_fd(), SIGKILL) {
            Err(error) if error.errno != Errno::ESRCH => Err(error),
            _ => pidfd::reap_blocking(self.pidfd.as_fd()).map(drop),
        }
    }
}

fn serve(proof: &SingleThreaded, socket: &OwnedFd) -> Result<(), Error> {
    // Inits inherit what the zygote has: nothing but this socket (which each closes first) and /dev/null.
    process::close_all_except(&[0, 1, 2, socket.as_raw_fd()])?;
    let null = file::open_null()?;
    for stdio in 0..3 {
        process::dup_onto(null.as_fd(), stdio)?;
    }
    drop(null);
    process::set_name(c"runtime-zygote")?;
    // Out of the terminal's process group: a Ctrl-C is for the launcher to hear.
    process::new_session()?;
    process::set_parent_death_signal_kill()?;
    let mut request = [0; REQUEST_BYTES];
    loop {
        let received = socket::receive(socket.as_fd(), &mut request, 2, false)?;
        if received.len == 0 {
            return Ok(());
        }
        let mut fds = received.fds.into_iter();
        let (Some(init_end), cgroup) = (fds.next(), fds.next()) else {
            continue;
        };
        answer(proof, socket, &request, &init_end, cgroup.as_ref())?;
    }
}

fn answer(
    proof: &SingleThreaded,
    socket: &OwnedFd,
    request: &[u8; REQUEST_BYTES],
    init_end: &OwnedFd,
    cgroup: Option<&OwnedFd>,
) -> Result<(), Error> {
    let [owner @ .., namespaces] = *request;
    let owner = u32::from_le_bytes(owner);
    let owned_by_slot = owner != u32::MAX;
    if owned_by_slot {
        process::set_effective_uid_keeping_caps(owner)?;
    }
    let request = CloneRequest {
        namespaces: unpack(namespaces),
        parent_of_caller: true,
        cgroup: cgroup.map(AsFd::as_fd),
    };
    let cloned = clone::clone_process(proof, &request);
    if let Ok(Cloned::Child) = cloned {
        inside::init(proof, init_end);
    }
    if owned_by_slot {
        process::restore_effective_root()?;
        // The change of ids has cleared it.
        process::set_parent_death_signal_kill()?;
    }
    match cloned {
        Ok(Cloned::Parent { pid, pidfd }) => {
            match socket::send(socket.as_fd(), &pid.0.to_le_bytes(), &[pidfd.as_fd()], false) {
                // The kernel bounds descriptors in flight per uid, and jobs may share ours. Nobody else knows this init.
                Err(error) => {
                    pidfd::send_signal(pidfd.as_fd(), SIGKILL).and_then(|()| refuse(socket, &error))
                }
                sent => sent,
            }
        }
        Ok(Cloned::Child) => Ok(()),
        Err(error) => refuse(socket, &error),
    }
}

fn refuse(socket: &OwnedFd, error: &Error) -> Result<(), Error> {
    socket::send(socket.as_fd(), &(-error.errno.0).to_le_bytes(), &[], false)
}

fn pack(namespaces: Namespaces) -> u8 {
    let Namespaces { user, mount, pid, net, ipc, uts } = namespaces;
    [user, mount, pid, net, ipc, uts].into_iter().enumerate().map(|(bit, on)| u8::from(on) << bit).sum()
}

fn unpack(bits: u8) -> Namespaces {
    let on = |bit: u8| bits & (1 << bit) != 0;
    Namespaces { user: on(0), mount: on(1), pid: on(2), net: on(3), ipc: on(4), uts: on(5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_namespaces_survives_packing() {
        for bits in 0..64 {
            assert_eq!(pack(unpack(bits)), bits);
        }
    }
}
