//! The state directory: one launcher at a time, and nobody but its server reads it. What is in it outlives both.

use crate::launcher::places::{self, PlaceError, ServerUid, UIDS};
use runtime_sys::{file, process};
use std::{
    ffi::OsStr,
    fs::{self, DirEntry, File, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// A file operation.
    #[error("failed to take the state directory {path}: {source}; choose another with --state-dir")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another launcher holds it.
    #[error("another daemon uses the state directory {0}: stop it, or choose another with --state-dir")]
    InUse(PathBuf),
    /// It was not made for this: it may not change hands.
    #[error(
        "{path} is no state directory of a daemon ({why}): choose an empty directory of your own with --state-dir"
    )]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// No uid for the server.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Output of jobs.
const LOGS: &str = "logs";
/// Records of jobs: this, and what SQLite keeps beside it.
const STORE: &str = "store.sqlite";
/// Ends the fault `disk-full-after`.
const FAULT_SPACE: &str = "fault-space";
/// What mkfs makes in a file system.
const LOST_AND_FOUND: &str = "lost+found";

/// Whose the directory is while we have it.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// Ours: the server has our uid.
    Ours,
    /// This uid's: of a directory that was made for this run, and goes with it.
    Uid(u32),
    /// A uid of its own, leased below this run directory: the one that it had, if nobody has that meanwhile.
    Leased {
        /// The run directory.
        run_dir: &'a Path,
    },
}

/// A state directory that is ours as long as this value lives.
#[derive(Debug)]
pub struct StateDir {
    directory: File,
    uid: Option<u32>,
    lease: Option<ServerUid>,
}

impl StateDir {
    /// Makes the directory or takes the one that is there, and gives it to the server.
    ///
    /// # Errors
    /// When it is another's, holds what is no state, or cannot be given.
    pub fn take(path: &Path, owner: Owner<'_>) -> Result<StateDir, StateDirError> {
        let failed = |source| StateDirError::Io { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let directory = File::open(path).map_err(failed)?;
        // Before anything is changed: a daemon that runs keeps its directory.
        if !file::try_lock_exclusive(directory.as_fd()).map_err(|error| failed(error.into()))? {
            return Err(StateDirError::InUse(path.to_owned()));
        }
        if let Some(why) = why_not_ours(&directory).map_err(failed)? {
            return Err(StateDirError::NotOurs { path: path.to_owned(), why });
        }
        let metadata = directory.metadata().map_err(failed)?;
        if metadata.mode() & 0o7777 != 0o700 {
            directory.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let (uid, lease) = match owner {
            Owner::Ours => (None, None),
            Owner::Uid(uid) => {
                fchown(&directory, Some(uid), Some(uid)).map_err(failed)?;
                (Some(uid), None)
            }
            Owner::Leased { run_dir } => {
                let lease = ServerUid::lease(run_dir, Some(metadata.uid()))?;
                places::reown(directory.as_fd(), lease.uid()).map_err(|error| failed(error.into()))?;
                (Some(lease.uid()), Some(lease))
            }
        };
        Ok(StateDir { directory, uid, lease })
    }

    /// The directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// The server's uid and gid; `None` when they are ours.
    pub fn server_uid(&self) -> Option<u32> {
        self.uid
    }

    /// What the next program of this process needs to hold it on: the directory, the server's uid, and its lease.
    pub(super) fn parts(&self) -> (&File, Option<u32>, Option<&ServerUid>) {
        (&self.directory, self.uid, self.lease.as_ref())
    }

    /// A directory that an earlier program of this process took, from its [`StateDir::parts`].
    pub(super) fn restore(directory: File, uid: Option<u32>, lease: Option<ServerUid>) -> StateDir {
        StateDir { directory, uid, lease }
    }

    /// Whether the server has a uid of its own that goes with the directory, which may lie where that uid cannot walk.
    pub fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// Gives the server's uid back, once the server is gone.
    ///
    /// # Errors
    /// When its lease cannot be removed.
    pub fn release(&mut self) -> Result<(), PlaceError> {
        self.lease.take().map_or(Ok(()), ServerUid::remove)
    }
}

/// A slip of the operator (`--state-dir /srv`) must not give a directory away.
fn why_not_ours(directory: &File) -> io::Result<Option<String>> {
    let metadata = directory.metadata()?;
    let (uid, owner) = (process::effective_uid(), metadata.uid());
    if owner != uid && !(uid == 0 && UIDS.contains(&owner)) {
        return Ok(Some(format!("it belongs to uid {owner}")));
    }
    let here = format!("/proc/self/fd/{}", directory.as_raw_fd());
    for entry in fs::read_dir(&here)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_state = is_state(&name) || (name == LOST_AND_FOUND && is_file_systems(&entry, &here)?);
        if !is_state {
            return Ok(Some(format!("it holds {}", name.display())));
        }
    }
    Ok(None)
}

fn is_state(name: &OsStr) -> bool {
    let is_store = || name.to_str().is_some_and(|name| name.starts_with(STORE));
    name == LOGS || name == FAULT_SPACE || is_store()
}

/// Whether that is the directory of lost files of a file system that is mounted here.
fn is_file_systems(entry: &DirEntry, here: &str) -> io::Result<bool> {
    let own = fs::metadata(here)?;
    let above = fs::metadata(format!("{here}/.."))?;
    Ok(entry.file_type()?.is_dir() && own.dev() != above.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(place: &Path) {
        fs::create_dir_all(place.join("logs/aa")).unwrap();
        for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "fault-space", "logs/aa/x"] {
            fs::write(place.join(name), "kept").unwrap();
        }
    }

    #[test]
    fn a_state_directory_has_one_launcher_and_keeps_what_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        fill(place.path());
        let held = StateDir::take(place.path(), Owner::Ours).unwrap();
        assert_eq!(held.server_uid(), None);
        assert!(matches!(StateDir::take(place.path(), Owner::Ours), Err(StateDirError::InUse(_))));
        drop(held);
        StateDir::take(place.path(), Owner::Ours).unwrap();
        assert_eq!(fs::read_to_string(place.path().join("logs/aa/x")).unwrap(), "kept");
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_left_as_it_is() {
        for strange in ["letter.txt", "jobs", "lost+found", "Store.sqlite"] {
            let place = tempfile::tempdir().unwrap();
            fill(place.path());
            fs::create_dir(place.path().join(strange)).unwrap();
            fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
            let refused = StateDir::take(place.path(), Owner::Ours).unwrap_err();
            assert!(refused.to_string().contains(strange), "{refused}");
            assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o755);
        }
    }

    #[test]
    fn others_cannot_look_into_it() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let _held = StateDir::take(place.path(), Owner::Ours).unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn the_servers_uid_stays_with_the_directory() {
        if process::effective_uid() != 0 {
            println!("SKIP {}: needs root", std::thread::current().name().unwrap_or_default());
            return;
        }
        let (place, run_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(place.path());
        let take = || StateDir::take(place.path(), Owner::Leased { run_dir: run_dir.path() }).unwrap();
        let mut first = take();
        let uid = first.server_uid().unwrap();
        assert_eq!(fs::metadata(place.path().join("store.sqlite")).unwrap().uid(), uid);
        first.release().unwrap();
        drop(first);
        assert_eq!(take().server_uid(), Some(uid));
    }
}
