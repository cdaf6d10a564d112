//! The task that owns one job: it alone changes its state, and hears the launcher, the clients and the clock.
//!
//! It must not read output or know a wire type.

use super::record::{Command, End, Finished, Job, Progress, Started, StdinPiece};
use super::state::{Event, State, next};
use super::{FromLauncher, OnDisconnect, Pipes, Registry, stdin};
use crate::logs::{Written, writer::Writer};
use runtime_plan::link::ToLauncher;
use runtime_plan::outcome::{ExitReport, Outcome, Usage};
use runtime_plan::spec::Spec;
use runtime_plan::wall::Enforcement;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a job without a client goes on, so that the client can come back.
const DISCONNECT_GRACE: Duration = Duration::from_secs(30);
/// How long output may go on after the end of a job: the launcher ends its whole tree first, so the pipes end at
/// once unless the disk is full or a descriptor was passed on.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The task's ends of the channels that a [`Job`] has the other ends of.
pub(super) struct Ends {
    pub(super) progress: watch::Sender<Progress>,
    pub(super) written: watch::Sender<Written>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) stdin: Option<mpsc::Receiver<StdinPiece>>,
}

struct Task {
    registry: Arc<Registry>,
    job: Arc<Job>,
    state: State,
    progress: watch::Sender<Progress>,
    on_disconnect: OnDisconnect,
    /// Held while the job counts as running.
    turn: Option<OwnedSemaphorePermit>,
    spec: Option<Spec>,
    /// From the start until the pipes arrive.
    writer: Option<Writer>,
    writing: Option<JoinHandle<std::io::Result<()>>>,
    stdin: Option<mpsc::Receiver<StdinPiece>>,
    feeding: Option<JoinHandle<()>>,
    over: (mpsc::Sender<u64>, mpsc::Receiver<u64>),
    queue_us: u64,
    report: Option<(ExitReport, Option<Arc<Enforcement>>)>,
    drain_until: Option<Instant>,
    cancel_at: Option<Instant>,
    cancelled: bool,
    output_cut: Option<String>,
}

/// Leads the job from the queue to its end.
pub(super) async fn own(
    registry: Arc<Registry>,
    job: Arc<Job>,
    spec: Spec,
    on_disconnect: OnDisconnect,
    turn: Option<OwnedSemaphorePermit>,
    ends: Ends,
) {
    let mut events = registry.link.register(job.id.clone());
    let mut attached = job.attached.subscribe();
    let mut stopping = registry.stopping.subscribe();
    // Whatever happened between the request and now counts as a change.
    attached.mark_changed();
    stopping.mark_changed();
    let mut commands = ends.commands;
    let mut written = Some(ends.written);
    let waiting = Arc::clone(&registry.turns).acquire_owned();
    tokio::pin!(waiting);
    let waits = turn.is_none();
    let mut task = Task {
        registry,
        job,
        state: State::Queued,
        progress: ends.progress,
        on_disconnect,
        turn,
        spec: Some(spec),
        writer: None,
        writing: None,
        stdin: ends.stdin,
        feeding: None,
        over: mpsc::channel(1),
        queue_us: 0,
        report: None,
        drain_until: None,
        cancel_at: None,
        cancelled: false,
        output_cut: None,
    };
    if !waits {
        task.start(written.take()).await;
    }
    while !task.state.is_over() {
        let queued = task.state == State::Queued;
        let (cancel_at, drain_until) = (task.cancel_at, task.drain_until);
        tokio::select! {
            turn = &mut waiting, if queued => {
                task.turn = turn.ok();
                task.registry.admitted();
                task.start(written.take()).await;
            }
            event = events.recv() => match event {
                Some(event) => task.hear(event).await,
                None => task.lose(),
            },
            Some(command) = commands.recv() => task.obey(command).await,
            changed = attached.changed() => if changed.is_ok() {
                let clients = *attached.borrow_and_update();
                task.mind_clients(clients).await;
            },
            changed = stopping.changed(), if queued => if changed.is_ok() && *stopping.borrow_and_update() {
                task.cancel("shutdown", "the server is on its way down", false).await;
            },
            Some(used) = task.over.1.recv() => task.tell_output_limit(used).await,
            result = join(&mut task.writing) => task.output_ended(result).await,
            () = at(cancel_at) => {
                task.cancel_at = None;
                task.cancel("client disconnected", "no client came back within 30 s", false).await;
            }
            () = at(drain_until) => task.stop_draining(),
        }
    }
    task.close(waits).await;
}

