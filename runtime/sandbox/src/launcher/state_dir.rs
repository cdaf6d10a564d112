//! The state directory: one launcher at a time, and nobody but its server reads it.

use runtime_sys::{Errno, Error, file};
use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{DirBuilderExt, PermissionsExt, fchown},
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
}

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
    fn others_cannot_look_into_it() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let _held = StateDir::take(place.path(), None).unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}
