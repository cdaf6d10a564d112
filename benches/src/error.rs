//! Why a measurement stops. A failed sample is never left out: the whole run ends with it.

use std::process::ExitStatus;

/// Why the benchmarks stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a directory or a process.
    #[error("failed to {act}: {source}")]
    Io {
        /// What was tried.
        act: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The kernel, through our own wrapper.
    #[error("failed to {act}: {source}")]
    Kernel {
        /// What was tried.
        act: &'static str,
        /// The kernel's answer.
        source: runtime_sys::Error,
    },
    /// A program that is needed is missing.
    #[error("{what} is not there: {next}")]
    Missing {
        /// Which.
        what: String,
        /// How to get it.
        next: &'static str,
    },
    /// A measured program did not end well.
    #[error("{mode}: the program ended with {status}; it said: {words}")]
    Ended {
        /// How it was started.
        mode: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its stderr.
        words: String,
    },
    /// The daemon does not come up, or does not end.
    #[error("the daemon {what}; it said: {words}")]
    Daemon {
        /// What went wrong.
        what: &'static str,
        /// Its stderr.
        words: String,
    },
    /// The connection to the daemon.
    #[error("failed to connect to the daemon: {0}")]
    Connect(#[from] tonic::transport::Error),
    /// A call to the daemon.
    #[error("the daemon refused: {0}")]
    Call(#[from] Box<tonic::Status>),
    /// A job that did not end as it should.
    #[error("a job of the Run call ended badly: {0}")]
    Job(String),
    /// A store that is filled beforehand.
    #[error(transparent)]
    Store(#[from] runtime_server::store::StoreError),
    /// The numbers cannot be written as JSON.
    #[error("failed to write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// For `map_err` on an act of std.
    pub fn io(act: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        |source| Error::Io { act: act.into(), source }
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Error {
        Error::Call(Box::new(status))
    }
}
