//! What became of the last upgrade, in the directory of the instance: `runtime upgrade` waits for it.

use crate::launcher::places::PlaceError;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Its file.
const NAME: &str = "upgrade";
/// The same while it is written.
const NEW_NAME: &str = "upgrade.new";
/// The note of a program that has taken its place.
const DONE: &str = "done";
/// What stands before the reason of a refusal.
const REFUSED: &str = "refused: ";

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Another program runs.
    Done,
    /// The old one runs on, and why.
    Refused(String),
}

impl Note {
    /// Writes it in place of an earlier one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, instance: &Path) -> Result<(), PlaceError> {
        let text = match self {
            Note::Done => DONE.to_owned(),
            Note::Refused(why) => format!("{REFUSED}{why}"),
        };
        let new = instance.join(NEW_NAME);
        let failed = |source| PlaceError::Io { act: "write", path: new.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        fs::rename(&new, instance.join(NAME)).map_err(failed)
    }

    /// Reads it; none when there was no upgrade since [`Note::remove`].
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(instance: &Path) -> Result<Option<Note>, PlaceError> {
        let path = instance.join(NAME);
        match fs::read_to_string(&path) {
            Ok(text) if text == DONE => Ok(Some(Note::Done)),
            Ok(text) => Ok(Some(Note::Refused(text.strip_prefix(REFUSED).unwrap_or(&text).to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PlaceError::Io { act: "read", path, source }),
        }
    }

    /// Removes it, before an upgrade is asked for.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(instance: &Path) -> Result<(), PlaceError> {
        let path: PathBuf = instance.join(NAME);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(PlaceError::Io { act: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let instance = tempfile::tempdir().unwrap();
        assert_eq!(Note::read(instance.path()).unwrap(), None);
        for note in [Note::Refused("it is older: 1 < 2".to_owned()), Note::Done] {
            note.write(instance.path()).unwrap();
            assert_eq!(Note::read(instance.path()).unwrap(), Some(note));
        }
        Note::remove(instance.path()).unwrap();
        Note::remove(instance.path()).unwrap();
        assert_eq!(Note::read(instance.path()).unwrap(), None);
    }
}
