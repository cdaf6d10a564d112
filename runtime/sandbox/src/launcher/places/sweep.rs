//! Removes what dead launchers left.

use super::{
    PlaceError,
    instance::remove_instance,
    io_error,
    lock::{Absent, lock_file},
};
use runtime_sys::cgroup;
use std::{fs, io, path::Path};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Names of the instances that are gone.
    pub removed: Vec<String>,
    /// What could not be removed now, for a dying process may take its time; the next sweep tries again.
    pub failed: Vec<PlaceError>,
}

/// Removes what dead launchers left: their cgroups with every process in them, their directories, their blocks of ids. It
/// never fails: another's remains are no reason not to start.
pub fn sweep(run_dir: &Path, groups: &cgroup::Facts) -> Swept {
    let mut swept = Swept::default();
    for leases in ["slots", "servers"] {
        if let Err(error) = sweep_leases(&run_dir.join(leases)) {
            swept.failed.push(error);
        }
    }
    let instances = run_dir.join("instances");
    let entries = match fs::read_dir(&instances) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return swept,
        Err(error) => {
            swept.failed.push(io_error("list", &instances)(error));
            return swept;
        }
    };
    for entry in entries {
        let done =
            entry.map_err(io_error("list", &instances)).and_then(|entry| sweep_one(&entry.path(), groups));
        match done {
            Ok(Some(name)) => swept.removed.push(name),
            Ok(None) => {}
            Err(error) => swept.failed.push(error),
        }
    }
    swept
}

/// Removes one instance when nobody holds it; says its name then.
fn sweep_one(path: &Path, groups: &cgroup::Facts) -> Result<Option<String>, PlaceError> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    // No lock is made here: it would keep a launcher that is on its way down from removing its directory.
    let held = match lock_file(&path.join("lock"), Absent::Fail) {
        Ok(held) => held,
        Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return remove_empty(path).map(|()| None);
        }
        Err(error) => return Err(error),
    };
    let Some(_lock) = held else { return Ok(None) };
    cgroup::sweep(groups, name).map_err(|error| io_error("sweep the cgroups of", path)(error.into()))?;
    remove_instance(path)?;
    Ok(Some(name.to_owned()))
}

/// Blocks of ids, or uids, that nobody holds. The file goes while we hold its lock.
fn sweep_leases(leases: &Path) -> Result<(), PlaceError> {
    let entries = match fs::read_dir(leases) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("list", leases)(error)),
    };
    for entry in entries {
        let path = entry.map_err(io_error("list", leases))?.path();
        match lock_file(&path, Absent::Fail) {
            Ok(Some(_lock)) => fs::remove_file(&path).map_err(io_error("remove", &path))?,
            Ok(None) => {}
            Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory without a lock: of a launcher that removes it, of one that died before it had its lock, or of one that has
/// made it just now, which loses nothing: it makes both again under a new name.
fn remove_empty(path: &Path) -> Result<(), PlaceError> {
    match fs::remove_dir(path) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}
