//! User namespaces: the id maps of a child, and namespaces that only carry a map for an idmapped mount.
//!
//! Which ids are mapped is decided elsewhere. See user_namespaces(7).

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use crate::clone::{CloneRequest, Cloned, Namespaces, Pid, SingleThreaded, clone_process, open_namespace};
use crate::error::{Errno, Error, Result};
use crate::file::{read_fd, write_existing};
use crate::pidfd::{WaitStatus, reap_blocking};
use crate::pipe::pipe;
use crate::process::exit_now;

/// One line of a map: `count` ids from `inside` on are the ids from `outside` on in the parent namespace.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many, at least 1.
    pub count: u32,
}

/// Writes the maps of a child that was cloned with a new user namespace and waits for them. Each map can
/// be written once, in one write; `setgroups` is denied before the group map, as the kernel demands from
/// the unprivileged.
///
/// # Errors
/// `EPERM` when the ids are not ours to map or a map is written already, `EINVAL` for an empty map, more
/// than 340 lines or ranges that overlap, `EACCES` when the caller or the child is not dumpable.
pub fn write_maps(pid: Pid, uid: &[IdMap], gid: &[IdMap], deny_setgroups: bool) -> Result<()> {
    let directory = PathBuf::from(format!("/proc/{}", pid.0));
    if deny_setgroups {
        write_existing(&directory.join("setgroups"), b"deny").map_err(act("write setgroups"))?;
    }
    write_existing(&directory.join("uid_map"), text(uid).as_bytes()).map_err(act("write uid_map"))?;
    write_existing(&directory.join("gid_map"), text(gid).as_bytes()).map_err(act("write gid_map"))
}

/// Makes a user namespace that has these maps and no process: for [`crate::mount::set_idmap`]. Inside are
/// the ids as they are on disk, outside those that the mount shows.
///
/// # Errors
/// Those of [`clone_process`] and [`write_maps`].
pub fn mapping_namespace(proof: &SingleThreaded, uid: &[IdMap], gid: &[IdMap]) -> Result<OwnedFd> {
    let (wait, release) = pipe()?;
    let namespaces = Namespaces { user: true, ..Namespaces::default() };
    let request = CloneRequest { namespaces, ..CloneRequest::default() };
    match clone_process(proof, &request)? {
        Cloned::Child => {
            drop(release);
            // Ends when the parent lets go of the pipe, also by its death.
            exit_now(i32::from(!matches!(read_fd(wait.as_fd(), &mut [0; 1]), Ok(0))));
        }
        Cloned::Parent { pid, pidfd } => {
            let namespace = write_maps(pid, uid, gid, true).and_then(|()| open_namespace(pid, "user"));
            drop(release);
            let ended = reap_blocking(pidfd.as_fd())?;
            let namespace = namespace?;
            if ended.status != (WaitStatus::Exited { code: 0 }) {
                return Err(Error::new("hold mapping namespace", Errno::ECHILD));
            }
            Ok(namespace)
        }
    }
}

fn act(act: &'static str) -> impl FnOnce(Error) -> Error {
    move |error| Error::new(act, error.errno)
}

fn text(map: &[IdMap]) -> String {
    map.iter().map(|line| format!("{} {} {}\n", line.inside, line.outside, line.count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_child::{self, expect, need_root};
    use crate::memfd::create_sealed;

    #[test]
    fn a_map_is_one_line_a_range() {
        let map = [
            IdMap { inside: 0, outside: 1_000_000, count: 1 },
            IdMap { inside: 1000, outside: 1_000_001, count: 1 },
        ];
        assert_eq!(text(&map), "0 1000000 1\n1000 1000001 1\n");
    }

    #[test]
    fn a_child_sees_the_ids_that_its_parent_mapped() {
        if !need_root("maps of two ids") {
            return;
        }
        in_child::run(|| {
            let proof = SingleThreaded::prove()?;
            let (wait, release) = pipe()?;
            let namespaces = Namespaces { user: true, ..Namespaces::default() };
            match clone_process(&proof, &CloneRequest { namespaces, ..CloneRequest::default() })? {
                Cloned::Child => {
                    drop(release);
                    let released = read_fd(wait.as_fd(), &mut [0; 1]) == Ok(0);
                    let became = crate::process::set_ids(1000, 1000).is_ok();
                    let unmapped = crate::process::set_ids(5, 5).map_err(|error| error.errno);
                    let right = released && became && unmapped == Err(Errno::EINVAL);
                    exit_now(if right { 3 } else { 4 });
                }
                Cloned::Parent { pid, pidfd } => {
                    let maps = [
                        IdMap { inside: 0, outside: 0x7000_0000, count: 1 },
                        IdMap { inside: 1000, outside: 0x7000_0001, count: 1 },
                    ];
                    write_maps(pid, &maps, &maps, true)?;
                    let setgroups = std::fs::read_to_string(format!("/proc/{}/setgroups", pid.0))?;
                    let again = write_maps(pid, &maps, &maps, false).map_err(|error| error.errno);
                    drop(release);
                    let ended = reap_blocking(pidfd.as_fd())?;
                    expect("setgroups denied", setgroups == "deny\n")?;
                    expect("maps are written once", again == Err(Errno::EPERM))?;
                    expect("ids inside", ended.status == WaitStatus::Exited { code: 3 })
                }
            }
        });
    }

    #[test]
    fn a_mapping_namespace_outlives_its_process_and_is_a_user_namespace() {
        if !need_root("maps of other ids") {
            return;
        }
        in_child::run(|| {
            let map = [IdMap { inside: 5000, outside: 0x7000_0000, count: 2 }];
            let namespace = mapping_namespace(&SingleThreaded::prove()?, &map, &map)?;
            // NS_GET_NSTYPE of ioctl_ns(2).
            let kind = crate::in_child::namespace_type(namespace.as_fd());
            expect("a user namespace", kind == libc::CLONE_NEWUSER)?;
            let not_one = create_sealed(c"no-namespace", b"")?;
            expect("a memfd is none", crate::in_child::namespace_type(not_one.as_fd()) == -1)?;
            let none = crate::pidfd::reap_any().map_err(|error| error.errno);
            expect("no child is left", none == Err(Errno::ECHILD))
        });
    }

    #[test]
    fn an_empty_map_is_refused_and_leaves_no_child() {
        if !need_root("maps") {
            return;
        }
        in_child::run(|| {
            let refused = mapping_namespace(&SingleThreaded::prove()?, &[], &[]);
            expect("refused", refused.is_err_and(|error| error.errno == Errno::EINVAL))?;
            let none = crate::pidfd::reap_any().map_err(|error| error.errno);
            expect("no child is left", none == Err(Errno::ECHILD))
        });
    }
}
