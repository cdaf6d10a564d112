//! The state directory: one launcher at a time, and nobody but its server reads it.

use crate::launcher::places::{BLOCK_SLOTS, BLOCKS_MAX, SLOT_IDS, UID_BASE};
use runtime_sys::{Errno, Error, file, process};
use std::{
    fs::{self, File, Permissions},
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
    /// It was not made for this: nothing in it may be removed, and it may not change hands.
    #[error(
        "{path} is no state directory of a daemon ({why}): choose an empty directory of your own with --state-dir"
    )]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
}

/// Logs of jobs.
const JOBS: &str = "jobs";

/// A state directory that is ours as long as this value lives.
#[derive(Debug)]
pub struct StateDir {
    directory: File,
}

impl StateDir {
    /// Makes the directory or takes the one that is there, and gives it to the server. Logs of an earlier daemon, whose
    /// records are gone with it and whose server may have had another uid, are removed.
    pub fn take(path: &Path, server_uid: Option<u32>) -> Result<StateDir, StateDirError> {
        let failed = |source| StateDirError::Io { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let directory = File::open(path).map_err(failed)?;
        // Before anything is removed: a daemon that runs keeps its logs.
        if !file::try_lock_exclusive(directory.as_fd()).map_err(|error| failed(error.into()))? {
            return Err(StateDirError::InUse(path.to_owned()));
        }
        if let Some(why) = why_not_ours(&directory).map_err(failed)? {
            return Err(StateDirError::NotOurs { path: path.to_owned(), why });
        }
        remove_logs(directory.as_fd()).map_err(|error| failed(error.into()))?;
        directory.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
        if let Some(uid) = server_uid {
            fchown(&directory, Some(uid), Some(uid)).map_err(failed)?;
        }
        Ok(StateDir { directory })
    }

    /// The directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// A slip of the operator (`--state-dir /srv`) must not cost files, nor give a directory away.
fn why_not_ours(directory: &File) -> io::Result<Option<String>> {
    let (uid, owner) = (process::effective_uid(), directory.metadata()?.uid());
    let servers = UID_BASE..UID_BASE + BLOCKS_MAX * BLOCK_SLOTS * SLOT_IDS;
    if owner != uid && !(uid == 0 && servers.contains(&owner)) {
        return Ok(Some(format!("it belongs to uid {owner}")));
    }
    for entry in fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()))? {
        let name = entry?.file_name();
        if name != JOBS {
            return Ok(Some(format!("it holds {}", name.display())));
        }
    }
    Ok(None)
}

fn remove_logs(directory: BorrowedFd<'_>) -> Result<(), Error> {
    match file::remove_tree(directory, c"jobs") {
        Err(error) if error.errno == Errno::ENOENT => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_launcher_and_logs_of_an_earlier_one_go() {
        let place = tempfile::tempdir().unwrap();
        let old = place.path().join("jobs/job-old");
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join("stdout.000"), "old").unwrap();
        let held = StateDir::take(place.path(), None).unwrap();
        assert!(!place.path().join("jobs").exists());
        fs::create_dir_all(place.path().join("jobs/job-new")).unwrap();
        assert!(matches!(StateDir::take(place.path(), None), Err(StateDirError::InUse(_))));
        assert!(place.path().join("jobs/job-new").exists(), "a second launcher takes nothing away");
        drop(held);
        StateDir::take(place.path(), None).unwrap();
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("jobs")).unwrap();
        fs::write(place.path().join("jobs/cv.txt"), "mine").unwrap();
        fs::write(place.path().join("letter.txt"), "mine too").unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let refused = StateDir::take(place.path(), None).unwrap_err();
        assert!(refused.to_string().contains("letter.txt"), "{refused}");
        assert!(place.path().join("jobs/cv.txt").exists());
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn others_cannot_look_into_it() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let _held = StateDir::take(place.path(), None).unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}
