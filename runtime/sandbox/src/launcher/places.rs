//! Where a launcher keeps what it shares with other launchers of the host: leases, held by locks that the kernel drops when
//! the holder dies. Daemons, embedded runs and test suites live side by side; a sweep touches only what nobody holds.
//!
//! ```text
//! <run dir>/instances/<instance>/lock    held as long as the launcher lives
//! <run dir>/instances/<instance>/state   state of an embedded run
//! <run dir>/slots/<block>                a block of host ids, held likewise
//! ```

use runtime_sys::{Errno, Error, cgroup, file, process};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, fs::DirBuilderExt, fs::MetadataExt, fs::OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

/// First host id of ours: 0x7000_0000, between the ranges of systemd-nspawn and its foreign ids, which no distribution
/// hands out (systemd's UIDS-GIDS.md).
pub const UID_BASE: u32 = 0x7000_0000;
/// Ids of one slot: one for init, one for the job, the rest for more users inside.
pub const SLOT_IDS: u32 = 16;
/// Slots of one block; the first is the server's, the last is for tests.
pub const BLOCK_SLOTS: u32 = 256;
/// Blocks, hence rootful launchers at the same time on one host.
pub const BLOCKS_MAX: u32 = 256;

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
}

fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
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
    let ours =
        metadata.is_dir() && metadata.uid() == process::effective_uid() && metadata.mode() & 0o022 == 0;
    if !ours {
        return Err(PlaceError::Foreign { path: path.to_owned(), uid: metadata.uid() });
    }
    Ok(())
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

/// A launcher's own directory, held by a lock.
#[derive(Debug)]
pub struct Instance {
    /// Its name: 16 hexadecimal digits.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    run_dir: PathBuf,
    _lock: File,
}

impl Instance {
    /// Makes one.
    pub fn lease(run_dir: &Path) -> Result<Instance, PlaceError> {
        again(|| {
            make_run_dir(run_dir)?;
            let instances = run_dir.join("instances");
            make_directory(&instances, 0o711)?;
            let name = random_name()?;
            let path = instances.join(&name);
            let lock = Instance::lock(&path)?;
            Ok(lock.map(|lock| Instance { name, path, run_dir: run_dir.to_owned(), _lock: lock }))
        })
    }

    fn lock(path: &Path) -> Result<Option<File>, PlaceError> {
        make_directory(path, 0o711)?;
        lock_file(&path.join("lock"), Absent::Make)
    }

    /// Removes the directory with all that is in it, and what of the run directory is empty then.
    pub fn remove(self) -> Result<(), PlaceError> {
        remove_instance(&self.path)?;
        tidy(&self.run_dir)
    }
}

/// Removes what of the run directory is empty.
pub fn tidy(run_dir: &Path) -> Result<(), PlaceError> {
    let (instances, slots) = (run_dir.join("instances"), run_dir.join("slots"));
    let run_dir = Some(run_dir).filter(|path| !is_anybodys(path));
    for empty in [instances.as_path(), slots.as_path()].into_iter().chain(run_dir) {
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

/// In /tmp, what we take away another user may make, while one of our launchers believes it to be ours: it stays.
fn is_anybodys(path: &Path) -> bool {
    path.parent().and_then(|parent| fs::metadata(parent).ok()).is_none_or(|parent| parent.mode() & 0o002 != 0)
}

fn random_name() -> Result<String, PlaceError> {
    let path = Path::new("/proc/sys/kernel/random/uuid");
    let uuid = fs::read_to_string(path).map_err(io_error("read", path))?;
    Ok(uuid.chars().filter(char::is_ascii_hexdigit).take(16).collect())
}

/// What happens when there is no lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// It is made.
    Make,
    /// It is an error of the kind `NotFound`.
    Fail,
}

/// Locks a file; `None` when somebody holds it. A file that its last holder removed meanwhile counts as absent.
fn lock_file(path: &Path, absent: Absent) -> Result<Option<File>, PlaceError> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(absent == Absent::Make)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NOFOLLOW)
            .open(path)
            .map_err(io_error("open", path))?;
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

