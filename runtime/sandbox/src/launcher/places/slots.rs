//! Host ids of jobs: blocks of slots, leased by number.

use super::{
    PlaceError, io_error,
    lock::{Absent, lock_file},
    make_directory,
};
use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

/// First host id of ours: 0x7000_0000, between the ranges of systemd-nspawn and its foreign ids, which no distribution
/// hands out (systemd's UIDS-GIDS.md).
pub const UID_BASE: u32 = 0x7000_0000;
/// Ids of one slot: one for init, one for the job, the rest for more users inside.
pub const SLOT_IDS: u32 = 16;
/// Slots of one block; the first is for the server of an embedded run, the last is for tests.
pub const BLOCK_SLOTS: u32 = 256;
/// Blocks, hence rootful launchers at the same time on one host.
pub const BLOCKS_MAX: u32 = 256;

/// A block of host ids, held by a lock: no two launchers of the host use the same id.
#[derive(Debug)]
pub struct Slots {
    path: PathBuf,
    lock: File,
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
    /// Leases a block: one without a lease file, for a file that a dead launcher left stays as long as processes with ids
    /// of its block do.
    pub fn lease(run_dir: &Path) -> Result<Slots, PlaceError> {
        let slots = run_dir.join("slots");
        make_directory(&slots, 0o711)?;
        for block in 0..BLOCKS_MAX {
            let path = slots.join(block.to_string());
            let lock = loop {
                match lock_file(&path, Absent::MakeNew) {
                    // A launcher that ended took the empty directory away.
                    Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        make_directory(&slots, 0o711)?;
                    }
                    other => break other?,
                }
            };
            if let Some(lock) = lock {
                let first = UID_BASE + block * BLOCK_SLOTS * SLOT_IDS;
                return Ok(Slots { path, lock, first, free: (1..BLOCK_SLOTS - 1).collect() });
            }
        }
        Err(PlaceError::NoBlock)
    }

    /// The file that holds the block.
    pub fn lease_path(&self) -> &Path {
        &self.path
    }

    /// What the next program of this process needs to hold the block on: file, lock, first id, free slots in their order.
    pub(crate) fn parts(&self) -> (&Path, &File, u32, Vec<u32>) {
        (&self.path, &self.lock, self.first, self.free.iter().copied().collect())
    }

    /// A block that an earlier program of this process leased, from its [`Slots::parts`].
    pub(crate) fn restore(path: PathBuf, lock: File, first: u32, free: Vec<u32>) -> Slots {
        Slots { path, lock, first, free: free.into() }
    }

    /// The ids of a block, by the name of its lease file.
    pub(crate) fn ids(name: &str) -> Option<Range<u32>> {
        let block: u32 = name.parse().ok().filter(|block| *block < BLOCKS_MAX)?;
        let first = UID_BASE + block * BLOCK_SLOTS * SLOT_IDS;
        Some(first..first + BLOCK_SLOTS * SLOT_IDS)
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
