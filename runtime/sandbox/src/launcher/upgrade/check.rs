//! The question to the program on disk: can you read this state and the operator's files? It is put by starting it as a
//! child, which reads a copy of the state, takes nothing of it over, and answers by its exit status.

use super::{CHECK_VERB, Origin, STATE_FD_FLAG, STORE_VERSION_FLAG, codec, exec, state};
use crate::launcher::{reload::Sources, settings};
use runtime_sys::{
    Error,
    clone::{self, Cloned, SingleThreaded},
    error::Errno,
    file, inherit, memfd, pidfd, pipe, poll, process, time,
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

/// It reads some files: a program that takes longer hangs, or is something else.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of its words that are kept.
const WORDS_BYTES_MAX: usize = 2_048;
/// signal(7).
const SIGKILL: i32 = 9;
/// Exit status of a child that could not even become that program.
const STATUS_NO_PROGRAM: i32 = 126;

/// A child that is asked.
#[derive(Debug)]
pub struct Check {
    /// Readable when it has answered.
    pub pidfd: OwnedFd,
    /// When it is given up.
    pub deadline: Option<Duration>,
    /// What it writes.
    words: OwnedFd,
}

impl Check {
    /// Starts it. It holds the copy of the state and nothing else of ours.
    pub fn start(proof: &SingleThreaded, origin: &Origin, state: BorrowedFd<'_>) -> Result<Check, Error> {
        let (words, theirs) = pipe::pipe()?;
        pipe::set_nonblocking(words.as_fd())?;
        match clone::fork(proof)? {
            Cloned::Parent { pidfd, .. } => {
                let deadline = time::monotonic_now() + ANSWER_TIMEOUT;
                Ok(Check { pidfd, deadline: Some(deadline), words })
            }
            Cloned::Child => {
                let error = ask(origin, state, theirs.as_fd());
                let text = format!("failed to execute {}: {error}", origin.program.display());
                // It is the answer; without a reader there is nobody to tell.
                let told = file::write_fd(theirs.as_fd(), text.as_bytes());
                process::exit_now(if told.is_ok() { STATUS_NO_PROGRAM } else { STATUS_NO_PROGRAM + 1 })
            }
        }
    }

    /// Its answer, once it is there: nothing, or its words.
    pub fn answer(&self) -> Result<Option<Result<(), String>>, Error> {
        let Some(reaped) = pidfd::reap(self.pidfd.as_fd())? else { return Ok(None) };
        if reaped.status == (pidfd::WaitStatus::Exited { code: 0 }) {
            return Ok(Some(Ok(())));
        }
        let mut words = vec![0; WORDS_BYTES_MAX];
        let length = match file::read_fd(self.words.as_fd(), &mut words) {
            Err(error) if error.errno == Errno::EAGAIN => 0,
            other => other?,
        };
        words.truncate(length);
        let words = String::from_utf8_lossy(&words);
        let words = words.trim().trim_start_matches("runtime: ");
        Ok(Some(Err(match words {
            "" => format!("the program on disk refuses ({:?}) and says nothing", reaped.status),
            words => words.to_owned(),
        })))
    }

    /// Ends it: it took too long. Its pidfd tells the rest.
    pub fn give_up(&mut self) -> Result<(), Error> {
        self.deadline = None;
        pidfd::send_signal(self.pidfd.as_fd(), SIGKILL)
    }
}

/// Becomes that program. Comes back only with an error.
fn ask(origin: &Origin, state: BorrowedFd<'_>, words: BorrowedFd<'_>) -> Error {
    let prepared = || -> Result<(), Error> {
        process::close_all_except(&[0, 1, 2, state.as_raw_fd(), words.as_raw_fd()])?;
        process::dup_onto(words, 1)?;
        process::dup_onto(words, 2)?;
        process::dup_onto(state, state.as_raw_fd())?;
        poll::unblock_all()?;
        process::set_parent_death_signal_kill()
    };
    if let Err(error) = prepared() {
        return error;
    }
    let arguments = ["runtime", CHECK_VERB, STATE_FD_FLAG].map(str::to_owned).into_iter();
    let state = state.as_raw_fd().to_string();
    let store = [STORE_VERSION_FLAG.to_owned(), origin.store_version.to_string()];
    exec(origin, arguments.chain([state]).chain(store))
}

/// The answer of this program to a launcher of another version: whether it could take its place.
///
/// # Errors
/// Why not, for people.
pub fn check(state_fd: i32) -> Result<(), String> {
    let state = inherit::adopt_fd(state_fd).map_err(|error| error.to_string())?;
    let bytes =
        memfd::read_sealed(state.as_fd(), codec::STATE_BYTES_MAX).map_err(|error| error.to_string())?;
    let state = codec::decode(&bytes).map_err(|error| error.to_string())?;
    let state::Origin { profiles, policies, .. } = state.origin;
    let sources = Sources { profiles: profiles.map(PathBuf::from), policies: policies.map(PathBuf::from) };
    settings::read_again(&sources).map(drop).map_err(|error| error.to_string())
}
