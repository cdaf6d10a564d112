//! A launcher's own directory.

use super::{
    PlaceError, again, io_error,
    lock::{Absent, lock_file},
    make_directory, make_run_dir, random_digits, tidy,
};
use runtime_sys::{Errno, Error, file};
use std::{
    fs::File,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

/// A launcher's own directory, held by a lock.
#[derive(Debug)]
pub struct Instance {
    /// Its name: 16 hexadecimal digits.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    run_dir: PathBuf,
    lock: File,
}

impl Instance {
    /// Makes one.
    pub fn lease(run_dir: &Path) -> Result<Instance, PlaceError> {
        again(|| {
            make_run_dir(run_dir)?;
            let instances = run_dir.join("instances");
            make_directory(&instances, 0o711)?;
            let name = random_digits(16)?;
            let path = instances.join(&name);
            let lock = Instance::make(&path)?;
            Ok(lock.map(|lock| Instance { name, path, run_dir: run_dir.to_owned(), lock }))
        })
    }

    fn make(path: &Path) -> Result<Option<File>, PlaceError> {
        make_directory(path, 0o711)?;
        lock_file(&path.join("lock"), Absent::Make)
    }

    /// What the next program of this process needs to hold it on: name, directory, run directory, lock.
    pub(crate) fn parts(&self) -> (&str, &Path, &Path, &File) {
        (&self.name, &self.path, &self.run_dir, &self.lock)
    }

    /// An instance that an earlier program of this process leased, from its [`Instance::parts`].
    pub(crate) fn restore(name: String, path: PathBuf, run_dir: PathBuf, lock: File) -> Instance {
        Instance { name, path, run_dir, lock }
    }

    /// Removes the directory with all that is in it, and what of the run directory is empty then.
    pub fn remove(self) -> Result<(), PlaceError> {
        remove_instance(&self.path)?;
        tidy(&self.run_dir)
    }
}

/// Removes an instance's directory; whoever calls this holds its lock.
pub(crate) fn remove_instance(path: &Path) -> Result<(), PlaceError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let failed = |error: Error| io_error("remove", path)(error.into());
    let parent = file::open_dir_path(parent).map_err(failed)?;
    let name = std::ffi::CString::new(name.as_bytes())
        .map_err(|_nul| failed(Error { act: "remove", errno: Errno::EINVAL }))?;
    // The lock goes last: without it no sweep would remove what a launcher that dies here leaves.
    for (directory, name) in [(file::open_dir_path(path), c"state".to_owned()), (Ok(parent), name)] {
        match directory.and_then(|directory| file::remove_tree(directory.as_fd(), &name)) {
            // A sweep of another launcher was faster, once the lock in it was gone.
            Err(error) if error.errno == Errno::ENOENT => {}
            other => other.map_err(failed)?,
        }
    }
    Ok(())
}
