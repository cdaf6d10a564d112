//! The task that owns one job: it alone changes its state, and hears the launcher, the clients and the clock.
//!
//! It must not read output or know a wire type. `launch` asks the launcher and hears its answer, `output` moves bytes and
//! measures them, `finish` sees the outcome to the disk.

mod finish;
mod launch;
mod output;

use super::job::{Command, End, Ends, Job, NotDone, Progress};
use super::pipes::{FromLauncher, JobPipes};
use super::record::Stored;
use super::registry::{Registry, Turn};
use super::request::OnDisconnect;
use super::state::{Event, State, next};
use crate::logs::written;
use crate::store::StoreError;
use finish::Report;
use output::Output;
use runtime_plan::link::{Refusal, RefusalReason, ToLauncher};
use runtime_plan::outcome::ExitReport;
use runtime_plan::spec::Spec;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// How long a job without a client goes on, so that the client can come back.
const DISCONNECT_GRACE: Duration = Duration::from_secs(30);

/// How a task begins.
pub(super) struct Birth {
    /// What is known of the job.
    pub(super) stored: Stored,
    /// Where it is.
    pub(super) state: State,
    /// What to run, while it is not started.
    pub(super) spec: Option<Spec>,
    /// Its turn, when it waits for one; one that waits without it wants its client back first.
    pub(super) turn: Option<Turn>,
    /// A row on disk may say that it waits: that must change before it is started.
    pub(super) queued_on_disk: bool,
    /// What the launcher handed over.
    pub(super) adopted: Option<(JobPipes, mpsc::UnboundedReceiver<FromLauncher>)>,
    /// The end, when there is nothing left but to write it down.
    pub(super) report: Option<ExitReport>,
    /// An earlier server had it: its clients need the time to come back, whatever they asked for.
    pub(super) returning: bool,
}

impl Birth {
    /// A job in this state, and nothing else of it.
    pub(super) fn new(stored: Stored, state: State) -> Birth {
        Birth {
            stored,
            state,
            spec: None,
            turn: None,
            queued_on_disk: false,
            adopted: None,
            report: None,
            returning: false,
        }
    }
}

/// What a job holds of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    /// A place among those that wait.
    Waiting,
    /// A place among those that run.
    Running,
}

type Commit = tokio::task::JoinHandle<Result<u64, StoreError>>;

struct Task {
    registry: Arc<Registry>,
    job: Arc<Job>,
    stored: Stored,
    state: State,
    progress: watch::Sender<Progress>,
    events: Option<mpsc::UnboundedReceiver<FromLauncher>>,
    held: Held,
    spec: Option<Spec>,
    queued_on_disk: bool,
    /// It was in the queue for a while, and somebody may count on it.
    waited: bool,
    output: Output,
    /// When the launcher was asked, for the time that a start takes.
    asked_at: Option<Instant>,
    /// When to look for a place again.
    rejoin_at: Option<Instant>,
    returning: bool,
    /// It waits for a client before it waits for its turn.
    wants_client: bool,
    cancel_at: Option<Instant>,
    /// The first cancel, in case the launcher has not taken the job yet.
    cancelled: Option<(String, String)>,
    report: Option<Report>,
    commit: Option<Commit>,
    commit_at: Option<Instant>,
    commits_failed: u32,
}

