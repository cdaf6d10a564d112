//! Brings a log to the disk, once a second while it grows and once at its end: bytes first, then what speaks of them.

use super::{Both, Stream, meta, segment};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What has to reach the disk.
#[derive(Debug)]
pub(super) struct Dirty {
    pub(super) directory: PathBuf,
    /// The first and the last segment of each stream.
    pub(super) segments: Both<Option<(u64, u64)>>,
}

impl Dirty {
    pub(super) fn is_empty(&self) -> bool {
        self.segments == Both::default()
    }

    /// Waits for the disk. Files that the cap removed meanwhile are none of its business. It opens them anew: pages are
    /// those of the file, whoever wrote them, and so no descriptors pile up behind a slow disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.each(segment::data_path)?;
        self.each(segment::index_path)?;
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

pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
