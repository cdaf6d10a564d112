//! The sockets of a daemon, bound with the caller's rights, and the room that they need.
//!
//! A daemon that was killed a moment ago still answers until its server is gone: it is waited for. One that lives is left alone.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use runtime_sandbox::launcher::{UnixListener, places};
use runtime_sys::clone::Pid;
use runtime_sys::{pidfd, poll, socket};

use crate::error::Error;
use crate::places::Surroundings;

/// How long a daemon that is dead already may take to be gone.
const DYING_MAX: Duration = Duration::from_secs(2);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A socket of ours on disk, known by its inode: another daemon may have taken the path meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub struct Socket {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Socket {
    /// What is there now.
    pub fn at(path: &Path) -> Option<Socket> {
        let found = std::fs::symlink_metadata(path).ok()?;
        Some(Socket { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    /// Removes it, when it is still there.
    pub fn remove(&self) -> Result<(), Error> {
        if Socket::at(&self.path).as_ref() != Some(self) {
            return Ok(());
        }
        std::fs::remove_file(&self.path)
            .map_err(|error| Error::io("remove the socket", self.path.display().to_string(), error))
    }
}

/// Sockets that are bound and not yet the launcher's: when we stop before, their files go.
#[derive(Default)]
pub struct Bound {
    /// Unix sockets.
    pub unix: Vec<UnixListener>,
    /// TCP sockets.
    pub tcp: Vec<TcpListener>,
}

impl Bound {
    /// They are the launcher's from now on.
    pub fn release(mut self) -> (Vec<UnixListener>, Vec<TcpListener>) {
        (std::mem::take(&mut self.unix), std::mem::take(&mut self.tcp))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        for listener in &self.unix {
            if let Err(error) = std::fs::remove_file(&listener.path) {
                crate::output::complain(&format!(
                    "runtime: failed to remove {}: {error}",
                    listener.path.display()
                ));
            }
        }
    }
}

/// Binds a unix socket with the rights that it is to have.
pub fn listen_unix(
    path: PathBuf,
    group: Option<u32>,
    surroundings: &Surroundings,
) -> Result<UnixListener, Error> {
    if path.parent() == Some(surroundings.run_dir.as_path()) {
        places::make_run_dir(&surroundings.run_dir)
            .map_err(|error| Error::Usage { message: error.to_string() })?;
    }
    make_room(&path, surroundings.uid)?;
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    let fd = runtime_sys::socket::listen_unix(&path, mode, group).map_err(|error| Error::Usage {
        message: format!(
            "failed to listen at unix:{}: {}; check that the directory exists and that you may write there",
            path.display(),
            error.errno
        ),
    })?;
    Ok(UnixListener { path, fd })
}

/// What stands in the way of a socket.
enum Obstacle {
    /// A daemon whose process is gone and whose server is going.
    Dying,
    /// Anything that stays.
    Stays(String),
}

/// Takes away a socket that nobody listens at. Anything else at the path stays, and is an error.
pub fn make_room(path: &Path, uid: u32) -> Result<(), Error> {
    let deadline = Instant::now() + DYING_MAX;
    loop {
        let message = match look(path, uid)? {
            None => return Ok(()),
            Some(Obstacle::Dying) if Instant::now() < deadline => {
                std::thread::sleep(LOOK);
                continue;
            }
            Some(Obstacle::Dying) => format!(
                "a daemon that was killed is still ending at {}: wait for it, or listen elsewhere with --listen unix:PATH",
                path.display()
            ),
            Some(Obstacle::Stays(message)) => message,
        };
        return Err(Error::Usage { message });
    }
}

/// What stands in the way; a stale socket does not, it is removed.
fn look(path: &Path, uid: u32) -> Result<Option<Obstacle>, Error> {
    let shown = path.display();
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|error| Error::io("look at", shown.to_string(), error))?,
    };
    if !found.file_type().is_socket() {
        let message = format!(
            "{shown} is there and is no socket: remove it, or listen elsewhere with --listen unix:PATH"
        );
        return Ok(Some(Obstacle::Stays(message)));
    }
    if found.uid() != uid {
        let message = format!(
            "the socket {shown} belongs to uid {}: remove it, or listen elsewhere with --listen unix:PATH",
            found.uid()
        );
        return Ok(Some(Obstacle::Stays(message)));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map(|()| None)
            .map_err(|error| Error::io("remove the stale socket", shown.to_string(), error)),
        Ok(stream) if is_dying(&stream) => Ok(Some(Obstacle::Dying)),
        Ok(_) => Ok(Some(Obstacle::Stays(format!(
            "another daemon listens at {shown}: stop it, or listen elsewhere with --listen unix:PATH"
        )))),
        Err(error) => Ok(Some(Obstacle::Stays(format!(
            "the socket {shown} is in use ({error}): remove it, or listen elsewhere with --listen unix:PATH"
        )))),
    }
}

/// Whether the process that made the socket has ended, though others still hold it. What cannot be known counts as alive.
fn is_dying(stream: &UnixStream) -> bool {
    let Ok(maker) = socket::peer_cred(stream.as_fd()) else { return false };
    match pidfd::open(Pid(maker.pid)) {
        // Readable once it has ended, also while nobody has waited for it (pidfd_open(2)).
        Ok(maker) => poll::wait_readable(maker.as_fd(), Duration::ZERO).unwrap_or(false),
        Err(error) => error.errno == runtime_sys::Errno::ESRCH,
    }
}

/// Binds a TCP socket.
pub fn listen_tcp(address: SocketAddr) -> Result<TcpListener, Error> {
    let failed = |error| Error::io("listen at", format!("http://{address}"), error);
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
