//! One job as everybody sees it: what never changes, how far it is, and the ways to reach its task.
//!
//! Only the job's task changes anything here; everybody else reads, or sends it a command. A job that ended long ago looks the
//! same: it is made from its row, and its channels are closed.

use super::record::{Finished, JobRecord, Started, Stored};
use super::state::State;
use crate::logs::Written;
use bytes::Bytes;
use runtime_plan::link::{JobId, Refusal};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// One job.
#[derive(Debug)]
pub struct Job {
    /// What never changes, its id among it.
    pub record: Arc<JobRecord>,
    /// Where its log is, or will be once it starts.
    pub log: PathBuf,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) written: watch::Receiver<Written>,
    /// `None` for a job without a task.
    pub(super) commands: Option<mpsc::Sender<Asked>>,
    pub(super) stdin: Option<mpsc::Sender<StdinPiece>>,
    pub(super) attached: watch::Sender<usize>,
}

/// The task's ends of the channels that a [`Job`] has the other ends of.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) progress: watch::Sender<Progress>,
    pub(super) written: watch::Sender<Written>,
    pub(super) commands: mpsc::Receiver<Asked>,
    pub(super) stdin: Option<mpsc::Receiver<StdinPiece>>,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Its state.
    pub state: State,
    /// How often a new server took it over.
    pub adoptions: u32,
    /// Since when the command runs, and behind which walls.
    pub started: Option<Arc<Started>>,
    /// How it ended. Set exactly when the state is over.
    pub end: Option<End>,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub enum End {
    /// With an outcome, which is on disk.
    Finished(Arc<Finished>),
    /// It was never taken: the launcher refused.
    Refused(Refusal),
    /// It was never taken: its log could not be made.
    NoLog(String),
    /// It waits on disk: this server leaves, another one will start it.
    Postponed,
    /// Nobody knows here: the launcher is gone.
    LauncherGone,
}

/// What others ask of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send this signal.
    Signal {
        /// Its number, 1 to 64.
        signal: i32,
        /// To every process, else to the first.
        all: bool,
    },
    /// End it.
    Cancel {
        /// Who asks.
        by: String,
        /// Their words.
        reason: String,
        /// At once.
        kill: bool,
    },
    /// The terminal has another size.
    Resize {
        /// Lines.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

/// Why a command was not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDone {
    /// A signal for a command that does not run, yet or any more.
    NotRunning,
    /// A size for a job without a terminal.
    NoTerminal,
}

/// A command, and where the answer goes.
pub(super) type Asked = (Command, oneshot::Sender<Result<(), NotDone>>);

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

/// Commands that wait for a job's task; the next one waits itself.
const COMMANDS_MAX: usize = 16;
/// Pieces of stdin that wait for the job to read, at most 1 MiB each.
const STDIN_PIECES_MAX: usize = 4;

impl Job {
    /// A job of this server, and what its task needs of it.
    pub(super) fn live(stored: &Stored, state: State, log: PathBuf) -> (Job, Ends) {
        let started = stored.started.clone().map(Arc::new);
        let (progress, progress_of) =
            watch::channel(Progress { state, adoptions: stored.adoptions, started, end: None });
        let (written, written_of) = watch::channel(Written::default());
        let (commands, commands_of) = mpsc::channel(COMMANDS_MAX);
        let (stdin, stdin_of) = stored.record.stdin.then(|| mpsc::channel(STDIN_PIECES_MAX)).unzip();
        let job = Job {
            record: Arc::clone(&stored.record),
            log,
            progress: progress_of,
            written: written_of,
            commands: Some(commands),
            stdin,
            attached: watch::Sender::new(0),
        };
        (job, Ends { progress, written, commands: commands_of, stdin: stdin_of })
    }

    /// A job that no task has: it is over, or waits on disk for another server.
    pub(super) fn past(stored: &Stored, log: PathBuf) -> Job {
        let (state, end) = match &stored.finished {
            Some(finished) => (State::Finished, End::Finished(Arc::new(finished.clone()))),
            None => (State::Postponed, End::Postponed),
        };
        let (stdout_bytes, stderr_bytes) = stored
            .finished
            .as_ref()
            .map_or((0, 0), |finished| (finished.stdout_bytes, finished.stderr_bytes));
        let started = stored.started.clone().map(Arc::new);
        let progress = Progress { state, adoptions: stored.adoptions, started, end: Some(end) };
        let written =
            Written { stdout_bytes, stderr_bytes, drained: true, ended: true, ..Written::default() };
        Job {
            record: Arc::clone(&stored.record),
            log,
            progress: watch::channel(progress).1,
            written: watch::channel(written).1,
            commands: None,
            stdin: None,
            attached: watch::Sender::new(0),
        }
    }

    /// Its id.
    pub fn id(&self) -> &JobId {
        &self.record.id
    }

    /// How far it is, now and later.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Where it is now.
    pub fn state(&self) -> State {
        self.progress.borrow().state
    }

    /// How often a new server took it over while it ran.
    pub fn adoptions(&self) -> u32 {
        self.progress.borrow().adoptions
    }

    /// How far its log is, now and later.
    pub fn written(&self) -> watch::Receiver<Written> {
        self.written.clone()
    }

    /// Whether stdin still takes bytes.
    pub fn stdin_open(&self) -> bool {
        self.stdin.as_ref().is_some_and(|stdin| !stdin.is_closed())
    }

    /// Counts one more client until the answer is dropped.
    pub fn attend(&self) -> Presence {
        self.attached.send_modify(|clients| *clients += 1);
        Presence { attached: self.attached.clone() }
    }

    /// Asks something, and waits until the job's task has heard it. A cancel of a job that is over is no error.
    ///
    /// # Errors
    /// [`NotDone`].
    pub async fn command(&self, command: Command) -> Result<(), NotDone> {
        let gone = match &command {
            Command::Signal { .. } => Err(NotDone::NotRunning),
            Command::Resize { .. } if !self.record.terminal => Err(NotDone::NoTerminal),
            Command::Resize { .. } | Command::Cancel { .. } => Ok(()),
        };
        let Some(commands) = &self.commands else { return gone };
        let (answer, answered) = oneshot::channel();
        if commands.send((command, answer)).await.is_err() {
            return gone;
        }
        // A task that ends meanwhile drops the question.
        answered.await.unwrap_or(gone)
    }

    /// Gives it stdin; waits while the job does not read. What comes after the end is dropped.
    ///
    /// # Errors
    /// When the job takes no stdin.
    pub async fn feed(&self, piece: StdinPiece) -> Result<(), NoStdin> {
        match (&self.stdin, &piece) {
            (Some(stdin), _) => {
                if stdin.send(piece).await.is_err() {
                    tracing::debug!(job = %self.id(), "stdin is closed");
                }
                Ok(())
            }
            (None, StdinPiece::Bytes(_)) if !self.record.stdin => Err(NoStdin),
            (None, _) => Ok(()),
        }
    }
}
