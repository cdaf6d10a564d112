//! Files of profiles and syscall sets from disk, for the planner's crate to read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use runtime_plan::source::SourceFile;

use crate::error::Error;

/// No profile that a person writes is larger.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The directory of the syscall sets, below that of the profiles.
const SETS: &str = "syscalls";

/// Every `.toml` of a directory of profiles, and of `syscalls` below it, by name.
pub fn read_directory(directory: &Path) -> Result<Vec<SourceFile>, Error> {
    let mut paths = toml_files(directory)?;
    let sets = directory.join(SETS);
    if sets.is_dir() {
        paths.extend(toml_files(&sets)?);
    }
    paths.iter().map(|path| read(path)).collect()
}

fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::io("read the directory", directory.display().to_string(), error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// One file. The directory of a bare name is looked up, for it says whether the file is a syscall set.
pub fn read(path: &Path) -> Result<SourceFile, Error> {
    let failed = |error| Error::io("read", path.display().to_string(), error);
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        let message = format!("{} is over {FILE_BYTES_MAX} bytes: that is no profile", path.display());
        return Err(Error::Profile { message });
    }
    let bare = path.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    let shown = if bare { std::path::absolute(path).map_err(failed)? } else { path.to_owned() };
    Ok(SourceFile { path: shown.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_sets_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(SETS)).unwrap();
        for name in ["b.toml", "a.toml", "notes.txt", "syscalls/s.toml"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let files = read_directory(folder.path()).unwrap();
        assert_eq!(files.iter().map(SourceFile::stem).collect::<Vec<_>>(), ["a", "b", "s"]);
        assert_eq!(files[2].directory(), SETS);
    }

    #[test]
    fn a_file_that_is_not_there_or_too_large_says_so() {
        assert_eq!(read("/no/such.toml".as_ref()).unwrap_err().code(), "IO_FAILED");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.toml");
        std::fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
        assert_eq!(read(&path).unwrap_err().code(), "BAD_PROFILE");
    }
}