/// Waits for a moment, for ever without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for a task, for ever without one.
async fn join(task: &mut Option<JoinHandle<std::io::Result<()>>>) -> Result<(), String> {
    match task {
        Some(handle) => match handle.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            // We did that, and said so.
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        None => std::future::pending().await,
    }
}

impl Task {
    /// Its turn has come: makes the log and asks the launcher.
    async fn start(&mut self, written: Option<watch::Sender<Written>>) {
        let (Some(written), Some(spec)) = (written, self.spec.take()) else { return };
        let waited = SystemTime::now().duration_since(self.job.created).unwrap_or_default();
        self.queue_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        match Writer::create(&self.job.log, written) {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => {
                tracing::error!(job = %self.job.id, %error, "failed to make the log of a job");
                if self.happen(Event::Rejected) {
                    self.end(End::NoLog(error.to_string()));
                }
                return;
            }
        }
        if self.happen(Event::Admitted) {
            let start = ToLauncher::Start { job: self.job.id.clone(), spec: Box::new(spec) };
            self.tell(start).await;
        }
    }

    /// What the launcher says.
    async fn hear(&mut self, event: FromLauncher) {
        match event {
            FromLauncher::Accepted(pipes) => {
                if self.happen(Event::Accepted) {
                    self.connect(pipes);
                }
            }
            FromLauncher::Refused(refusal) => {
                if self.happen(Event::Rejected) {
                    self.end(End::Refused(refusal));
                }
            }
            FromLauncher::Started(enforcement) => {
                let started = Started { time: SystemTime::now(), enforcement: Arc::from(enforcement) };
                if self.happen(Event::Started) {
                    self.progress.send_modify(|progress| progress.started = Some(Arc::new(started)));
                }
            }
            FromLauncher::Finished(report, enforcement) => self.exited(*report, Some(Arc::from(enforcement))),
        }
    }

    /// Starts to move bytes.
    fn connect(&mut self, pipes: Pipes) {
        if let Some(writer) = self.writer.take() {
            let over = self.over.0.clone();
            let storing = writer.store(pipes.stdout, pipes.stderr, pipes.output_bytes_max, over);
            self.writing = Some(tokio::spawn(storing));
        }
        if let (Some(pipe), Some(pieces)) = (pipes.stdin, self.stdin.take()) {
            self.feeding = Some(tokio::spawn(stdin::write_stdin(pipe, pieces)));
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Cancel { by, reason, kill } => self.cancel(&by, &reason, kill).await,
            Command::Signal(signal) if self.state.is_accepted() => {
                self.tell(ToLauncher::Signal { job: self.job.id.clone(), signal }).await;
            }
            Command::Signal(signal) => {
                tracing::debug!(job = %self.job.id, signal, "no signal to a job that does not run yet");
            }
        }
    }

    async fn mind_clients(&mut self, clients: usize) {
        if clients > 0 {
            self.cancel_at = None;
            return;
        }
        match self.on_disconnect {
            OnDisconnect::Continue => {}
            _ if self.cancelled => {}
            OnDisconnect::Cancel => self.cancel_at = Some(Instant::now() + DISCONNECT_GRACE),
            OnDisconnect::CancelNow => {
                self.cancel("client disconnected", "the client asked for an end at once", false).await;
            }
        }
    }

