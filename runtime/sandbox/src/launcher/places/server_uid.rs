//! The server's uid of a root launcher. It goes with the state directory and not with the launcher, so that the server of
//! tomorrow can read what the server of today wrote.
//!
//! ```text
//! directory of root's ──► any free uid ──────────────► directory and all in it change hands
//! directory of uid U  ──► U ─── held by nobody ──────► nothing changes
//!                         └──── held by a launcher ──► any free uid, all changes hands
//! ```

use super::{
    BLOCK_SLOTS, BLOCKS_MAX, PlaceError, SLOT_IDS, UID_BASE, io_error,
    lock::{Absent, lock_file},
    make_directory, random_digits,
};
use runtime_sys::file::{self, Kind, Stat};
use std::{
    fs::{self, File},
    ops::Range,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    time::Duration,
};

/// First uid of servers: right after the ids of jobs (see [`UID_BASE`]).
pub const SERVER_UID_BASE: u32 = UID_BASE + BLOCKS_MAX * BLOCK_SLOTS * SLOT_IDS;
/// Uids of servers. So many that two state directories seldom get the same one, even if one of them is at rest.
pub const SERVER_UIDS: u32 = 65_536;
/// All host ids of ours: those of jobs, then those of servers.
pub const UIDS: Range<u32> = UID_BASE..SERVER_UID_BASE + SERVER_UIDS;

/// How often the owner of a directory is tried, and how long is waited between two tries.
const PREFERRED_TRIES: usize = 10;
const PREFERRED_PAUSE: Duration = Duration::from_millis(2);

/// A server's uid, held by a lock: no two launchers of the host that live at the same time have the same one.
#[derive(Debug)]
pub struct ServerUid {
    uid: u32,
    path: PathBuf,
    lock: File,
}

impl ServerUid {
    /// Leases one. `preferred` is the owner of the state directory: it is taken when it is a server's uid and no living
    /// launcher holds it, nor a process that outlived its launcher. Else it is any free one; [`reown`] then gives the
    /// directory to it.
    ///
    /// # Errors
    /// When `run_dir` cannot be written, or every uid is held.
    pub fn lease(run_dir: &Path, preferred: Option<u32>) -> Result<ServerUid, PlaceError> {
        let servers = SERVER_UID_BASE..SERVER_UID_BASE + SERVER_UIDS;
        // Not the first free one: that would be the uid of many directories whose daemons do not run just now.
        let start = u32::from_str_radix(&random_digits(8)?, 16).unwrap_or(0) % SERVER_UIDS;
        let any = (0..SERVER_UIDS).map(|step| SERVER_UID_BASE + (start + step) % SERVER_UIDS);
        let preferred = preferred.filter(|uid| servers.contains(uid));
        // A sweep of another launcher holds a dead one's lease for a moment: no reason to move a whole directory.
        let patient = preferred.into_iter().flat_map(|uid| std::iter::repeat_n(uid, PREFERRED_TRIES));
        for (tries, uid) in patient.chain(any).enumerate() {
            if (1..PREFERRED_TRIES).contains(&tries) && preferred.is_some() {
                std::thread::sleep(PREFERRED_PAUSE);
            }
            if let Some(held) = ServerUid::try_lease(run_dir, uid)? {
                return Ok(held);
            }
        }
        Err(PlaceError::NoServerUid)
    }

    fn try_lease(run_dir: &Path, uid: u32) -> Result<Option<ServerUid>, PlaceError> {
        let directory = run_dir.join("servers");
        let path = directory.join(uid.to_string());
        let lock = super::again(|| {
            make_directory(&directory, 0o711)?;
            lock_file(&path, Absent::MakeNew).map(Some)
        })?;
        Ok(lock.map(|lock| ServerUid { uid, path, lock }))
    }

    /// The uid, and the gid as well.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The file that holds the uid.
    pub fn lease_path(&self) -> &Path {
        &self.path
    }

    /// What the next program of this process needs to hold the uid on: uid, file, lock.
    pub(crate) fn parts(&self) -> (u32, &Path, &File) {
        (self.uid, &self.path, &self.lock)
    }

    /// A uid that an earlier program of this process leased, from its [`ServerUid::parts`].
    pub(crate) fn restore(uid: u32, path: PathBuf, lock: File) -> ServerUid {
        ServerUid { uid, path, lock }
    }

    /// The uid that a lease file stands for, by its name.
    pub(crate) fn ids(name: &str) -> Option<Range<u32>> {
        let uid: u32 = name.parse().ok()?;
        (SERVER_UID_BASE..SERVER_UID_BASE + SERVER_UIDS).contains(&uid).then_some(uid..uid + 1)
    }

    /// Gives it back. The file goes while its lock is held, so nobody can hold a lock on a file that is not there.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(self) -> Result<(), PlaceError> {
        fs::remove_file(&self.path).map_err(io_error("remove", &self.path))
    }
}

