//! Brings a log to the disk, once a second while it grows and once at its end: bytes first, then what speaks of them.

use super::{Both, Stream, meta, segment};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

/// What has to reach the disk.
#[derive(Debug)]
pub(super) struct Dirty {
    pub(super) directory: PathBuf,
    /// The first and the last segment of each stream.
    pub(super) segments: Both<Option<(u64, u64)>>,
    /// Whether files were made or removed.
    pub(super) names: bool,
}

/// Syncs of all logs at a time: enough for the file system to join them into one commit, and few enough to leave most
/// blocking threads to those who move bytes.
static TURNS: Semaphore = Semaphore::const_new(16);

impl Dirty {
    /// Starts the sync, as soon as it is its turn.
    pub(super) fn start(self) -> JoinHandle<io::Result<()>> {
        tokio::spawn(async move {
            let _turn = TURNS.acquire().await.map_err(io::Error::other)?;
            spawn_blocking(move || self.sync()).await.map_err(io::Error::other)?
        })
    }

    /// Waits for the disk. Files that the cap removed meanwhile are none of its business. It opens them anew: pages are
    /// those of the file, whoever wrote them, and so no descriptors pile up behind a slow disk.
    fn sync(&self) -> io::Result<()> {
        self.each(segment::data_path)?;
        self.each(segment::index_path)?;
        if !self.names {
            return Ok(());
        }
        sync_file(&meta::path(&self.directory))?;
        File::open(&self.directory)?.sync_all()
    }

    fn each(&self, path: fn(&Path, Stream, u64) -> PathBuf) -> io::Result<()> {
        for stream in Stream::ALL {
            let Some((first, last)) = *self.segments.of(stream) else { continue };
            for number in first..=last {
                sync_file(&path(&self.directory, stream, number))?;
            }
        }
        Ok(())
    }
}

fn sync_file(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
