//! The bytes of one job: starts to move them, and measures what only whoever moves them can measure.

use super::{Event, State, Task};
use crate::jobs::job::StdinPiece;
use crate::jobs::pipes::{JobPipes, PipeEnds};
use crate::jobs::stdin::{Feeding, Sink};
use crate::logs::place::Place;
use crate::logs::writer::{Options, Relay, Source, Writer};
use crate::logs::{Stall, Written};
use runtime_plan::link::{JobId, MeasuredLimit, ToLauncher};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// How long output may go on after the end of a job: the launcher ends its whole tree first, so the pipes end at once unless
/// a descriptor was passed on. Time in which the disk is full does not count.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long a full disk is left alone before the next try to make a log.
const FULL_DISK_WAIT: Duration = Duration::from_millis(250);

/// What moves the bytes, and what is measured.
pub(super) struct Output {
    /// Tells readers how far it is; the writer gets a copy.
    tells: watch::Sender<Written>,
    pub(super) written: watch::Receiver<Written>,
    pub(super) writing: Option<JoinHandle<io::Result<()>>>,
    /// The job wrote more than it may: how much.
    pub(super) over: mpsc::Receiver<u64>,
    tells_over: mpsc::Sender<u64>,
    pieces: Option<mpsc::Receiver<StdinPiece>>,
    feeding: Option<JoinHandle<()>>,
    fed: watch::Sender<Option<Instant>>,
    /// The writer waits for the terminal.
    coming: Option<oneshot::Sender<OwnedFd>>,
    master: Option<OwnedFd>,
    /// A size from before there was a terminal.
    size: Option<(u16, u16)>,
    drain_until: Option<Instant>,
    /// How far the log was when it was last looked whether it still grows.
    drained_bytes: u64,
    idle: Option<Idle>,
    /// Why bytes are missing.
    pub(super) cut: Option<String>,
}

/// Time without input and output.
struct Idle {
    max: Duration,
    /// From when on it counts; `None` until the command runs.
    since: Option<Instant>,
    look_at: Option<Instant>,
}

impl Output {
    pub(super) fn new(tells: watch::Sender<Written>, pieces: Option<mpsc::Receiver<StdinPiece>>) -> Output {
        let (tells_over, over) = mpsc::channel(1);
        Output {
            written: tells.subscribe(),
            tells,
            writing: None,
            over,
            tells_over,
            pieces,
            feeding: None,
            fed: watch::Sender::new(None),
            coming: None,
            master: None,
            size: None,
            drain_until: None,
            drained_bytes: 0,
            idle: None,
            cut: None,
        }
    }

    pub(super) fn drain_at(&self) -> Option<Instant> {
        self.drain_until
    }

    pub(super) fn idle_at(&self) -> Option<Instant> {
        self.idle.as_ref().and_then(|idle| idle.look_at)
    }

    /// Sets the terminal's size, or keeps it for the terminal that is to come.
    pub(super) fn resize(&mut self, job: &JobId, rows: u16, columns: u16) {
        match &self.master {
            Some(master) => {
                if let Err(error) = runtime_sys::terminal::set_size(master.as_fd(), rows, columns) {
                    tracing::warn!(%job, %error, "failed to set the size of a terminal");
                }
            }
            None => self.size = Some((rows, columns)),
        }
    }

    /// Nothing will be written to this log any more: it has come this far.
    pub(super) fn none(&mut self, so_far: Written) {
        self.pieces = None;
        self.tells.send_replace(Written { drained: true, ended: true, ..so_far });
    }

    /// Stops what still moves bytes. A writer that only waits for the disk goes on by itself.
    pub(super) fn stop(&mut self) {
        if let Some(feeding) = self.feeding.take() {
            feeding.abort();
        }
        if let Some(writing) = self.writing.take()
            && !self.written.borrow().drained
        {
            writing.abort();
        }
    }

