//! One directory of the unified tree (or of v2), and the reading and writing of its small files.
//!
//! It owns the formats: a number, `max`, lines of `key value`. It must not know which limits exist.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Errno, Error, Result, from_io};

/// Bytes of a file that are looked at; `io.stat` has a line for each disk and is the longest.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// How often a removal is tried, and how long is waited between two tries.
const REMOVE_TRIES: u32 = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(2);

/// A group's directory, held open.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// Makes a directory that did not exist.
    pub(super) fn create(path: PathBuf) -> Result<Directory> {
        create(&path)?;
        Directory::open(path)
    }

    /// Opens one that does.
    pub(super) fn open(path: PathBuf) -> Result<Directory> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(&path);
        Ok(Directory { path, fd: file.map_err(|error| from_io("open cgroup", &error))?.into() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        write(&self.file(name), text)
    }

    /// A file that may be missing; other errors are errors.
    pub(super) fn read_optional(&self, name: &str) -> Result<Option<String>> {
        read_optional(&self.file(name))
    }

    /// A number in a file of its own; none when the file is missing or says `max`.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.read_optional(name)?.and_then(|text| text.trim().parse().ok()))
    }

    /// The number behind a key; none when the file or the key is missing.
    pub(super) fn keyed(&self, name: &str, key: &str) -> Result<Option<u64>> {
        Ok(self.read_optional(name)?.and_then(|text| parse_keyed(&text, key)))
    }

    /// `cgroup.kill`: whether it is there.
    pub(super) fn kill(&self) -> Result<bool> {
        match self.write("cgroup.kill", "1") {
            Ok(()) => Ok(true),
            Err(error) if error.errno == Errno::ENOENT && self.path.exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `cgroup.freeze`.
    pub(super) fn set_frozen(&self, frozen: bool) -> Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Whether `cgroup.events` says that there is a process here or below.
    pub(super) fn populated(&self) -> Result<bool> {
        match self.keyed("cgroup.events", "populated")? {
            Some(value) => Ok(value != 0),
            None => Err(Error::new("read cgroup.events", Errno::ENOENT)),
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Writes a file that must exist; the kernel makes them, we never do.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| from_io("write cgroup file", &error))
}

/// Opens a file that must exist and keeps it.
pub(super) fn open_for_writing(path: &Path) -> Result<OwnedFd> {
    let file = OpenOptions::new().write(true).open(path);
    Ok(file.map_err(|error| from_io("open cgroup file", &error))?.into())
}

/// Reads a file that may be missing.
pub(super) fn read_optional(path: &Path) -> Result<Option<String>> {
    match File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(FILE_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(|error| from_io("read cgroup file", &error))?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(from_io("open cgroup file", &error)),
    }
}

/// The number on the line `key number`.
pub(super) fn parse_keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The sum over all lines of the number behind `key=`, as in `8:0 rbytes=1 wbytes=2`.
pub(super) fn sum_nested(text: &str, key: &str) -> u64 {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// The last part of a group's path, which we have checked when it was made.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Makes a directory that did not exist.
pub(super) fn create(path: &Path) -> Result<()> {
    fs::create_dir(path).map_err(|error| from_io("mkdir cgroup", &error))
}

/// Makes a directory unless it is there.
pub(super) fn ensure(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(from_io("mkdir cgroup", &error)),
        _ => Ok(()),
    }
}

/// Removes a group's directory, with patience for processes that are still on their way out. One that is
/// gone already is fine.
pub(super) fn remove(path: &Path) -> Result<()> {
    remove_all(&[path.to_path_buf()])
}

/// Removes the directories of one group in all trees, with patience for all of them together. What can go
/// goes; the first error is kept.
pub(super) fn remove_all(paths: &[PathBuf]) -> Result<()> {
    let mut left: Vec<&PathBuf> = paths.iter().collect();
    let mut tries = 0;
    loop {
        let mut outcome = Ok(());
        left.retain(|path| match fs::remove_dir(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                if outcome.is_ok() {
                    outcome = Err(from_io("rmdir cgroup", &error));
                }
                true
            }
            _ => false,
        });
        match &outcome {
            Err(error) if error.errno == Errno::EBUSY && tries < REMOVE_TRIES => {
                tries += 1;
                std::thread::sleep(REMOVE_PAUSE);
            }
            _ => return outcome,
        }
    }
}
