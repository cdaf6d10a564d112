//! What every server of this launcher is started with: its sockets, which the launcher keeps open for the next one, its state directory, its
//! arguments.

use crate::launcher::{
    options::{Directory, FaultOption, LauncherError, Mode},
    places::Instance,
    server::{self, Server},
    state_dir::{Owner, StateDir},
};
use runtime_plan::fault::Fault;
use runtime_sys::{Errno, Error, clone::SingleThreaded, process};
use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::DirBuilderExt},
    },
    path::Path,
};

/// How to start a server, any number of times.
#[derive(Debug)]
pub struct Recipe {
    arguments: Vec<String>,
    /// Listening sockets: clients that connect while there is no server wait for the next.
    fds: Vec<OwnedFd>,
    /// For the first server only: the one connection of an embedded run, and who waits for the first `Ready`.
    once: Vec<(&'static str, OwnedFd)>,
    faults: Vec<FaultOption>,
    uid: Option<u32>,
    state_dir: StateDir,
}

/// What of the mode the launcher keeps.
#[derive(Debug)]
pub struct Kept {
    /// The caller's life.
    pub lifeline: Option<OwnedFd>,
    /// The caller's directory.
    pub directory: Option<Directory>,
}

impl Recipe {
    /// Takes the state directory and everything that a mode gives its servers. `embedded_uid` is the server's uid of an embedded run of root's;
    /// a daemon's goes with its state directory, and is leased under `run_dir` then.
    pub fn new(
        instance: &Instance,
        run_dir: &Path,
        rootful_uid: Option<u32>,
        mode: Mode,
        mut arguments: Vec<String>,
        faults: Vec<FaultOption>,
    ) -> Result<(Recipe, Kept), LauncherError> {
        arguments.extend(["--owner-uid".to_owned(), process::effective_uid().to_string()]);
        let mut fds = Vec::new();
        let mut once = Vec::new();
        let (state_dir, kept) = match mode {
            Mode::Embedded { connection, lifeline, directory, .. } => {
                let owner = rootful_uid.map_or(Owner::Ours, Owner::Uid);
                once.push(("--connection-fd", connection));
                let state_dir = StateDir::take(&instance.path.join("state"), owner)?;
                (state_dir, Kept { lifeline: Some(lifeline), directory })
            }
            Mode::Serve { state_dir, unix, tcp, metrics, ready_fd, socket_group, parent } => {
                for listener in unix {
                    let fd = format!("{}={}", listener.fd.as_raw_fd(), listener.path.display());
                    arguments.extend(["--unix-listener-fd".to_owned(), fd]);
                    fds.push(listener.fd);
                }
                let tcp = tcp.into_iter().map(|listener| ("--tcp-listener-fd", listener));
                let metrics = metrics.into_iter().map(|listener| ("--metrics-listener-fd", listener));
                for (flag, listener) in tcp.chain(metrics) {
                    let address = listener.local_addr().map_err(LauncherError::Tcp)?;
                    arguments.extend([flag.to_owned(), format!("{}={address}", listener.as_raw_fd())]);
                    fds.push(OwnedFd::from(listener));
                }
                once.extend(ready_fd.map(|fd| ("--ready-fd", fd)));
                if let Some(gid) = socket_group {
                    arguments.extend(["--socket-gid".to_owned(), gid.to_string()]);
                }
                let owner = if rootful_uid.is_some() { Owner::Leased { run_dir } } else { Owner::Ours };
                (StateDir::take(&state_dir, owner)?, Kept { lifeline: parent, directory: None })
            }
        };
        let uid = state_dir.server_uid();
        Ok((Recipe { arguments, fds, once, faults, uid, state_dir }, kept))
    }

    /// Starts a server. `place` is where it may have its state directory mounted.
    ///
    /// # Errors
    /// What the kernel says: no more processes, no more fds.
    pub fn start(&mut self, proof: &SingleThreaded, first: bool, place: &Path) -> Result<Server, Error> {
        let state_place = self.state_dir.is_leased().then(|| make_place(place)).transpose()?;
        let once = std::mem::take(&mut self.once);
        let mut arguments = self.arguments.clone();
        for (flag, fd) in &once {
            arguments.extend([(*flag).to_owned(), fd.as_raw_fd().to_string()]);
        }
        for fault in self.faults.iter().filter(|fault| is_the_servers(&fault.fault, first)) {
            arguments.extend(["--fault".to_owned(), fault.text.clone()]);
        }
        let fds = self.fds.iter().chain(once.iter().map(|(_, fd)| fd)).map(AsFd::as_fd).collect();
        let state_dir = self.state_dir.fd();
        server::start(proof, &server::Start { arguments, fds, state_dir, state_place, uid: self.uid })
    }

    /// What the next program of this process needs to start servers likewise: arguments, listening sockets, faults, state directory. What
    /// goes to the first server only is gone by then.
    pub(super) fn parts(&self) -> (&[String], &[OwnedFd], &[FaultOption], &StateDir) {
        (&self.arguments, &self.fds, &self.faults, &self.state_dir)
    }

    /// A recipe from [`Recipe::parts`]. The sockets have the numbers that they had, for the arguments tell them.
    pub(super) fn restore(
        arguments: Vec<String>,
        fds: Vec<OwnedFd>,
        faults: Vec<FaultOption>,
        state_dir: StateDir,
    ) -> Recipe {
        let uid = state_dir.server_uid();
        Recipe { arguments, fds, once: Vec::new(), faults, uid, state_dir }
    }

    /// Gives the state directory back.
    pub fn release(&mut self) -> Result<(), LauncherError> {
        Ok(self.state_dir.release()?)
    }
}

/// A directory to mount something at.
fn make_place(path: &Path) -> Result<CString, Error> {
    let failed = |errno| Error { act: "make a place for the state directory", errno };
    match fs::DirBuilder::new().mode(0o711).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed(Errno(error.raw_os_error().unwrap_or(0))))
        }
        _ => CString::new(path.as_os_str().as_bytes()).map_err(|_nul| failed(Errno::EINVAL)),
    }
}

/// Whether a server plays that fault. The one that was to crash has crashed, and the next does not.
fn is_the_servers(fault: &Fault, first: bool) -> bool {
    match fault {
        Fault::CrashAt(_) => first,
        Fault::LaunchFailsAt(_) | Fault::Oom(_) => false,
        Fault::CrashEvery(_)
        | Fault::DiskFullAfter(_)
        | Fault::StoreFailsAt(_)
        | Fault::SlowReader(_)
        | Fault::DropConnectionAfter(_)
        | Fault::ClockJump(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_plan::fault;

    #[test]
    fn a_crash_happens_once_and_the_launchers_faults_are_its_own() {
        let is = |text: &str, first| is_the_servers(&fault::parse(text).unwrap(), first);
        assert!(is("crash-at=started", true) && !is("crash-at=started", false));
        assert!(is("crash-every=1s", false) && is("slow-reader=1s", true));
        assert!(!is("launch-fails-at=1", true) && !is("oom=1", true));
    }
}
