//! Sockets of dead daemons.

use super::{
    Found, Kind, View,
    instances::{Known, directories},
    remove::Target,
};
use runtime_sys::{process, socket};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A daemon that starts has a socket at which it does not listen yet, for far less than this.
const BIRTH: Duration = Duration::from_secs(1);

/// Notes the sockets that dead launchers wrote down, and those in the run directory that nobody listens at.
pub fn find(view: &View<'_>, known: &Known, found: &mut Found) {
    let mut candidates: BTreeMap<PathBuf, Option<&str>> = BTreeMap::new();
    for path in directories(view.run_dir, found) {
        candidates.insert(path, None);
    }
    for (name, _, owns) in &known.dead {
        candidates.extend(owns.sockets.iter().map(|path| (path.clone(), Some(name.as_str()))));
    }
    for path in known.living.iter().flat_map(|owns| &owns.sockets) {
        candidates.remove(path);
    }
    for (path, instance) in candidates {
        if look(&path, view.thorough) != Seen::NotOurs {
            found.add(Kind::Socket, path.display().to_string(), (instance, None), Target::Socket(path));
        }
    }
}

/// What a path looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A socket of ours without a listener.
    Dead,
    /// The same, and so new that its daemon may be about to listen.
    Young,
    /// Anything else, or nothing.
    NotOurs,
}

/// Looks at a path. With `waits` a young socket is looked at again when it is older.
pub fn look(path: &Path, waits: bool) -> Seen {
    let Some(born) = own_socket(path).filter(|_| is_silent(path)) else { return Seen::NotOurs };
    let age = SystemTime::now().duration_since(born).unwrap_or_default();
    if age >= BIRTH {
        return Seen::Dead;
    }
    if !waits {
        return Seen::Young;
    }
    std::thread::sleep(BIRTH - age);
    // Another one may have come in its place meanwhile.
    if own_socket(path) == Some(born) && is_silent(path) { Seen::Dead } else { Seen::NotOurs }
}

fn is_silent(path: &Path) -> bool {
    // A socket at which we may not knock is left as it is.
    socket::is_listened_at(path).is_ok_and(|listened| !listened)
}

/// When a socket of ours came to be as it is; `None` for anything else.
fn own_socket(path: &Path) -> Option<SystemTime> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let ours = metadata.file_type().is_socket() && metadata.uid() == process::effective_uid();
    let since =
        Duration::new(u64::try_from(metadata.ctime()).ok()?, u32::try_from(metadata.ctime_nsec()).ok()?);
    ours.then(|| SystemTime::UNIX_EPOCH + since)
}
