//! What is known of one job: what never changes, how far it is, and the ways to reach its task.
//!
//! Only the job's task changes anything here; everybody else reads, or sends it a command.

use super::state::State;
use crate::logs::Written;
use bytes::Bytes;
use runtime_plan::link::{JobId, Refusal};
use runtime_plan::outcome::ExitReport;
use runtime_plan::spec::Spec;
use runtime_plan::wall::Enforcement;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{mpsc, watch};

/// Bytes of argv, and as many of the names of variables, that a record keeps: records are many, argv can be large.
pub const SHOWN_BYTES_MAX: usize = 4_096;

/// One job.
#[derive(Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The command and its arguments, cut after [`SHOWN_BYTES_MAX`].
    pub argv: Vec<Bytes>,
    /// Names of the caller's variables, cut after [`SHOWN_BYTES_MAX`].
    pub env_names: Vec<Bytes>,
    /// The profile's name.
    pub profile: String,
    /// When it was asked for.
    pub created: SystemTime,
    /// Where its log is, once it is accepted.
    pub log: PathBuf,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) written: watch::Receiver<Written>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) stdin: Option<mpsc::Sender<StdinPiece>>,
    pub(super) attached: watch::Sender<usize>,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Its state.
    pub state: State,
    /// Since when the command runs, and behind which walls.
    pub started: Option<Arc<Started>>,
    /// How it ended. Set exactly when the state is over.
    pub end: Option<End>,
}

/// The command runs.
#[derive(Debug)]
pub struct Started {
    /// Since when.
    pub time: SystemTime,
    /// Which walls stand.
    pub enforcement: Arc<Enforcement>,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub enum End {
    /// With an outcome.
    Finished(Arc<Finished>),
    /// It was never taken: the launcher refused.
    Refused(Refusal),
    /// It was never taken: its log could not be made.
    NoLog(String),
    /// Nobody knows: the launcher is gone.
    LauncherGone,
}

/// The end of a job that was accepted.
#[derive(Debug)]
pub struct Finished {
    /// When.
    pub time: SystemTime,
    /// Why, and what it used.
    pub report: ExitReport,
    /// Which walls stood; `None` when it never got so far.
    pub enforcement: Option<Arc<Enforcement>>,
    /// Bytes of stdout that were stored.
    pub stdout_bytes: u64,
    /// Bytes of stderr that were stored.
    pub stderr_bytes: u64,
}

/// What others ask of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send this signal to the first process.
    Signal(i32),
    /// End it.
    Cancel {
        /// Who asks.
        by: String,
        /// Their words.
        reason: String,
        /// At once.
        kill: bool,
    },
}

/// Something for stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StdinPiece {
    /// Bytes.
    Bytes(Bytes),
    /// No more will come.
    Close,
}

/// A client that follows a job; while there is one, the job is not cancelled for want of a client.
#[derive(Debug)]
pub struct Presence {
    attached: watch::Sender<usize>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.attached.send_modify(|clients| *clients = clients.saturating_sub(1));
    }
}

/// The job takes no stdin: its spec did not ask for it.
#[derive(Debug, PartialEq, Eq)]
pub struct NoStdin;

impl Job {
    /// How far it is, now and later.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Where it is now.
    pub fn state(&self) -> State {
        self.progress.borrow().state
    }

    /// How far its log is, now and later.
    pub fn written(&self) -> watch::Receiver<Written> {
        self.written.clone()
    }

    /// Counts one more client until the answer is dropped.
    pub fn attend(&self) -> Presence {
        self.attached.send_modify(|clients| *clients += 1);
        Presence { attached: self.attached.clone() }
    }

    /// Asks something; a job that is over is no error. Waits while many ask.
    pub async fn command(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::debug!(job = %self.id, "the job is over");
        }
    }

    /// Gives it stdin; waits while the job does not read. What comes after the end is dropped.
    ///
    /// # Errors
    /// When the job takes no stdin.
    pub async fn feed(&self, piece: StdinPiece) -> Result<(), NoStdin> {
        match (&self.stdin, &piece) {
            (Some(stdin), _) => {
                if stdin.send(piece).await.is_err() {
                    tracing::debug!(job = %self.id, "stdin is closed");
                }
                Ok(())
            }
            (None, StdinPiece::Close) => Ok(()),
            (None, StdinPiece::Bytes(_)) => Err(NoStdin),
        }
    }
}

/// The start of argv and of the variables' names, as records keep them.
pub(super) fn shown(spec: &Spec) -> (Vec<Bytes>, Vec<Bytes>) {
    let names = spec.env.iter().map(|(name, _)| name.as_slice());
    (cut(spec.argv.iter().map(Vec::as_slice)), cut(names))
}

fn cut<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let mut room = SHOWN_BYTES_MAX;
    let mut kept = Vec::new();
    for string in strings {
        // An empty string costs something too.
        let bytes = string.len().min(room);
        kept.push(Bytes::copy_from_slice(string.get(..bytes).unwrap_or_default()));
        room = room.saturating_sub(string.len() + 1);
        if room == 0 {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_the_start_of_a_long_command() {
        let long = vec![b'x'; 10_000];
        let kept = cut([b"echo".as_slice(), &long, b"tail"].into_iter());
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[1].len(), SHOWN_BYTES_MAX - 5);
        let empty = vec![b"".as_slice(); 100_000];
        assert_eq!(cut(empty.into_iter()).len(), SHOWN_BYTES_MAX);
    }
}