    /// Ends the job: here while it waits, else through the launcher. A second cancel is passed on, since it may
    /// be the one that kills.
    async fn cancel(&mut self, by: &str, reason: &str, kill: bool) {
        self.cancelled = true;
        let (by, reason) = (by.to_owned(), reason.to_owned());
        if self.state == State::Queued {
            let report = ExitReport {
                outcome: Outcome::Cancelled { by, reason },
                limits_hit: Vec::new(),
                usage: Usage::default(),
                cleanup_errors: Vec::new(),
            };
            self.report = Some((report, None));
            let waited = SystemTime::now().duration_since(self.job.created).unwrap_or_default();
            self.queue_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
            if self.happen(Event::CancelledInQueue) {
                self.finish();
            }
        } else if !self.state.is_over() {
            self.tell(ToLauncher::Cancel { job: self.job.id.clone(), by, reason, kill }).await;
        }
    }

    async fn tell_output_limit(&mut self, used: u64) {
        self.tell(ToLauncher::OutputLimit { job: self.job.id.clone(), used }).await;
    }

    fn exited(&mut self, report: ExitReport, enforcement: Option<Arc<Enforcement>>) {
        if self.report.is_none() && self.happen(Event::Exited) {
            self.report = Some((report, enforcement));
            self.drain_until = Some(Instant::now() + DRAIN_MAX);
            if self.state == State::Finished {
                self.finish();
            }
        }
    }

    async fn output_ended(&mut self, result: Result<(), String>) {
        self.writing = None;
        if let Err(error) = result {
            tracing::error!(job = %self.job.id, %error, "failed to store the output of a job");
            // Nobody empties the pipes any more: the job would hang on them.
            self.cancel("server", "its output could not be stored", true).await;
            self.output_cut = Some(format!("output was cut: {error}"));
        }
        if self.happen(Event::OutputEnded) && self.state == State::Finished {
            self.finish();
        }
    }

    fn stop_draining(&mut self) {
        self.drain_until = None;
        if let Some(writing) = &self.writing {
            self.output_cut =
                Some("output was cut: its pipes stayed open after the end, or the disk is full".to_owned());
            // The join in the loop sees the end of it.
            writing.abort();
        }
    }

    /// Outcome and output are complete.
    fn finish(&mut self) {
        let Some((mut report, enforcement)) = self.report.take() else { return };
        report.usage.queue_us.get_or_insert(self.queue_us);
        report.cleanup_errors.extend(self.output_cut.take());
        let written = *self.job.written.borrow();
        let finished = Finished {
            time: SystemTime::now(),
            report,
            enforcement,
            stdout_bytes: written.stdout_bytes,
            stderr_bytes: written.stderr_bytes,
        };
        self.end(End::Finished(Arc::new(finished)));
    }

    /// Nobody will say how it ended.
    fn lose(&mut self) {
        if !self.state.is_over() && self.happen(Event::LauncherGone) {
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
                tracing::error!(job = %self.job.id, error = %unexpected, "the launcher broke the order of events");
                false
            }
        }
    }

    async fn tell(&mut self, message: ToLauncher) {
        if self.registry.link.send(message).await.is_err() {
            self.lose();
        }
    }

    /// Gives back what the job held.
    async fn close(mut self, waited: bool) {
        let never_admitted = waited && self.turn.is_none();
        if never_admitted {
            self.registry.admitted();
        }
        if let Some(feeding) = self.feeding.take() {
            feeding.abort();
        }
        if let Some(writing) = self.writing.take() {
            writing.abort();
        }
        self.registry.link.unregister(&self.job.id);
        let taken = matches!(self.progress.borrow().end, Some(End::Finished(_))) && !never_admitted;
        if taken {
            // Gone with the launcher if that fails; there is nothing to add.
            self.tell_over().await;
        } else if let Err(error) = std::fs::remove_dir_all(&self.job.log)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(job = %self.job.id, %error, "failed to remove the log of a job that was not taken");
        }
        drop(self.writer.take());
        drop(self.turn.take());
        let registry = Arc::clone(&self.registry);
        registry.ended(&self.job).await;
    }

    async fn tell_over(&self) {
        if self.registry.link.send(ToLauncher::Acknowledge { job: self.job.id.clone() }).await.is_err() {
            tracing::debug!(job = %self.job.id, "no launcher to acknowledge to");
        }
    }
}
