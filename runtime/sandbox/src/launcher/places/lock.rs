//! A lock on a file: the kernel drops it when its holder dies, however that happens.
//!
//! It must not know what the file stands for.

use super::{PlaceError, io_error};
use runtime_sys::file;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

/// What happens when there is no lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It is made.
    Make,
    /// It is made, and one that is there counts as held, even when nobody holds it: what it stands for may be in use.
    MakeNew,
    /// It is an error of the kind `NotFound`.
    Fail,
}

/// Locks a file; `None` when somebody holds it. A file that its last holder removed meanwhile counts as absent.
pub(crate) fn lock_file(path: &Path, absent: Absent) -> Result<Option<File>, PlaceError> {
    loop {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(absent == Absent::Make)
            .create_new(absent == Absent::MakeNew)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NOFOLLOW)
            .open(path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            other => other.map_err(io_error("open", path))?,
        };
        let locked =
            file::try_lock_exclusive(file.as_fd()).map_err(|error| io_error("lock", path)(error.into()))?;
        if !locked {
            return Ok(None);
        }
        let held = file.metadata().map_err(io_error("look at", path))?;
        match fs::symlink_metadata(path) {
            Ok(there) if there.ino() == held.ino() && there.dev() == held.dev() => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("look at", path)(error)),
        }
    }
}

/// open(2): O_NOFOLLOW.
const NOFOLLOW: i32 = 0o400_000;