/// Leads the job to its end.
pub(super) async fn own(registry: Arc<Registry>, job: Arc<Job>, birth: Birth, ends: Ends) {
    let Birth { stored, state, spec, mut turn, queued_on_disk, adopted, report, returning } = birth;
    let Ends { progress, written, mut commands, stdin } = ends;
    let mut attached = job.attached.subscribe();
    let mut stopping = registry.stopping.subscribe();
    // Whatever happened between the request and now counts as a change.
    attached.mark_changed();
    stopping.mark_changed();
    let held = match (&turn, &adopted) {
        (Some(_), _) => Held::Waiting,
        (None, Some(_)) => Held::Running,
        (None, None) => Held::Nothing,
    };
    let wants_client = state == State::Queued && turn.is_none();
    let mut task = Task {
        output: Output::new(written, stdin),
        registry,
        job,
        stored,
        state,
        progress,
        events: None,
        held,
        spec,
        queued_on_disk,
        waited: queued_on_disk,
        asked_at: None,
        rejoin_at: None,
        returning,
        wants_client,
        cancel_at: None,
        cancelled: None,
        report: report.map(Report::unseen),
        commit: None,
        commit_at: None,
        commits_failed: 0,
    };
    if let Some((pipes, events)) = adopted {
        task.events = Some(events);
        task.connect(pipes, true);
        task.store_soon();
    }
    if task.report.is_some() {
        // Nobody has had it since a crash: its log tells how far it came.
        let log = task.job.log.clone();
        let found = tokio::task::spawn_blocking(move || written::load(&log)).await;
        task.output.none(found.ok().and_then(Result::ok).unwrap_or_default());
    }
    while !task.state.is_over() {
        task.commit_if_due();
        let queued = task.state == State::Queued;
        let (cancel_at, rejoin_at, commit_at) = (task.cancel_at, task.rejoin_at, task.commit_at);
        let (drain_at, idle_at) = (task.output.drain_at(), task.output.idle_at());
        let draining = task.state == State::Draining;
        tokio::select! {
            () = comes(&mut turn), if queued => {
                turn = None;
                task.start().await;
            }
            event = hear(&mut task.events) => match event {
                Some(event) => task.hear(event).await,
                None => task.lose(),
            },
            Some((command, answer)) = commands.recv() => task.obey(command, answer).await,
            changed = attached.changed() => if changed.is_ok() {
                let clients = *attached.borrow_and_update();
                task.mind_clients(clients).await;
            },
            changed = stopping.changed(), if queued => if changed.is_ok() && *stopping.borrow_and_update() {
                task.postpone().await;
            },
            used = output::limit(&mut task.output.over) => task.tell_output_limit(used).await,
            result = output::join(&mut task.output.writing) => task.output_ended(result).await,
            () = output::drained(&mut task.output.written), if draining => task.output_drained(),
            answer = committed(&mut task.commit) => task.committed(answer).await,
            () = at(commit_at) => task.commit_at = None,
            () = at(rejoin_at), if queued => {
                task.rejoin_at = None;
                task.held = Held::Waiting;
                turn = Some(task.registry.rejoin(&task.job.record));
            }
            () = at(cancel_at) => {
                task.cancel_at = None;
                task.cancel("client disconnected", "no client came back within 30 s", false).await;
            }
            () = at(drain_at) => task.stop_draining(),
            () = at(idle_at) => task.look_whether_idle().await,
        }
    }
    task.close();
}

/// Waits for a moment, for ever without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for a turn, for ever without one. The registry never drops it unsaid while the job waits.
async fn comes(turn: &mut Option<Turn>) {
    if let Some(coming) = turn {
        if coming.await.is_ok() {
            return;
        }
        *turn = None;
    }
    std::future::pending().await
}

/// Waits for the launcher, for ever while it was not asked.
async fn hear(events: &mut Option<mpsc::UnboundedReceiver<FromLauncher>>) -> Option<FromLauncher> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

async fn committed(commit: &mut Option<Commit>) -> Result<u64, StoreError> {
    match commit {
        Some(commit) => commit.await.unwrap_or(Err(StoreError::Closed)),
        None => std::future::pending().await,
    }
}

