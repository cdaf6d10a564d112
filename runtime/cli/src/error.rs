//! What can go wrong in the command itself: one sentence, the next step, a stable code, an exit status.

use crate::{endpoint::EndpointError, text::escape};
use serde_json::{Value, json};
use std::path::PathBuf;

/// An act of ours that failed, or a request that cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line does not parse; the text is the parser's.
    #[error("{text}")]
    CommandLine {
        /// What is wrong, and the usage.
        text: String,
    },
    /// The command line parses, and still asks for what cannot be.
    #[error("{message}")]
    Usage {
        /// One sentence and the next step.
        message: String,
    },
    /// The endpoint is not one.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no daemon to ask.
    #[error("there is no daemon at {path}: start one with `runtime serve`, or name one with --endpoint or RUNTIME_ENDPOINT", path = .path.display())]
    NoDaemon {
        /// The default socket.
        path: PathBuf,
    },
    /// The default socket is a stranger's.
    #[error("the socket {path} belongs to uid {owner}, neither to root nor to you: start your own daemon with `runtime serve`, or name this one with --endpoint unix:{path} if you trust its owner", path = .path.display())]
    ForeignSocket {
        /// The default socket.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Nobody answers at the endpoint.
    #[error("failed to connect to {endpoint}: {why}; {next}")]
    Connect {
        /// Where.
        endpoint: String,
        /// What the kernel or the transport said.
        why: String,
        /// The next step.
        next: &'static str,
    },
    /// The daemon refused the call.
    #[error("{message}")]
    Call {
        /// The reason of its ErrorInfo, or the name of the gRPC code.
        reason: String,
        /// Its words, safe to print.
        message: String,
    },
    /// The connection broke while a job ran.
    #[error(
        "lost the connection while {job} ran ({why}): how it ended is unknown; `runtime inspect {job}` or the daemon's log may tell"
    )]
    ConnectionLost {
        /// The job.
        job: String,
        /// What the transport said.
        why: String,
    },
    /// Nobody answered before the job was taken.
    #[error(
        "no answer came ({why}): is it a `runtime` daemon that listens there? if it is, the job may have been taken: the same command with --idempotency-key {key} joins it, or starts it if it was not"
    )]
    Unanswered {
        /// What the transport said.
        why: String,
        /// The key that the request had.
        key: String,
    },
    /// A broken connection swallowed some of stdin.
    #[error(
        "stdin was cut by a lost connection, so {job} was cancelled: part of its input never came; run it again, or let it read a file with --stdin-file"
    )]
    StdinCut {
        /// The job.
        job: String,
    },
    /// The job was still not over.
    #[error("{job} was not over in time; it goes on")]
    WaitTimeout {
        /// The job.
        job: String,
    },
    /// The daemon did not keep to the protocol.
    #[error(
        "the daemon broke the protocol: {what}; its version and ours may differ too much (`runtime --version`)"
    )]
    Protocol {
        /// How.
        what: String,
    },
    /// The private launcher could not start.
    #[error("{text}")]
    Launcher {
        /// Its words: one sentence and the next step.
        text: String,
    },
    /// An act on a file or a descriptor.
    #[error("failed to {act} {object}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        object: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// An act of the kernel's that has no file.
    #[error("failed to {act}: {source}")]
    Kernel {
        /// What was tried.
        act: &'static str,
        /// What the kernel said.
        source: runtime_sys::Error,
    },
    /// A signal came before the job was taken.
    #[error("stopped by signal {signal} before the job was taken")]
    Stopped {
        /// Which.
        signal: i32,
    },
    /// A profile that nobody knows, or that cannot be read.
    #[error("{message}")]
    Profile {
        /// One sentence and the next step.
        message: String,
    },
    /// The daemon's file of settings cannot be used.
    #[error("{message}")]
    Config {
        /// Each error on a line, with file, line and column.
        message: String,
    },
}

/// Exit status of `run`, `attach` and `wait` for failures of ours.
pub const STATUS_OURS: u8 = 125;
/// Exit status of other verbs for failures.
pub const STATUS_FAILED: u8 = 1;
/// Exit status of other verbs for usage.
pub const STATUS_USAGE: u8 = 2;

impl Error {
    /// An act on a file that failed.
    pub fn io(act: &'static str, object: impl Into<String>, source: std::io::Error) -> Error {
        Error::Io { act, object: object.into(), source }
    }

