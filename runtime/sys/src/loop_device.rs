//! Loop devices: which files stand behind them, and how they are let go. loop(4).
//!
//! Which of them are to go is decided elsewhere.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Result, check, from_io};

/// Lets go of the backing file: LOOP_CLR_FD of linux/loop.h.
const LOOP_CLR_FD: libc::Ioctl = 0x4C01;
/// What the kernel writes behind the name of a file that has been removed.
const DELETED: &[u8] = b" (deleted)";

/// A device with a file behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopDevice {
    /// Its name, as `loop0`.
    pub name: String,
    /// The file, which may have been removed since.
    pub backing: PathBuf,
}

/// All devices that have a file, from `sys_root`, which is /sys. None where the kernel has no loop devices.
///
/// # Errors
/// What the kernel says when the devices cannot be listed.
pub fn attached(sys_root: &Path) -> Result<Vec<LoopDevice>> {
    let failed = |error: std::io::Error| from_io("list block devices", &error);
    let entries = match std::fs::read_dir(sys_root.join("block")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut devices = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // A device without a file has no such entry.
        let Ok(mut backing) = std::fs::read(entry.path().join("loop/backing_file")) else { continue };
        backing.truncate(backing.strip_suffix(b"\n").map_or(backing.len(), <[u8]>::len));
        backing.truncate(backing.strip_suffix(DELETED).map_or(backing.len(), <[u8]>::len));
        let name = entry.file_name().to_string_lossy().into_owned();
        devices.push(LoopDevice { name, backing: PathBuf::from(OsString::from_vec(backing)) });
    }
    devices.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(devices)
}

/// Takes the file away from a device, given as a path in /dev. One that is in use lets go when its last user does.
///
/// # Errors
/// `ENXIO` when it has no file; `EACCES` without the right to open it.
pub fn detach(device: &Path) -> Result<()> {
    let device = std::fs::File::open(device).map_err(|error| from_io("open loop device", &error))?;
    // SAFETY: this ioctl takes no argument and touches no memory of ours.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD) };
    check("detach loop device", i64::from(answer)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_attached_when_it_has_a_file() {
        let sys = tempfile::tempdir().unwrap();
        assert!(attached(sys.path()).unwrap().is_empty(), "no directory of block devices");
        for (name, file) in [("loop1", "/srv/a b\n"), ("loop0", "/srv/gone (deleted)\n")] {
            std::fs::create_dir_all(sys.path().join("block").join(name).join("loop")).unwrap();
            std::fs::write(sys.path().join("block").join(name).join("loop/backing_file"), file).unwrap();
        }
        std::fs::create_dir_all(sys.path().join("block/loop2/loop")).unwrap();
        let found: Vec<_> =
            attached(sys.path()).unwrap().into_iter().map(|it| (it.name, it.backing)).collect();
        assert_eq!(found, [("loop0".into(), "/srv/gone".into()), ("loop1".into(), "/srv/a b".into())]);
    }
}