impl Task {
    async fn obey(&mut self, command: Command, answer: oneshot::Sender<Result<(), NotDone>>) {
        let done = match command {
            Command::Cancel { by, reason, kill } => {
                self.cancel(&by, &reason, kill).await;
                Ok(())
            }
            Command::Signal { signal, all } if matches!(self.state, State::Running { .. }) => {
                self.tell(ToLauncher::Signal { job: self.job.id().clone(), signal, all }).await;
                Ok(())
            }
            Command::Signal { .. } => Err(NotDone::NotRunning),
            Command::Resize { .. } if !self.job.record.terminal => Err(NotDone::NoTerminal),
            Command::Resize { rows, columns } => {
                self.output.resize(self.job.id(), rows, columns);
                Ok(())
            }
        };
        if answer.send(done).is_err() {
            tracing::debug!(job = %self.job.id(), "whoever asked does not wait for the answer");
        }
    }

    async fn mind_clients(&mut self, clients: usize) {
        if clients > 0 {
            self.returning = false;
            self.cancel_at = None;
            if self.wants_client {
                self.wants_client = false;
                self.rejoin_at = Some(Instant::now());
            }
            return;
        }
        if *self.registry.stopping.borrow() {
            // The server goes, not the client.
            return;
        }
        match self.job.record.on_disconnect {
            OnDisconnect::Continue => {}
            _ if self.cancelled.is_some() => {}
            // Nobody has left a job that comes from an earlier server: that server left.
            OnDisconnect::CancelNow if !self.returning => {
                self.cancel("client disconnected", "the client asked for an end at once", false).await;
            }
            OnDisconnect::Cancel | OnDisconnect::CancelNow => {
                self.cancel_at = Some(Instant::now() + DISCONNECT_GRACE);
            }
        }
    }

    /// Ends the job: here while it waits, else through the launcher. A second cancel is passed on, since it may be the one that
    /// kills.
    async fn cancel(&mut self, by: &str, reason: &str, kill: bool) {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        self.cancelled.get_or_insert_with(|| (by.clone(), reason.clone()));
        match self.state {
            State::Queued => self.end_cancelled(),
            State::Starting | State::Accepted { .. } | State::Running { .. } | State::Draining => {
                self.tell(ToLauncher::Cancel { job: self.job.id().clone(), by, reason, kill }).await;
            }
            State::Found
            | State::Committing
            | State::Finished
            | State::Rejected
            | State::Postponed
            | State::Lost => {}
        }
    }

    /// The server leaves; the job stays on disk as it waits. One that its client could not find again does not: it would run
    /// although its client was told that it did not.
    async fn postpone(&mut self) {
        if self.can_be_found() {
            if self.happen(Event::Postponed) {
                self.end(End::Postponed);
            }
        } else {
            let message = "the daemon is on its way down: try again when it is back".to_owned();
            self.reject(End::Refused(Refusal { reason: RefusalReason::ShuttingDown, message })).await;
        }
    }

    /// Whether its client knows a name of it before it is accepted.
    fn can_be_found(&self) -> bool {
        self.job.record.submitted || self.job.record.key.is_some()
    }

    /// Nobody will say how it ended; what is known already is still written down.
    fn lose(&mut self) {
        self.events = None;
        if self.state != State::Committing && !self.state.is_over() && self.happen(Event::LauncherGone) {
            self.end(End::LauncherGone);
        }
    }

    /// Publishes the last state together with the end that belongs to it.
    fn end(&mut self, end: End) {
        let state = self.state;
        self.progress.send_modify(|progress| {
            progress.state = state;
            progress.end = Some(end);
        });
    }

    /// Moves on, if the event can happen now. The end itself is published by [`Task::end`] alone.
    fn happen(&mut self, event: Event) -> bool {
        match next(self.state, event) {
            Ok(state) => {
                self.state = state;
                if !state.is_over() {
                    self.progress.send_modify(|progress| progress.state = state);
                }
                true
            }
            Err(unexpected) => {
                tracing::error!(job = %self.job.id(), error = %unexpected, "something broke the order of events");
                false
            }
        }
    }

    async fn tell(&mut self, message: ToLauncher) {
        if self.registry.link.send(message).await.is_err() {
            self.lose();
        }
    }
}
