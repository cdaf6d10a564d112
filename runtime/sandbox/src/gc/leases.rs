//! Host ids that nobody holds any more, and processes that have them still.

use super::{
    Found, Kind, View,
    instances::{Known, directories},
    processes,
    remove::Target,
};
use crate::launcher::places::{
    PlaceError, ServerUid, Slots,
    lock::{Absent, lock_file},
};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

/// Notes the leases of the dead, and the processes that keep them.
pub fn find(view: &View<'_>, known: &Known, found: &mut Found) {
    let mut dead: Vec<(PathBuf, Range<u32>)> = Vec::new();
    for (name, ids) in [("slots", Slots::ids as fn(&str) -> _), ("servers", ServerUid::ids)] {
        for path in directories(&view.run_dir.join(name), found) {
            let Some(ids) = path.file_name().and_then(|name| name.to_str()).and_then(ids) else { continue };
            match lock_file(&path, Absent::Fail) {
                Ok(Some(lock)) => {
                    found.locks.push(lock);
                    dead.push((path, ids));
                }
                Ok(None) => {}
                Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.errors.push(error.to_string()),
            }
        }
    }
    if !dead.is_empty() {
        let ids: Vec<Range<u32>> = dead.iter().map(|(_, ids)| ids.clone()).collect();
        processes::find_with_ids(view, &ids, found);
    }
    for (path, ids) in dead {
        let what = format!("{} (uids {} to {})", path.display(), ids.start, ids.end - 1);
        let owner = (holder(known, &path), None);
        found.add(Kind::Lease, what, owner, Target::Lease { path, ids });
    }
}

/// The dead instance that had a lease.
fn holder<'a>(known: &'a Known, lease: &Path) -> Option<&'a str> {
    let had = known.dead.iter().find(|(_, _, owns)| owns.leases.iter().any(|path| path == lease));
    had.map(|(name, _, _)| name.as_str())
}
