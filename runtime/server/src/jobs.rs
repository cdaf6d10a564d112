//! Jobs: who may start one more, which exist, and for each one task that owns its life.
//!
//! Records are in memory: they go with this process, and with them the logs. At most [`RECORDS_MAX`] jobs that have
//! ended are kept, and of their logs at most [`LOGS_BYTES_MAX`]; the oldest go first.

mod record;
pub mod state;
mod stdin;
mod task;

pub use record::{Command, End, Finished, Job, Presence, Progress, Started, StdinPiece};

use crate::link::{Link, LinkError};
use crate::logs::Written;
use runtime_plan::link::{JobId, Refusal};
use runtime_plan::outcome::ExitReport;
use runtime_plan::policy::Policy;
use runtime_plan::spec::Spec;
use runtime_plan::wall::Enforcement;
use state::State;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{Semaphore, mpsc, watch};

/// Jobs that have ended and are still known.
pub const RECORDS_MAX: usize = 10_000;
/// Bytes of the logs of jobs that have ended.
pub const LOGS_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Commands that wait for a job's task; the next one waits itself.
const COMMANDS_MAX: usize = 16;
/// Pieces of stdin that wait for the job to read, at most 1 MiB each.
const STDIN_PIECES_MAX: usize = 4;

/// What the launcher says of a job.
#[derive(Debug)]
pub enum FromLauncher {
    /// It is taken.
    Accepted(Pipes),
    /// It is not taken.
    Refused(Refusal),
    /// The command runs.
    Started(Box<Enforcement>),
    /// It is over.
    Finished(Box<ExitReport>, Box<Enforcement>),
}

/// The server's ends of a job's pipes.
#[derive(Debug)]
pub struct Pipes {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    output_bytes_max: u64,
}

impl FromLauncher {
    /// The pipes in the order of the protocol: stdin when there is one, stdout, stderr.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn accepted(
        stdin: bool,
        output_bytes_max: u64,
        fds: Vec<OwnedFd>,
    ) -> Result<FromLauncher, LinkError> {
        let wrong = LinkError::Unexpected("a job without its pipes");
        let mut fds = fds.into_iter();
        let stdin = if stdin { Some(fds.next()) } else { None };
        let (Some(stdout), Some(stderr), None) = (fds.next(), fds.next(), fds.next()) else {
            return Err(wrong);
        };
        let stdin = match stdin {
            Some(None) => return Err(wrong),
            Some(some) => some,
            None => None,
        };
        Ok(FromLauncher::Accepted(Pipes { stdin, stdout, stderr, output_bytes_max }))
    }
}

/// What happens to a job when its last client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It is cancelled after a grace.
    Cancel,
    /// It is cancelled at once.
    CancelNow,
    /// It goes on.
    Continue,
}

/// Why a job is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// As many run and wait as may.
    QueueFull {
        /// How many may run.
        running_max: u32,
        /// How many may wait.
        queued_max: u32,
    },
    /// The server is on its way down.
    ShuttingDown,
}

/// Why an id names no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// There is none.
    Unknown,
    /// There are several; these are the first.
    Ambiguous(Vec<String>),
}

/// What is kept of jobs that have ended.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// So many of them.
    pub records_max: usize,
    /// So much of their output.
    pub logs_bytes_max: u64,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { records_max: RECORDS_MAX, logs_bytes_max: LOGS_BYTES_MAX }
    }
}

/// All jobs of this server.
#[derive(Debug)]
pub struct Registry {
    link: Link,
    directory: PathBuf,
    running_max: u32,
    queued_max: u32,
    turns: Arc<Semaphore>,
    inner: Mutex<Inner>,
    open: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
    kept: Kept,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: BTreeMap<String, Arc<Job>>,
    ended: VecDeque<(String, u64)>,
    ended_bytes: u64,
    queued: usize,
    ids: ulid::Generator,
}

impl Registry {
    /// A registry without jobs. `directory` exists and is empty.
    pub fn new(link: Link, directory: PathBuf, policy: &Policy, kept: Kept) -> Arc<Registry> {
        Arc::new(Registry {
            link,
            directory,
            running_max: policy.jobs_running_max,
            queued_max: policy.jobs_queued_max,
            turns: Arc::new(Semaphore::new(policy.jobs_running_max as usize)),
            inner: Mutex::default(),
            open: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            kept,
        })
    }

    /// Takes a job into the queue, or starts it when there is room. The caller is its first client.
    ///
    /// # Errors
    /// When the queue is full or the server is on its way down.
    pub fn submit(
        self: &Arc<Self>,
        spec: Spec,
        on_disconnect: OnDisconnect,
    ) -> Result<(Arc<Job>, Presence), NotTaken> {
        if *self.stopping.borrow() {
            return Err(NotTaken::ShuttingDown);
        }
        let mut inner = self.lock();
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok();
        if turn.is_none() {
            if inner.queued >= self.queued_max as usize {
                let (running_max, queued_max) = (self.running_max, self.queued_max);
                return Err(NotTaken::QueueFull { running_max, queued_max });
            }
            inner.queued += 1;
        }
        let id = next_id(&mut inner.ids);
        let (argv, env_names) = record::shown(&spec);
        let (progress, progress_of) =
            watch::channel(Progress { state: State::Queued, started: None, end: None });
        let (written, written_of) = watch::channel(Written::default());
        let (commands, commands_of) = mpsc::channel(COMMANDS_MAX);
        let (stdin, stdin_of) = spec.stdin.then(|| mpsc::channel(STDIN_PIECES_MAX)).unzip();
        let job = Arc::new(Job {
            log: self.directory.join(id.as_str()),
            argv,
            env_names,
            profile: spec.profile.clone(),
            created: SystemTime::now(),
            progress: progress_of,
            written: written_of,
            commands,
            stdin,
            attached: watch::Sender::new(0),
            id,
        });
        let presence = job.attend();
        inner.jobs.insert(job.id.to_string(), Arc::clone(&job));
        drop(inner);
        self.open.send_modify(|open| *open += 1);
        let ends = task::Ends { progress, written, commands: commands_of, stdin: stdin_of };
        tokio::spawn(task::own(Arc::clone(self), Arc::clone(&job), spec, on_disconnect, turn, ends));
        Ok((job, presence))
    }

