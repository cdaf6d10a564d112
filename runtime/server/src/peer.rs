//! Who is at the other end of a connection, and whether they may talk to us. The kernel vouches for it on unix
//! sockets; on TCP nobody does, so only loopback is served, and only when the operator asked for it.

use runtime_sys::error::Result;
use runtime_sys::socket;
use std::fmt;
use std::os::fd::BorrowedFd;
use tonic::Request;

/// A caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A process of this uid.
    Uid(u32),
    /// Somebody on this host.
    Tcp,
}

impl Peer {
    /// Who makes this call. A connection without the mark would be a bug; it then counts as anybody.
    pub fn of<M>(request: &Request<M>) -> Peer {
        request.extensions().get::<Peer>().copied().unwrap_or(Peer::Tcp)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Uid(uid) => write!(out, "uid {uid}"),
            Peer::Tcp => out.write_str("tcp peer"),
        }
    }
}

/// Who may connect to a unix socket: root, the owner of the daemon, members of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Who started the daemon.
    pub owner_uid: u32,
    /// The group, when there is one.
    pub socket_gid: Option<u32>,
}

impl Allowed {
    /// Whether somebody with these ids may connect. Pure.
    pub fn allows(&self, uid: u32, gid: u32, groups: &[u32]) -> bool {
        let member = |wanted: u32| gid == wanted || groups.contains(&wanted);
        uid == 0 || uid == self.owner_uid || self.socket_gid.is_some_and(member)
    }

    /// Who is at the other end of a unix socket: `Ok` when they may connect, `Err` with their uid when not.
    ///
    /// # Errors
    /// When the kernel cannot tell: then nobody may.
    pub fn identify(&self, socket: BorrowedFd<'_>) -> Result<std::result::Result<Peer, u32>> {
        let cred = socket::peer_cred(socket)?;
        let allowed = self.allows(cred.uid, cred.gid, &[])
            || (self.socket_gid.is_some() && self.allows(cred.uid, cred.gid, &socket::peer_groups(socket)?));
        Ok(if allowed { Ok(Peer::Uid(cred.uid)) } else { Err(cred.uid) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_owner_and_the_group_may_connect() {
        let allowed = Allowed { owner_uid: 1000, socket_gid: Some(50) };
        assert!(allowed.allows(0, 0, &[]));
        assert!(allowed.allows(1000, 7, &[]));
        assert!(allowed.allows(1001, 50, &[]));
        assert!(allowed.allows(1001, 7, &[1, 50]));
        assert!(!allowed.allows(1001, 7, &[1, 51]));
        let private = Allowed { owner_uid: 1000, socket_gid: None };
        assert!(!private.allows(1001, 0, &[0]));
    }

    #[test]
    fn the_kernel_says_who_made_a_pair() {
        let (left, _right) = runtime_sys::socket::stream_pair().unwrap();
        let me = runtime_sys::process::effective_uid();
        let socket = std::os::fd::AsFd::as_fd(&left);
        let mine = Allowed { owner_uid: me, socket_gid: None };
        assert_eq!(mine.identify(socket).unwrap(), Ok(Peer::Uid(me)));
    }
}