    /// The moment of the last byte, either way. A job that waits for our disk is not idle.
    fn last_active(&self, since: Instant) -> Instant {
        let written = self.written.borrow();
        if written.stalled.is_some() {
            return Instant::now();
        }
        let out = written.last_byte.map(Instant::from_std);
        let fed = *self.fed.borrow();
        out.into_iter().chain(fed).fold(since, Instant::max)
    }
}

/// Waits for the writer, for ever without one.
pub(super) async fn join(writing: &mut Option<JoinHandle<io::Result<()>>>) -> Result<(), String> {
    match writing {
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

/// Waits until every byte is in the files.
pub(super) async fn drained(written: &mut watch::Receiver<Written>) {
    if written.wait_for(|written| written.drained).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the job has written more than it may.
pub(super) async fn limit(over: &mut mpsc::Receiver<u64>) -> u64 {
    match over.recv().await {
        Some(used) => used,
        None => std::future::pending().await,
    }
}

impl Task {
    /// Starts to move bytes. `again`: an earlier server has begun with it.
    pub(super) fn connect(&mut self, pipes: JobPipes, again: bool) {
        let JobPipes { ends, output_bytes_max, idle_ms_max } = pipes;
        let (source, stdin) = match ends {
            PipeEnds::Streams { stdin, stdout, stderr } => (Source::Pipes { stdout, stderr }, stdin),
            PipeEnds::Terminal { relay_read: read, relay_write: write } => {
                let (coming, master) = oneshot::channel();
                self.output.coming = Some(coming);
                (Source::Terminal(Relay { read, write, master }), None)
            }
        };
        let options = Options {
            output_bytes_max,
            keep_bytes: self.job.record.keep_output_bytes,
            passing: self.registry.passing,
            fault: self.registry.faults.of_logs(),
        };
        let (place, job) = (self.registry.place.clone(), self.job.id().clone());
        let storing = Storing { place, job, options, tells: self.output.tells.clone(), again };
        self.output.writing = Some(tokio::spawn(storing.store(source, self.output.tells_over.clone())));
        self.output.idle =
            idle_ms_max.map(|ms| Idle { max: Duration::from_millis(ms), since: None, look_at: None });
        match stdin {
            Some(pipe) => self.feed(Sink::Pipe(pipe)),
            None if self.job.record.terminal => {}
            None => self.output.pieces = None,
        }
    }

    fn feed(&mut self, sink: Sink) {
        let Some(pieces) = self.output.pieces.take() else { return };
        let fed = self.output.fed.clone();
        let feeding = Feeding { job: self.job.id().clone(), pieces, fed, link: self.registry.link.clone() };
        self.output.feeding = Some(tokio::spawn(feeding.feed(sink)));
    }

    /// The command runs; with a terminal this is its master side.
    pub(super) fn output_begins(&mut self, master: Option<OwnedFd>) {
        if let Some(idle) = &mut self.output.idle {
            let now = Instant::now();
            (idle.since, idle.look_at) = (Some(now), Some(now + idle.max));
        }
        let Some(master) = master else { return };
        let copies = master.try_clone().and_then(|one| Ok((one, master.try_clone()?)));
        match copies {
            Ok((reads, types)) => {
                if let Some(coming) = self.output.coming.take()
                    && coming.send(reads).is_err()
                {
                    tracing::debug!(job = %self.job.id(), "nobody reads the terminal any more");
                }
                self.feed(Sink::Terminal(types));
            }
            Err(error) => {
                tracing::error!(job = %self.job.id(), %error, "failed to use the terminal of a job")
            }
        }
        self.output.master = Some(master);
        if let Some((rows, columns)) = self.output.size.take() {
            self.output.resize(self.job.id(), rows, columns);
        }
    }

    /// The outcome is known: what is in the pipes comes now, or never.
    pub(super) fn output_must_end(&mut self) {
        // Without a start there is no terminal.
        self.output.coming = None;
        self.output.idle = None;
        self.output.drained_bytes = self.output.written.borrow().bytes();
        self.output.drain_until = Some(Instant::now() + DRAIN_MAX);
    }

    pub(super) async fn tell_output_limit(&mut self, used: u64) {
        let limit = MeasuredLimit::Output;
        self.tell(ToLauncher::LimitReached { job: self.job.id().clone(), limit, used }).await;
    }

    /// The time that the job may be idle may be over.
    pub(super) async fn look_whether_idle(&mut self) {
        let Some(Idle { max, since: Some(since), .. }) = self.output.idle else { return };
        let last = self.output.last_active(since);
        let quiet = last.elapsed();
        if quiet < max {
            self.output.idle = Some(Idle { max, since: Some(since), look_at: Some(last + max) });
            return;
        }
        // Once is enough.
        self.output.idle = None;
        let used = u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX);
        let limit = MeasuredLimit::IdleTime;
        self.tell(ToLauncher::LimitReached { job: self.job.id().clone(), limit, used }).await;
    }

    pub(super) async fn output_ended(&mut self, result: Result<(), String>) {
        self.output.writing = None;
        if let Err(error) = result {
            tracing::error!(job = %self.job.id(), %error, "failed to store the output of a job");
            self.output.cut = Some(format!("output was cut: {error}"));
            if !matches!(self.state, State::Draining | State::Committing) {
                // Nobody empties the pipes any more: the job would hang on them.
                self.cancel("server", "its output could not be stored", true).await;
            }
        }
        self.end_output();
    }

    /// Every byte is in the files; the writer waits for the disk by itself.
    pub(super) fn output_drained(&mut self) {
        self.output.writing = None;
        self.end_output();
    }

    pub(super) fn stop_draining(&mut self) {
        self.output.drain_until = None;
        let written = *self.output.written.borrow();
        let grows = written.bytes() != self.output.drained_bytes;
        if grows || written.stalled.is_some() {
            // A slow or full disk is not the job's fault: its bytes wait in the pipe.
            self.output.drained_bytes = written.bytes();
            self.output.drain_until = Some(Instant::now() + DRAIN_MAX);
            return;
        }
        if let Some(writing) = &self.output.writing {
            self.output.cut = Some("output was cut: its pipes stayed open after the end".to_owned());
            // The join in the loop sees the end of it.
            writing.abort();
        }
    }

    fn end_output(&mut self) {
        self.output.drain_until = None;
        let ended_before = matches!(
            self.state,
            State::Accepted { output_ended: true }
                | State::Running { output_ended: true }
                | State::Committing
        );
        if !ended_before && !self.state.is_over() {
            self.happen(Event::OutputEnded);
        }
    }
}

/// A log that is about to be written.
#[derive(Clone)]
struct Storing {
    place: Place,
    job: JobId,
    options: Options,
    tells: watch::Sender<Written>,
    again: bool,
}

impl Storing {
    /// Makes or takes up the log, as soon as the disk lets it, and stores everything.
    async fn store(self, source: Source, over: mpsc::Sender<u64>) -> io::Result<()> {
        let tells = self.tells.clone();
        match self.open_soon().await {
            Ok(writer) => writer.store(source, over).await,
            Err(error) => {
                tells.send_modify(|written| written.ended = true);
                Err(error)
            }
        }
    }

    async fn open_soon(self) -> io::Result<Writer> {
        loop {
            let one = self.clone();
            let error = match spawn_blocking(move || one.open()).await.map_err(io::Error::other)? {
                Ok(writer) => {
                    self.tells.send_modify(|written| written.stalled = None);
                    return Ok(writer);
                }
                Err(error) => error,
            };
            let Some(stall) = Stall::of(&error) else { return Err(error) };
            self.tells.send_modify(|written| written.stalled = Some(stall));
            tokio::time::sleep(FULL_DISK_WAIT).await;
        }
    }

    /// An earlier server may or may not have come so far as to make it.
    fn open(self) -> io::Result<Writer> {
        let Storing { place, job, options, tells, again } = self;
        let log = place.prepare(job.as_str())?;
        let resume = || Writer::resume(&log, options.clone(), tells.clone());
        let create = || Writer::create(&log, options.clone(), tells.clone());
        if again {
            match resume() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => create(),
                opened => opened,
            }
        } else {
            match create() {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => resume(),
                opened => opened,
            }
        }
    }
}
