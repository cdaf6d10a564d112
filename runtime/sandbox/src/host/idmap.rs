//! Tries whether a directory's file system takes an id map, on a detached copy that nobody ever sees.
//!
//! Which file systems do grows with every kernel, so the kernel is asked instead of a list.

use std::os::fd::{AsFd, BorrowedFd};

use runtime_sys::clone::SingleThreaded;
use runtime_sys::userns::IdMap;
use runtime_sys::{Errno, mount, userns};

use super::HostError;

/// Answers of mount_setattr(2) and open_tree(2) that mean "not here": an old kernel, a file system that does
/// not do it, a mount that has a map already, or a place over which we have no right.
const NOT_HERE: [Errno; 4] = [Errno::EINVAL, Errno::EPERM, Errno::ENOSYS, Errno::EOPNOTSUPP];

/// Whether the mount on which `directory` lies can be shown with other owners. Needs root: `owner` and
/// `slot` are any two host ids, as in a job's start.
///
/// # Errors
/// When the namespace that carries the map could not be made, and for answers other than "not here".
pub fn works(
    proof: &SingleThreaded,
    directory: BorrowedFd<'_>,
    owner: u32,
    slot: u32,
) -> Result<bool, HostError> {
    let failed = |source| HostError::Idmap { source };
    let map = [IdMap { inside: owner, outside: slot, count: 1 }];
    let namespace = userns::mapping_namespace(proof, &map, &map).map_err(failed)?;
    let outcome = mount::clone_tree(directory, c"", false)
        .and_then(|tree| mount::set_idmap(tree.as_fd(), namespace.as_fd()));
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if NOT_HERE.contains(&error.errno) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}
