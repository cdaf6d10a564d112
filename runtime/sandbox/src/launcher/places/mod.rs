//! Where a launcher keeps what it shares with other launchers of the host: leases, held by locks that the kernel drops when
//! the holder dies. Daemons, embedded runs and test suites live side by side; a sweep touches only what nobody holds.
//!
//! ```text
//! <run dir>/instances/<instance>/lock    held as long as the launcher lives
//! <run dir>/instances/<instance>/owns    what the launcher has elsewhere
//! <run dir>/instances/<instance>/state   state of an embedded run
//! <run dir>/slots/<block>                a block of host ids for jobs, held likewise
//! <run dir>/servers/<uid>                the host id of one server, held likewise
//! ```

pub(crate) mod instance;
pub(crate) mod lock;
mod owns;
mod server_uid;
mod slots;

pub use instance::Instance;
pub use owns::Owns;
pub use server_uid::{SERVER_UID_BASE, SERVER_UIDS, ServerUid, UIDS, reown};
pub use slots::{BLOCK_SLOTS, BLOCKS_MAX, SLOT_IDS, Slot, Slots, UID_BASE};

use runtime_sys::process;
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A file operation failed.
    #[error("failed to {act} {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory is somebody else's.
    #[error(
        "{path} belongs to uid {uid}, not to us: remove it, or set XDG_RUNTIME_DIR to a directory of your own"
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose.
        uid: u32,
    },
    /// All blocks of ids are in use.
    #[error("all {BLOCKS_MAX} blocks of host ids are in use: stop a daemon")]
    NoBlock,
    /// All uids of servers are in use.
    #[error("all {SERVER_UIDS} uids of servers are in use: stop a daemon")]
    NoServerUid,
}

pub(crate) fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { act, path, source }
}

/// The directory for things that do not outlive a boot: /run/runtime for root, else $XDG_RUNTIME_DIR/runtime when that
/// directory is ours, else /tmp/runtime-UID.
pub fn run_dir() -> PathBuf {
    let uid = process::effective_uid();
    if uid == 0 {
        return PathBuf::from("/run/runtime");
    }
    // After su(1) the variable may name another user's directory.
    let own = |directory: &PathBuf| {
        directory.is_absolute() && fs::metadata(directory).is_ok_and(|metadata| metadata.uid() == uid)
    };
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(own) {
        Some(directory) => directory.join("runtime"),
        None => PathBuf::from(format!("/tmp/runtime-{uid}")),
    }
}

/// Makes the run directory, or checks that the one that is there is ours and nobody else may write to it.
pub fn make_run_dir(path: &Path) -> Result<(), PlaceError> {
    // As root the server, which has a uid of its own, must get through; a user has one uid for all.
    let mode = if process::effective_uid() == 0 { 0o711 } else { 0o700 };
    let metadata = again(|| {
        make_directory(path, mode)?;
        fs::symlink_metadata(path).map(Some).map_err(io_error("look at", path))
    })?;
    check_owner(path, &metadata)
}

/// Whether there is a run directory, for who only looks: one of another user could lead anywhere, and nothing in it is ours.
///
/// # Errors
/// It is not ours, or others may write to it.
pub fn has_run_dir(path: &Path) -> Result<bool, PlaceError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => check_owner(path, &found.map_err(io_error("look at", path))?).map(|()| true),
    }
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), PlaceError> {
    let ours =
        metadata.is_dir() && metadata.uid() == process::effective_uid() && metadata.mode() & 0o022 == 0;
    if ours { Ok(()) } else { Err(PlaceError::Foreign { path: path.to_owned(), uid: metadata.uid() }) }
}

/// How often something is made again that others took away. One of them has to end between two of our calls each time.
const ATTEMPTS_MAX: u32 = 1_000;

/// Tries until it is made. A launcher that ends takes an empty parent away, and a sweep a directory that has no lock yet:
/// both only mean that all of it is made again. A parent that stays missing is an error in the end.
fn again<T>(mut attempt: impl FnMut() -> Result<Option<T>, PlaceError>) -> Result<T, PlaceError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt() {
            Ok(Some(made)) => return Ok(made),
            Ok(None) => {}
            Err(PlaceError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS_MAX => {}
            Err(error) => return Err(error),
        }
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<(), PlaceError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(io_error("make", path)),
    }
}

/// Removes what of the run directory is empty.
pub fn tidy(run_dir: &Path) -> Result<(), PlaceError> {
    let below = ["instances", "slots", "servers"].map(|name| run_dir.join(name));
    let run_dir = Some(run_dir).filter(|path| !is_anybodys(path));
    for empty in below.iter().map(PathBuf::as_path).chain(run_dir) {
        match fs::remove_dir(empty) {
            Ok(()) => {}
            // In use by another launcher, or gone with one.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy
                ) => {}
            // A run directory below a directory of root's stays.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && Some(empty) == run_dir => {}
            Err(error) => return Err(io_error("remove", empty)(error)),
        }
    }
    Ok(())
}

/// Random hexadecimal digits, 32 at most. The 13th says that it is a uuid of kind 4.
fn random_digits(count: usize) -> Result<String, PlaceError> {
    let path = Path::new("/proc/sys/kernel/random/uuid");
    let uuid = fs::read_to_string(path).map_err(io_error("read", path))?;
    Ok(uuid.chars().filter(char::is_ascii_hexdigit).take(count).collect())
}

/// In /tmp, what we take away another user may make, while one of our launchers believes it to be ours: it stays.
fn is_anybodys(path: &Path) -> bool {
    path.parent().and_then(|parent| fs::metadata(parent).ok()).is_none_or(|parent| parent.mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests;
