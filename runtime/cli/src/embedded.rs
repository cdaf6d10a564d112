//! The private launcher of `run` without a daemon: a fork of this process, tied to it by a pipe, with a socket that has no
//! path. When we end, however that happens, the pipe closes and the launcher ends its jobs and itself.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use runtime_sandbox::launcher::{self, Directory, Mode, Options};
use runtime_sys::clone::{Cloned, SingleThreaded, fork};
use runtime_sys::{file, pidfd, poll};

use crate::{directory, error::Error, places::Surroundings, request::DirectoryWish};

/// Longest text of a failed start that is read, in bytes.
const FATAL_BYTES_MAX: usize = 8 * 1024;

/// A private launcher, from this side.
#[derive(Debug)]
pub struct Embedded {
    connection: Option<UnixStream>,
    tie: Tie,
}

/// What is left once the connection is in use: the launcher lives as long as this.
#[derive(Debug)]
pub struct Tie {
    lifeline: PipeWriter,
    fatal: PipeReader,
    launcher: OwnedFd,
}

impl Embedded {
    /// Forks the launcher. To be called before any thread exists; the directory is opened here, with our caller's rights.
    pub fn start(places: &Surroundings, directory: Option<&DirectoryWish>) -> Result<Embedded, Error> {
        let proof =
            SingleThreaded::prove().map_err(|source| Error::Kernel { act: "check for threads", source })?;
        let directory = directory.map(open_directory).transpose()?;
        let pipe = |name| std::io::pipe().map_err(|error| Error::io("make the pipe of", name, error));
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| Error::io("make the socket of", "the launcher", error))?;
        let (lifeline_end, lifeline) = pipe("the lifeline")?;
        let (fatal, fatal_end) = pipe("the launcher's last words")?;
        let cloned = fork(&proof).map_err(|source| Error::Kernel { act: "fork the launcher", source })?;
        match cloned {
            Cloned::Parent { pidfd, .. } => {
                Ok(Embedded { connection: Some(ours), tie: Tie { lifeline, fatal, launcher: pidfd } })
            }
            Cloned::Child => {
                drop((ours, lifeline, fatal));
                let mode = Mode::Embedded {
                    connection: theirs.into(),
                    lifeline: lifeline_end.into(),
                    fatal: fatal_end.into(),
                    directory,
                };
                std::process::exit(launcher::run(Options {
                    mode,
                    profiles_dir: places.profiles_dir(),
                    policies_dir: places.policies_dir(),
                    server_args: Vec::new(),
                    drain_timeout: std::time::Duration::ZERO,
                    store_version: runtime_server::store::VERSION,
                    faults: Vec::new(),
                }))
            }
        }
    }

    /// Our end of the connection, and what ties the launcher to us.
    pub fn split(mut self) -> (Option<UnixStream>, Tie) {
        (self.connection.take(), self.tie)
    }
}

impl Tie {
    /// Lets the launcher go and waits until nothing of it is left. What it said when it could not start, if it did.
    pub fn finish(self) -> Result<Option<String>, Error> {
        drop(self.lifeline);
        pidfd::reap_blocking(self.launcher.as_fd())
            .map_err(|source| Error::Kernel { act: "wait for the launcher", source })?;
        let mut buffer = vec![0; FATAL_BYTES_MAX];
        let unread = |source| Error::Kernel { act: "read the launcher's last words", source };
        // A pipe gives all that waits in one read.
        let count = match poll::wait_readable(self.fatal.as_fd(), Duration::ZERO).map_err(unread)? {
            true => file::read_fd(self.fatal.as_fd(), &mut buffer).map_err(unread)?,
            false => 0,
        };
        let text = String::from_utf8_lossy(&buffer[..count]).trim().to_owned();
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

fn open_directory(wish: &DirectoryWish) -> Result<Directory, Error> {
    let shown = wish.path.display();
    let absolute = std::path::absolute(&wish.path)
        .map_err(|error| Error::io("find the directory", shown.to_string(), error))?;
    let fd = file::open_dir_path(&wish.path).map_err(|error| Error::Usage {
        message: format!("failed to open the directory {shown} for --dir: {}; check that it exists and that you may enter it", error.errno),
    })?;
    // What was opened, whatever the links on the way said.
    let opened = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let opened = std::fs::read_link(&opened)
        .map_err(|error| Error::io("find the directory", shown.to_string(), error))?;
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
    let session = session.filter(|directory| directory.is_absolute());
    let sockets: Vec<_> = session.into_iter().chain([runtime_sandbox::launcher::places::run_dir()]).collect();
    match directory::unfit(&opened, &sockets) {
        Some(message) => Err(Error::Usage { message }),
        None => Ok(Directory { fd, path: absolute, read_only: wish.read_only }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_or_is_a_file_says_so() {
        for path in ["/no/such/directory", "/etc/passwd"] {
            let error = open_directory(&DirectoryWish { path: path.into(), read_only: false }).unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
            assert_eq!(error.code(), "USAGE");
        }
    }

    #[test]
    fn a_relative_directory_becomes_absolute_for_people() {
        let directory = open_directory(&DirectoryWish { path: ".".into(), read_only: true }).unwrap();
        assert!(directory.path.is_absolute() && directory.read_only);
    }
}