/// Gives a state directory, and all of its files that belong to a uid of ours or to the directory's owner, to `uid`, without
/// following a link. Does nothing when the directory is that uid's already. Whoever calls this holds the directory's lock.
///
/// A launcher that dies half-way leaves a directory whose owner and group differ: the next call begins anew. A file with a
/// second name stays when it was not a server's, for that name may be anywhere.
///
/// # Errors
/// What the kernel says of the first file that cannot be changed.
pub fn reown(directory: BorrowedFd<'_>, uid: u32) -> Result<(), runtime_sys::Error> {
    let before = file::stat_fd(directory)?;
    if (before.uid, before.gid) == (uid, uid) {
        return Ok(());
    }
    if UIDS.contains(&before.uid) {
        file::change_owner_fd(directory, before.uid, 0)?;
    }
    let changes = |stat: &Stat| {
        let ours = UIDS.contains(&stat.uid);
        ours || (stat.uid == before.uid && (stat.links == 1 || stat.kind == Kind::Dir))
    };
    file::reown_tree(directory, uid, uid, &changes)?;
    file::change_owner_fd(directory, uid, uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_sys::process;
    use std::os::{
        fd::AsFd,
        unix::fs::{MetadataExt, chown, symlink},
    };

    #[test]
    fn a_state_directory_keeps_its_uid_unless_another_launcher_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = ServerUid::lease(directory.path(), None).unwrap();
        assert!((SERVER_UID_BASE..SERVER_UID_BASE + SERVER_UIDS).contains(&first.uid()));
        let uid = first.uid();
        let second = ServerUid::lease(directory.path(), Some(uid)).unwrap();
        assert_ne!(second.uid(), uid);
        first.remove().unwrap();
        assert_eq!(ServerUid::lease(directory.path(), Some(uid)).unwrap().uid(), uid);
    }

    #[test]
    fn an_owner_that_is_no_servers_is_not_taken_for_one() {
        let directory = tempfile::tempdir().unwrap();
        for owner in [0, 1000, UID_BASE, SERVER_UID_BASE - 1, UIDS.end] {
            let leased = ServerUid::lease(directory.path(), Some(owner)).unwrap();
            assert!(leased.uid() != owner && UIDS.contains(&leased.uid()), "{owner}");
        }
    }

    #[test]
    fn a_directory_changes_hands_with_its_files_and_nothing_else() {
        if process::effective_uid() != 0 {
            println!("SKIP {}: needs root", std::thread::current().name().unwrap_or_default());
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (state, outside) = (place.path().join("state"), place.path().join("outside"));
        fs::create_dir_all(state.join("logs/aa")).unwrap();
        for path in [state.join("logs/aa/stdout.000"), state.join("store.sqlite"), outside.clone()] {
            fs::write(path, "x").unwrap();
        }
        let (old, new) = (SERVER_UID_BASE + 5, SERVER_UID_BASE + 9);
        for path in ["", "logs", "logs/aa", "logs/aa/stdout.000", "store.sqlite"] {
            chown(state.join(path), Some(old), Some(old)).unwrap();
        }
        symlink(&outside, state.join("trap")).unwrap();
        fs::hard_link(&outside, state.join("second-name")).unwrap();
        let fd = File::open(&state).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        reown(fd.as_fd(), new).unwrap();
        for path in ["", "logs", "logs/aa", "logs/aa/stdout.000", "store.sqlite"] {
            assert_eq!(owner(&state.join(path)), new, "{path}");
        }
        assert_eq!(owner(&outside), 0);
        // Half-way: the directory's group says so.
        chown(state.join("store.sqlite"), Some(old), Some(old)).unwrap();
        reown(fd.as_fd(), new).unwrap();
        assert_eq!(owner(&state.join("store.sqlite")), old, "a directory that is ours is not looked into");
        chown(&state, Some(new), Some(0)).unwrap();
        reown(fd.as_fd(), new).unwrap();
        assert_eq!(owner(&state.join("store.sqlite")), new);
    }

    #[test]
    fn what_root_restored_becomes_the_servers_but_for_files_with_a_second_name() {
        if process::effective_uid() != 0 {
            println!("SKIP {}: needs root", std::thread::current().name().unwrap_or_default());
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (state, outside) = (place.path().join("state"), place.path().join("outside"));
        fs::create_dir_all(state.join("logs")).unwrap();
        fs::write(&outside, "x").unwrap();
        fs::hard_link(&outside, state.join("logs/link")).unwrap();
        fs::write(state.join("logs/file"), "x").unwrap();
        let fd = File::open(&state).unwrap();
        reown(fd.as_fd(), SERVER_UID_BASE).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        assert_eq!(owner(&state.join("logs/file")), SERVER_UID_BASE);
        assert_eq!(owner(&state.join("logs")), SERVER_UID_BASE);
        assert_eq!(owner(&outside), 0);
    }
}