    /// The stable code: in upper case, as the reasons of the API are.
    pub fn code(&self) -> &str {
        match self {
            Error::CommandLine { .. } | Error::Usage { .. } => "USAGE",
            Error::Endpoint(_) => "BAD_ENDPOINT",
            Error::NoDaemon { .. } => "NO_DAEMON",
            Error::ForeignSocket { .. } => "FOREIGN_SOCKET",
            Error::Connect { .. } => "CONNECT_FAILED",
            Error::Call { reason, .. } => reason,
            Error::ConnectionLost { .. } => "CONNECTION_LOST",
            Error::Unanswered { .. } => "UNANSWERED",
            Error::StdinCut { .. } => "STDIN_CUT",
            Error::WaitTimeout { .. } => "WAIT_TIMEOUT",
            Error::Protocol { .. } => "PROTOCOL",
            Error::Launcher { .. } => "LAUNCHER_FAILED",
            Error::Io { .. } => "IO_FAILED",
            Error::Kernel { .. } => "KERNEL_REFUSED",
            Error::Stopped { .. } => "STOPPED",
            Error::Profile { .. } => "BAD_PROFILE",
            Error::Config { .. } => "BAD_CONFIG",
        }
    }

    /// The exit status. `like_run` is for verbs whose status is a job's.
    pub fn exit_status(&self, like_run: bool) -> u8 {
        let usage = matches!(self, Error::CommandLine { .. } | Error::Usage { .. } | Error::Endpoint(_));
        match self {
            Error::Stopped { signal } => status_of_signal(*signal),
            _ if like_run => STATUS_OURS,
            _ if usage => STATUS_USAGE,
            _ => STATUS_FAILED,
        }
    }

    /// What stderr shows: one line, or one JSON object.
    pub fn show(&self, json: bool) -> String {
        if json {
            let message = self.to_string();
            return error_json(self.code(), &message).to_string();
        }
        match self {
            Error::CommandLine { text } => format!("runtime: {text}"),
            // Several errors of a file, one line each.
            Error::Launcher { text: lines }
            | Error::Profile { message: lines }
            | Error::Config { message: lines } => {
                let shown = lines.lines().map(|line| format!("runtime: {}", escape::line(line)));
                shown.collect::<Vec<_>>().join("\n")
            }
            _ => format!("runtime: {}", escape::line(&self.to_string())),
        }
    }
}

/// The form of an error in JSON.
pub fn error_json(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

/// 128+N, as a shell says it (signals are 1 to 64).
pub fn status_of_signal(signal: i32) -> u8 {
    u8::try_from(signal).ok().and_then(|signal| signal.checked_add(128)).unwrap_or(STATUS_OURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_125_for_run_and_2_elsewhere() {
        let error = Error::Usage { message: "no".into() };
        assert_eq!((error.exit_status(true), error.exit_status(false)), (125, 2));
        let error = Error::NoDaemon { path: "/run/x".into() };
        assert_eq!((error.exit_status(true), error.exit_status(false)), (125, 1));
    }

    #[test]
    fn a_signal_before_the_job_shows_as_a_shell_would_show_it() {
        assert_eq!(Error::Stopped { signal: 2 }.exit_status(true), 130);
        assert_eq!(status_of_signal(64), 192);
        assert_eq!(status_of_signal(-1), 125);
    }

    #[test]
    fn json_has_the_code_and_the_sentence() {
        let error = Error::Call { reason: "UNKNOWN_PROFILE".into(), message: "no profile \"x\"".into() };
        let value: Value = serde_json::from_str(&error.show(true)).unwrap();
        assert_eq!(value["error"]["code"], "UNKNOWN_PROFILE");
        assert_eq!(value["error"]["message"], "no profile \"x\"");
    }

    #[test]
    fn several_errors_of_a_file_are_several_lines() {
        let error = Error::Launcher { text: "a.toml:1:1: x\na.toml:2:1: \u{1b}y".into() };
        assert_eq!(error.show(false), "runtime: a.toml:1:1: x\nruntime: a.toml:2:1: \\x1by");
    }

    #[test]
    fn a_daemons_words_cannot_drive_the_terminal() {
        let error = Error::Call { reason: "X".into(), message: "a\u{1b}[2Jb\nc".into() };
        assert_eq!(error.show(false), "runtime: a\\x1b[2Jb\\nc");
    }
}