fn remove_instance(path: &Path) -> Result<(), PlaceError> {
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
    if let Err(error) = sweep_slots(&run_dir.join("slots")) {
        swept.failed.push(error);
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

/// Blocks of ids that nobody holds. The file goes while we hold its lock.
fn sweep_slots(slots: &Path) -> Result<(), PlaceError> {
    let entries = match fs::read_dir(slots) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("list", slots)(error)),
    };
    for entry in entries {
        let path = entry.map_err(io_error("list", slots))?.path();
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

/// A block of host ids, held by a lock: no two launchers of the host use the same id.
#[derive(Debug)]
pub struct Slots {
    path: PathBuf,
    _lock: File,
    first: u32,
    /// Free slots, the longest unused first: an id rests as long as it can before it is used again.
    free: std::collections::VecDeque<u32>,
}

/// One job's host ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The first of [`SLOT_IDS`] ids: init's.
    pub first: u32,
}

impl Slot {
    /// The job's own id.
    pub fn job(self) -> u32 {
        self.first + 1
    }
}

impl Slots {
    /// Leases a block.
    pub fn lease(run_dir: &Path) -> Result<Slots, PlaceError> {
        let slots = run_dir.join("slots");
        make_directory(&slots, 0o711)?;
        for block in 0..BLOCKS_MAX {
            let path = slots.join(block.to_string());
            let lock = loop {
                match lock_file(&path, Absent::Make) {
                    // A launcher that ended took the empty directory away.
                    Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        make_directory(&slots, 0o711)?;
                    }
                    other => break other?,
                }
            };
            if let Some(lock) = lock {
                let first = UID_BASE + block * BLOCK_SLOTS * SLOT_IDS;
                return Ok(Slots { path, _lock: lock, first, free: (1..BLOCK_SLOTS - 1).collect() });
            }
        }
        Err(PlaceError::NoBlock)
    }

    /// The server's own uid.
    pub fn server_uid(&self) -> u32 {
        self.first
    }

    /// A slot that no process of the host uses, or `None` when all are taken.
    pub fn take(&mut self) -> Option<Slot> {
        self.free.pop_front().map(|index| Slot { first: self.first + index * SLOT_IDS })
    }

    /// The one slot that is never taken: for tests that want jobs to share their ids.
    pub fn shared(&self) -> Slot {
        Slot { first: self.first + (BLOCK_SLOTS - 1) * SLOT_IDS }
    }

    /// Gives a slot back, once its sandbox is gone.
    pub fn give_back(&mut self, slot: Slot) {
        if slot != self.shared() {
            self.free.push_back((slot.first - self.first) / SLOT_IDS);
        }
    }

    /// Gives the block back. The file goes while its lock is held, so nobody can hold a lock on a file that is not there.
    pub fn remove(self) -> Result<(), PlaceError> {
        fs::remove_file(&self.path).map_err(io_error("remove", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn two_launchers_never_share_an_id() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = Slots::lease(directory.path()).unwrap();
        let mut second = Slots::lease(directory.path()).unwrap();
        let mut ids = std::collections::BTreeSet::from([first.server_uid(), second.server_uid()]);
        for slots in [&mut first, &mut second] {
            while let Some(slot) = slots.take() {
                for id in slot.first..slot.first + SLOT_IDS {
                    assert!(ids.insert(id), "{id} was given twice");
                }
            }
        }
        assert_eq!(ids.len(), 2 * (1 + 254 * 16));
    }

    #[test]
    fn a_block_is_free_again_when_its_holder_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = Slots::lease(directory.path()).unwrap();
        let uid = first.server_uid();
        first.remove().unwrap();
        assert_eq!(Slots::lease(directory.path()).unwrap().server_uid(), uid);
    }

    #[test]
    fn a_sweep_takes_dead_instances_and_leaves_living_ones() {
        let directory = tempfile::tempdir().unwrap();
        let living = Instance::lease(directory.path()).unwrap();
        let dead = Instance::lease(directory.path()).unwrap();
        fs::write(dead.path.join("leftover"), "x").unwrap();
        let held = Slots::lease(directory.path()).unwrap();
        drop(Slots::lease(directory.path()).unwrap());
        assert_eq!(fs::read_dir(directory.path().join("slots")).unwrap().count(), 2);
        let (dead_name, dead_path) = (dead.name.clone(), dead.path.clone());
        drop(dead);
        let nothing = cgroup::discover(&directory.path().join("no-cgroups"), "", false);
        assert_eq!(sweep(directory.path(), &nothing).removed, [dead_name]);
        assert!(!dead_path.exists());
        assert!(living.path.exists());
        assert_eq!(fs::read_dir(directory.path().join("slots")).unwrap().count(), 1);
        held.remove().unwrap();
        living.remove().unwrap();
        assert_eq!(fs::read_dir(directory.path()).map_or(0, Iterator::count), 0, "what is empty goes");
    }

    #[test]
    fn a_run_directory_goes_unless_another_user_could_make_it_then() {
        for (mode, stays) in [(0o755, false), (0o1777, true)] {
            let place = tempfile::tempdir().unwrap();
            fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
            let run_dir = place.path().join("runtime-1");
            Instance::lease(&run_dir).unwrap().remove().unwrap();
            assert_eq!(run_dir.exists(), stays, "{mode:o}");
            assert!(!run_dir.join("instances").exists());
        }
    }

    #[test]
    fn launchers_that_end_do_not_take_the_ground_from_those_that_start() {
        let place = tempfile::tempdir().unwrap();
        let run_dir = place.path().join("run");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        make_run_dir(&run_dir).unwrap();
                        Instance::lease(&run_dir).unwrap().remove().unwrap();
                    }
                });
            }
        });
        assert!(!run_dir.exists());
    }

    #[test]
    fn a_run_directory_whose_parent_is_missing_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        assert!(Instance::lease(&place.path().join("no/run")).is_err());
    }

    #[test]
    fn a_sweep_does_not_get_into_the_way_of_launchers_that_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let nothing = cgroup::discover(&directory.path().join("no-cgroups"), "", false);
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    // It may take a directory whose lock is made and not yet held: then another one is made.
                    let swept = sweep(directory.path(), &nothing);
                    assert!(swept.failed.is_empty(), "{:?}", swept.failed);
                }
            });
            for _ in 0..200 {
                let instance = Instance::lease(directory.path()).unwrap();
                Slots::lease(directory.path()).unwrap().remove().unwrap();
                instance.remove().unwrap();
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            sweeper.join().unwrap();
        });
    }
}
