//! What can go wrong with the store, in words that say what to do, and how well it is. No text here holds a value of
//! a row.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why the store did not do it. Whatever the variant, nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk or a quota is full. Goes away by itself.
    #[error("no space left for the records of jobs in {0}: free some space and try again")]
    NoSpace(PathBuf),
    /// The file system takes no writes. Goes away by itself.
    #[error("the records of jobs in {0} cannot be written: the file system is read-only")]
    ReadOnly(PathBuf),
    /// The disk failed. May go away.
    #[error("failed to {act} the records of jobs: {detail}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// SQLite's words.
        detail: String,
    },
    /// Somebody else holds the file's lock. Goes away with them.
    #[error("another program has locked store.sqlite: end it and try again")]
    Locked,
    /// The file is damaged.
    #[error(
        "{file} is damaged ({detail}): put back a copy of it; or move store.sqlite, store.sqlite-wal and store.sqlite-shm elsewhere \
         and start again without the records of earlier jobs (their output stays in logs/ as long as records are kept)"
    )]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A newer version of this program made it.
    #[error(
        "{file} has schema {found}, and this version knows {known} at most: start the newer version that made it"
    )]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A SQLite file, but none of ours.
    #[error("{0} is a database of another program: choose another state directory")]
    NotOurs(PathBuf),
    /// A field is out of bounds: a mistake of the caller.
    #[error("{0} is out of bounds")]
    Invalid(&'static str),
    /// Another job of this org has the key: a mistake of the caller of `put`.
    #[error("the idempotency key belongs to another job")]
    KeyTaken,
    /// Too much waits to be written.
    #[error("too many records wait to be written")]
    Busy,
    /// The store was closed.
    #[error("the store of records is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same call can succeed later without anybody restarting anything.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::NoSpace(_)
            | StoreError::ReadOnly(_)
            | StoreError::Io { .. }
            | StoreError::Locked
            | StoreError::Busy => true,
            StoreError::Corrupt { .. }
            | StoreError::Newer { .. }
            | StoreError::NotOurs(_)
            | StoreError::Invalid(_)
            | StoreError::KeyTaken
            | StoreError::Closed => false,
        }
    }

    /// Whether it tells about the disk rather than about one row.
    pub(super) fn is_of_the_disk(&self) -> bool {
        matches!(
            self,
            StoreError::NoSpace(_)
                | StoreError::ReadOnly(_)
                | StoreError::Io { .. }
                | StoreError::Locked
                | StoreError::Corrupt { .. }
        )
    }

    /// What SQLite's answer means for the file at this path.
    pub(super) fn of(act: &'static str, file: &Path, error: &rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode as Code;
        let detail = words(error);
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => StoreError::NoSpace(directory(file)),
            Some(Code::ReadOnly) => StoreError::ReadOnly(directory(file)),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
                StoreError::Corrupt { file: file.to_owned(), detail }
            }
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => StoreError::Locked,
            Some(Code::SystemIoFailure | Code::CannotOpen) => match try_a_write(&directory(file)) {
                Err(error) => StoreError::of_io(act, file, &error),
                Ok(()) => StoreError::Io { act, detail },
            },
            _ => StoreError::Io { act, detail },
        }
    }

    /// The same for an answer of the kernel.
    pub(super) fn of_io(act: &'static str, file: &Path, error: &std::io::Error) -> StoreError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::NoSpace(directory(file))
            }
            ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(directory(file)),
            _ => StoreError::Io { act, detail: error.to_string() },
        }
    }
}

/// How well the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It takes writes.
    Ok,
    /// No space; it tries again by itself.
    Full(String),
    /// The file system is read-only; it tries again by itself.
    ReadOnly(String),
    /// The disk failed, the file is damaged or locked. It tries again by itself; a damaged file stays damaged.
    Broken(String),
}

impl Health {
    pub(super) fn of(error: &StoreError) -> Health {
        match error {
            StoreError::NoSpace(_) => Health::Full(error.to_string()),
            StoreError::ReadOnly(_) => Health::ReadOnly(error.to_string()),
            _ => Health::Broken(error.to_string()),
        }
    }
}

/// SQLite's text for the code; never the statement or a value.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure.to_string(),
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::FromSqlConversionFailure(..) => "a column has an impossible value".to_owned(),
        _ => "the library was not used as it should be".to_owned(),
    }
}

fn directory(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// SQLite says "I/O error" for a quota, a read-only file system and a dying disk alike: a small file tells them apart.
fn try_a_write(directory: &Path) -> std::io::Result<()> {
    let probe = directory.join("store.probe");
    let written = std::fs::write(&probe, [0; 4_096]);
    match std::fs::remove_file(&probe) {
        Err(error) if error.kind() != ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}
