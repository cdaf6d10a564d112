//! Faults on demand: whoever makes a writer may have it fail before an act, as the kernel would.

use std::io;

/// What a writer is about to do to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Make the files of the next segment.
    Segment,
    /// Move bytes from a pipe to a file: so many, or fewer.
    Data(u64),
    /// Write an entry of the index, for bytes that are in the file.
    Index,
    /// Say in `meta` what is removed.
    Meta,
    /// Remove a file.
    Remove,
}

/// Asked before each act. It must not block.
pub trait Fault: Send + Sync + std::fmt::Debug {
    /// An error refuses the act: "no space", a quota, a read-only file system and EIO make the writer wait and ask again;
    /// any other ends it, as a crash would.
    ///
    /// # Errors
    /// The fault.
    fn before(&self, act: Act) -> io::Result<()>;
}
