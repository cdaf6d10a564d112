//! How a launcher is to run, and why it could not.

use crate::{
    host,
    launcher::{places::PlaceError, settings, state_dir::StateDirError, upgrade},
};
use runtime_plan::{fault::Fault, link};
use runtime_sys::Error;
use std::{io, net::TcpListener, os::fd::OwnedFd, path::PathBuf, time::Duration};

/// How to run.
#[derive(Debug)]
pub struct Options {
    /// As a daemon, or for one command.
    pub mode: Mode,
    /// The operator's profiles, which override built-in ones by name.
    pub profiles_dir: Option<PathBuf>,
    /// The operator's policies.
    pub policies_dir: Option<PathBuf>,
    /// More arguments for each server.
    pub server_args: Vec<String>,
    /// How long jobs that run may go on after a TERM; zero cancels them at once.
    pub drain_timeout: Duration,
    /// Version of the store that the server of this program writes.
    pub store_version: u32,
    /// What goes wrong on purpose. Refused where strangers may connect.
    pub faults: Vec<FaultOption>,
}

/// Something that goes wrong on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultOption {
    /// As it was written.
    pub text: String,
    /// What that means.
    pub fault: Fault,
}

/// As a daemon, or for one command.
#[derive(Debug)]
pub enum Mode {
    /// `runtime serve`.
    Serve {
        /// Where records and output are kept.
        state_dir: PathBuf,
        /// Unix sockets to serve.
        unix: Vec<UnixListener>,
        /// TCP sockets to serve.
        tcp: Vec<TcpListener>,
        /// A TCP socket for metrics.
        metrics: Option<TcpListener>,
        /// Told when the first server accepts.
        ready_fd: Option<OwnedFd>,
        /// Members may connect.
        socket_group: Option<u32>,
        /// A pidfd: when that process ends, so do we.
        parent: Option<OwnedFd>,
    },
    /// `runtime run` without a daemon.
    Embedded {
        /// The server's end of the one connection.
        connection: OwnedFd,
        /// Closed by the caller when it is done or dead.
        lifeline: OwnedFd,
        /// Takes the text of what kept us from starting.
        fatal: OwnedFd,
        /// The caller's directory.
        directory: Option<Directory>,
    },
}

/// A socket that has been bound.
#[derive(Debug)]
pub struct UnixListener {
    /// Where; removed at the end.
    pub path: PathBuf,
    /// The socket.
    pub fd: OwnedFd,
}

/// A directory that the caller opened with its own rights.
#[derive(Debug)]
pub struct Directory {
    /// The directory, O_PATH.
    pub fd: OwnedFd,
    /// Its path.
    pub path: PathBuf,
    /// Mounted read-only.
    pub read_only: bool,
}

/// Why the launcher could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// The kernel refused something.
    #[error("failed to {act}: {source}")]
    Kernel {
        /// What was tried.
        act: &'static str,
        /// Its answer.
        source: Error,
    },
    /// A directory or a lease.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Profiles or policies.
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    /// The host cannot be looked at.
    #[error(transparent)]
    Host(#[from] host::HostError),
    /// The state directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A TCP socket that was handed to us.
    #[error("failed to ask a TCP socket for its address: {0}")]
    Tcp(io::Error),
    /// Faults where strangers may connect.
    #[error("faults are for tests on unix sockets: leave out --fault, or --listen http://…")]
    FaultsOverTcp,
    /// The server is gone and was not asked to go.
    #[error("the server ended by itself ({0}); all jobs were ended")]
    ServerDied(String),
    /// The zygote is gone.
    #[error("the zygote ended by itself; all jobs were ended")]
    ZygoteDied,
    /// Our own state, for another program of this process or from one.
    #[error("failed to hand our state on: {0}")]
    State(upgrade::StateError),
    /// The server does not speak our version.
    #[error("the server speaks version {0} of the link, the launcher {version}; start both from one binary", version = link::VERSION)]
    Version(u32),
}

/// Names what was tried.
pub(crate) fn kernel(act: &'static str) -> impl Fn(Error) -> LauncherError {
    move |source| LauncherError::Kernel { act, source }
}
