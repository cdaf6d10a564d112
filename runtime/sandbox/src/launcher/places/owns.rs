//! What a launcher has outside of its own directory, written down in it: when the launcher dies, whoever cleans up knows
//! where to look.

use super::{PlaceError, io_error};
use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The file in the instance's directory: `key=path`, each with a NUL behind it, for a path may hold anything else.
const NAME: &str = "owns";
/// The same while it is written.
const NEW_NAME: &str = "owns.new";

/// What one launcher has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owns {
    /// Unix sockets at which it listens.
    pub sockets: Vec<PathBuf>,
    /// The directory of records and logs; it stays when the launcher is gone.
    pub state_dir: Option<PathBuf>,
    /// Files of the leases that it holds: see [`super::Slots::lease_path`] and [`super::ServerUid::lease_path`].
    pub leases: Vec<PathBuf>,
}

impl Owns {
    /// Writes it into an instance's directory, in place of what was there.
    ///
    /// # Errors
    /// When the file cannot be written; what was there stays then.
    pub fn write(&self, instance: &Path) -> Result<(), PlaceError> {
        let mut bytes = Vec::new();
        let sockets = self.sockets.iter().map(|path| ("socket", path));
        let leases = self.leases.iter().map(|path| ("lease", path));
        for (key, path) in sockets.chain(self.state_dir.iter().map(|path| ("state", path))).chain(leases) {
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(b'=');
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        let new = instance.join(NEW_NAME);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
        file.and_then(|mut file| file.write_all(&bytes)).map_err(io_error("write", &new))?;
        fs::rename(&new, instance.join(NAME)).map_err(io_error("rename", &new))
    }

    /// Reads what a launcher wrote; nothing when it died before, and no line that we do not know.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn read(instance: &Path) -> Result<Owns, PlaceError> {
        let path = instance.join(NAME);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(io_error("read", &path))?,
        };
        let mut owns = Owns::default();
        for line in bytes.split(|byte| *byte == 0) {
            let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = line.split_at(at);
            let path = PathBuf::from(OsStr::from_bytes(value.get(1..).unwrap_or_default()));
            match key {
                b"socket" => owns.sockets.push(path),
                b"state" => owns.state_dir = Some(path),
                b"lease" => owns.leases.push(path),
                _ => {}
            }
        }
        Ok(owns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_whatever_a_path_holds() {
        let instance = tempfile::tempdir().unwrap();
        assert_eq!(Owns::read(instance.path()).unwrap(), Owns::default());
        let odd = PathBuf::from(OsStr::from_bytes(b"/tmp/a=b\n\xff.sock"));
        let owns = Owns {
            sockets: vec![odd, "/run/runtime/api.sock".into()],
            state_dir: Some("/var/lib/runtime".into()),
            leases: vec!["/run/runtime/slots/0".into()],
        };
        Owns { sockets: vec!["/old".into()], ..Owns::default() }.write(instance.path()).unwrap();
        owns.write(instance.path()).unwrap();
        assert_eq!(Owns::read(instance.path()).unwrap(), owns);
        assert!(!instance.path().join(NEW_NAME).exists());
    }

    #[test]
    fn lines_of_a_later_version_are_passed_over() {
        let instance = tempfile::tempdir().unwrap();
        fs::write(instance.path().join(NAME), b"netns=/x\0no line\0state=/s\0").unwrap();
        let read = Owns::read(instance.path()).unwrap();
        assert_eq!(read, Owns { state_dir: Some("/s".into()), ..Owns::default() });
    }
}