    /// The job with this id, or with the only id that begins so; the `job-` may be left out.
    ///
    /// # Errors
    /// When there is none or more than one.
    pub fn find(&self, id: &str) -> Result<Arc<Job>, NotFound> {
        /// As many candidates as a sentence can name.
        const SHOWN: usize = 3;
        let id = id.to_ascii_lowercase();
        let prefix = if id.starts_with("job-") { id } else { format!("job-{id}") };
        if prefix == "job-" {
            return Err(NotFound::Unknown);
        }
        let inner = self.lock();
        let mut candidates = inner.jobs.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix));
        let (first, second) = (candidates.next(), candidates.next());
        match (first, second) {
            (None, _) => Err(NotFound::Unknown),
            (Some((_, job)), None) => Ok(Arc::clone(job)),
            (Some((id, job)), Some(_)) if *id == prefix => Ok(Arc::clone(job)),
            _ => {
                let all = inner.jobs.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix));
                Err(NotFound::Ambiguous(all.take(SHOWN).map(|(id, _)| id.clone()).collect()))
            }
        }
    }

    /// Jobs older than `before` (all, without it), newest first, while `take` says so.
    pub fn newest_first(&self, before: Option<&str>, mut take: impl FnMut(&Arc<Job>) -> bool) {
        let inner = self.lock();
        let older = match before {
            Some(before) => inner.jobs.range(..before.to_owned()),
            None => inner.jobs.range::<String, _>(..),
        };
        for (_, job) in older.rev() {
            if !take(job) {
                return;
            }
        }
    }

    /// Jobs that run, and jobs that wait.
    pub fn counts(&self) -> (u32, u32) {
        let queued = u32::try_from(self.lock().queued).unwrap_or(u32::MAX);
        let free = u32::try_from(self.turns.available_permits()).unwrap_or(u32::MAX);
        (self.running_max.saturating_sub(free), queued)
    }

    /// The link, for questions that are about no job.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Takes no more jobs, and ends those that wait. Returns when every job is over.
    pub async fn shut_down(&self) {
        self.stopping.send_replace(true);
        // The sender lives in `self`, so waiting cannot fail.
        if self.open.subscribe().wait_for(|open| *open == 0).await.is_err() {
            tracing::debug!("the count of jobs is gone");
        }
    }

    /// Whether the server is on its way down.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// The job left the queue.
    fn admitted(&self) {
        let mut inner = self.lock();
        inner.queued = inner.queued.saturating_sub(1);
    }

    /// The job is over. What was never taken is forgotten; what is too old or too much goes now.
    async fn ended(&self, job: &Job) {
        let expired = {
            let mut inner = self.lock();
            let end = job.progress.borrow().end.clone();
            match end {
                Some(End::Finished(finished)) => {
                    let bytes = finished.stdout_bytes.saturating_add(finished.stderr_bytes);
                    inner.ended_bytes = inner.ended_bytes.saturating_add(bytes);
                    inner.ended.push_back((job.id.to_string(), bytes));
                }
                _ => drop(inner.jobs.remove(job.id.as_str())),
            }
            self.expire(&mut inner)
        };
        for old in expired {
            let log = old.log.clone();
            match tokio::task::spawn_blocking(move || std::fs::remove_dir_all(log)).await {
                Ok(Ok(())) => {}
                // A job that was cancelled in the queue has no log.
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                Ok(Err(error)) => tracing::warn!(job = %old.id, %error, "failed to remove an old log"),
                Err(error) => tracing::warn!(job = %old.id, %error, "failed to remove an old log"),
            }
        }
        self.open.send_modify(|open| *open = open.saturating_sub(1));
    }

    /// Takes the oldest out of the records until the bounds hold. The newest stays whatever its size.
    fn expire(&self, inner: &mut Inner) -> Vec<Arc<Job>> {
        let mut expired = Vec::new();
        while inner.ended.len() > self.kept.records_max
            || (inner.ended_bytes > self.kept.logs_bytes_max && inner.ended.len() > 1)
        {
            let Some((id, bytes)) = inner.ended.pop_front() else { break };
            inner.ended_bytes = inner.ended_bytes.saturating_sub(bytes);
            expired.extend(inner.jobs.remove(&id));
        }
        expired
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new id, greater than every one before.
fn next_id(ids: &mut ulid::Generator) -> JobId {
    let ulid = match ids.generate() {
        Ok(ulid) => ulid,
        Err(overflow) => overflow.commit_overflow_increment(),
    };
    let text = format!("job-{}", ulid.to_string().to_ascii_lowercase());
    match JobId::try_from(text) {
        Ok(id) => id,
        // 26 letters and digits and a prefix always are an id.
        Err(_) => unreachable!("a ULID in lower case is within the bounds of a job id"),
    }
}
