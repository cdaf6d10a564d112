//! What the server counts and measures, and the page that tells it.
//!
//! Everybody who has something to count holds a [`Metrics`], which is cheap to clone, and calls a method of it: a few
//! atomic additions, no wait. Names, units and meanings are in `runtime/METRICS.md`; a test compares it with what is
//! served. No label ever carries an id, a path, or anything else that a caller chooses.

pub mod http;
mod page;

pub use page::Form;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use runtime_plan::outcome::{Outcome, Usage};
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the time buckets, in seconds: from a tenth of a millisecond to the longest job.
const SECONDS: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0,
    300.0, 1_800.0, 7_200.0,
];
/// Upper bounds of the buckets of rows in one commit.
const ROWS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// A label with one of a few words.
type Label = [(&'static str, &'static str); 1];

/// Where a job is that is not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Jobs that wait for their turn.
    pub queued: u64,
    /// Jobs whose sandbox is being made.
    pub starting: u64,
    /// Jobs whose command runs.
    pub running: u64,
}

/// What is true at the moment of a look, and is not counted on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Jobs that are not over.
    pub live: Live,
    /// Records that are kept, of all jobs.
    pub records: u64,
    /// Bytes of output that are kept.
    pub output_bytes: u64,
    /// How the daemon is.
    pub state: ServingWord,
}

/// How the daemon is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServingWord {
    /// Takes jobs.
    Serving,
    /// Takes no new jobs: those that run finish.
    Draining,
    /// Takes no new jobs: something is wrong.
    Degraded,
}

/// Why the store did not take a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFailure {
    /// There is no space.
    NoSpace,
    /// The file system is read-only.
    ReadOnly,
    /// Anything else.
    Broken,
}

/// Why output is kept no longer. Output that goes with its record leaves no gap, and damage is seen by readers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// The job's own bound.
    JobCap,
    /// The org's bound.
    OrgCap,
    /// The job asked for it.
    NotKept,
}

/// All numbers of one server.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    jobs: Family<Label, Gauge>,
    records: Gauge,
    kept_bytes: Gauge,
    serving: Family<Label, Gauge>,
    generation: Gauge,
    taken: Counter,
    started: Counter,
    finished: Family<Label, Counter>,
    adopted: Counter,
    queue_time: Histogram,
    spawn_time: Histogram,
    run_time: Histogram,
    output_bytes: Counter,
    stalled: Gauge,
    readers: Gauge,
    gaps: Family<Label, Counter>,
    gap_bytes: Family<Label, Counter>,
    commit_time: Histogram,
    commit_rows: Histogram,
    store_errors: Family<Label, Counter>,
    refusals: Family<Label, Counter>,
}

/// Counts something for as long as it lives.
#[derive(Debug)]
pub struct Counted {
    gauge: Gauge,
}

impl Counted {
    fn new(gauge: &Gauge) -> Counted {
        gauge.inc();
        Counted { gauge: gauge.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// Numbers that all stand at zero.
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("runtime");
        let mut inner = Inner {
            registry: Registry::default(),
            jobs: Family::default(),
            records: Gauge::default(),
            kept_bytes: Gauge::default(),
            serving: Family::default(),
            generation: Gauge::default(),
            taken: Counter::default(),
            started: Counter::default(),
            finished: Family::default(),
            adopted: Counter::default(),
            queue_time: Histogram::new(SECONDS),
            spawn_time: Histogram::new(SECONDS),
            run_time: Histogram::new(SECONDS),
            output_bytes: Counter::default(),
            stalled: Gauge::default(),
            readers: Gauge::default(),
            gaps: Family::default(),
            gap_bytes: Family::default(),
            commit_time: Histogram::new(SECONDS),
            commit_rows: Histogram::new(ROWS),
            store_errors: Family::default(),
            refusals: Family::default(),
        };
        register_jobs(&mut registry, &inner);
        register_logs_and_store(&mut registry, &inner);
        register_server(&mut registry, &inner);
        inner.name_every_label();
        inner.registry = registry;
        Metrics { inner: Arc::new(inner) }
    }

    /// A job was taken: it waits, or starts at once.
    pub fn job_queued(&self) {
        self.inner.taken.inc();
    }

    /// A command runs, after so long in the queue and in the making of its sandbox. Not for a job that is adopted.
    pub fn job_started(&self, queue: Duration, spawn: Duration) {
        self.inner.started.inc();
        self.inner.queue_time.observe(queue.as_secs_f64());
        self.inner.spawn_time.observe(spawn.as_secs_f64());
    }

    /// A job is over, and that is on disk.
    pub fn job_finished(&self, outcome: &Outcome, usage: &Usage) {
        self.inner.finished.get_or_create(&[("cause", cause(outcome))]).inc();
        if let Some(run_us) = usage.run_us {
            self.inner.run_time.observe(Duration::from_micros(run_us).as_secs_f64());
        }
    }

    /// A server took over a job of the one before it.
    pub fn job_adopted(&self) {
        self.inner.adopted.inc();
    }

    /// So many bytes of output were stored.
    pub fn output_bytes(&self, bytes: u64) {
        self.inner.output_bytes.inc_by(bytes);
    }

    /// The output of a job waits in its pipe, until the answer is dropped.
    #[must_use]
    pub fn log_stalled(&self) -> Counted {
        Counted::new(&self.inner.stalled)
    }

    /// A client reads output, until the answer is dropped.
    #[must_use]
    pub fn reader_opened(&self) -> Counted {
        Counted::new(&self.inner.readers)
    }

    /// So many bytes of output are kept no longer.
    pub fn gap(&self, why: GapCause, bytes: u64) {
        let label = [("reason", why.word())];
        self.inner.gaps.get_or_create(&label).inc();
        self.inner.gap_bytes.get_or_create(&label).inc_by(bytes);
    }

    /// One transaction of so many rows is on disk, after so long.
    pub fn store_commit(&self, took: Duration, rows: u64) {
        self.inner.commit_time.observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "rows of one transaction are few")]
        self.inner.commit_rows.observe(rows as f64);
    }

    /// A write of the store failed.
    pub fn store_error(&self, why: StoreFailure) {
        self.inner.store_errors.get_or_create(&[("error", why.word())]).inc();
    }

    /// A call was refused, for one of the reasons of `proto/ERRORS.md`.
    pub fn refused(&self, reason: &'static str) {
        self.inner.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    /// The number of this server among those of its launcher, from 1.
    pub fn generation(&self, generation: u32) {
        self.inner.generation.set(i64::from(generation));
    }

    /// The page, with what is true now, as OpenMetrics text 1.0 or as Prometheus text 0.0.4.
    pub fn page(&self, now: &Now, form: Form) -> String {
        let set = |gauge: &Family<Label, Gauge>, label, value| {
            gauge.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        for (word, value) in
            [("queued", now.live.queued), ("starting", now.live.starting), ("running", now.live.running)]
        {
            set(&self.inner.jobs, [("state", word)], value);
        }
        for state in ServingWord::ALL {
            set(&self.inner.serving, [("state", state.word())], u64::from(state == now.state));
        }
        self.inner.records.set(i64::try_from(now.records).unwrap_or(i64::MAX));
        self.inner.kept_bytes.set(i64::try_from(now.output_bytes).unwrap_or(i64::MAX));
        page::write(&self.inner.registry, form)
    }
}

fn register_jobs(to: &mut Registry, inner: &Inner) {
    to.register("jobs", "Jobs that are not over, by state", inner.jobs.clone());
    to.register("jobs_taken", "Jobs that were taken into the queue", inner.taken.clone());
    to.register("jobs_started", "Jobs whose command ran", inner.started.clone());
    to.register("jobs_finished", "Jobs that are over, by cause", inner.finished.clone());
    to.register("jobs_adopted", "Jobs that a server took over from the one before it", inner.adopted.clone());
    let time = |to: &mut Registry, name, help, histogram: &Histogram| {
        to.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    };
    time(to, "job_queue", "From the request to the start", &inner.queue_time);
    time(to, "job_spawn", "From the start to exec", &inner.spawn_time);
    time(to, "job_run", "From exec to the end of the first process", &inner.run_time);
}

fn register_logs_and_store(to: &mut Registry, inner: &Inner) {
    let bytes = Unit::Bytes;
    to.register_with_unit("output", "Output that was stored", bytes.clone(), inner.output_bytes.clone());
    to.register("logs_stalled", "Jobs whose output waits in the pipe", inner.stalled.clone());
    to.register("readers", "Clients that read output", inner.readers.clone());
    to.register("gaps", "Pieces of output that were removed, by reason", inner.gaps.clone());
    to.register_with_unit(
        "gap",
        "Output that was removed, by reason",
        bytes.clone(),
        inner.gap_bytes.clone(),
    );
    to.register("records", "Records of jobs that are kept", inner.records.clone());
    to.register_with_unit("kept_output", "Output that is kept, on disk", bytes, inner.kept_bytes.clone());
    to.register_with_unit(
        "store_commit",
        "Transactions of the store",
        Unit::Seconds,
        inner.commit_time.clone(),
    );
    to.register("store_commit_rows", "Rows in one transaction of the store", inner.commit_rows.clone());
    to.register("store_errors", "Writes of the store that failed, by error", inner.store_errors.clone());
}

fn register_server(to: &mut Registry, inner: &Inner) {
    to.register("refusals", "Calls that were refused, by reason of the error", inner.refusals.clone());
    to.register("serving", "1 for the state that the daemon is in", inner.serving.clone());
    to.register("server_generation", "Servers that this launcher has started", inner.generation.clone());
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    to.register("build", "The version that runs", version);
}

impl Inner {
    /// A label that was never seen would be missing from the page, and a rule that asks for it would see nothing
    /// instead of zero.
    fn name_every_label(&self) {
        for word in CAUSES {
            drop(self.finished.get_or_create(&[("cause", word)]));
        }
        for why in GapCause::ALL {
            drop(self.gaps.get_or_create(&[("reason", why.word())]));
            drop(self.gap_bytes.get_or_create(&[("reason", why.word())]));
        }
        for why in StoreFailure::ALL {
            drop(self.store_errors.get_or_create(&[("error", why.word())]));
        }
        for reason in crate::api::errors::Reason::ALL {
            drop(self.refusals.get_or_create(&[("reason", reason.name())]));
        }
    }
}

/// Every word of [`cause`].
const CAUSES: [&str; 8] =
    ["exited", "signalled", "limit", "denied", "cancelled", "spawn_failed", "host_oom", "lost"];

/// The cause as the API names it.
const fn cause(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Exited { .. } => "exited",
        Outcome::Signalled { .. } => "signalled",
        Outcome::Limit(_) => "limit",
        Outcome::Denied { .. } => "denied",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::SpawnFailed(_) => "spawn_failed",
        Outcome::HostOom { .. } => "host_oom",
        Outcome::Lost { .. } => "lost",
    }
}

impl ServingWord {
    const ALL: [ServingWord; 3] = [ServingWord::Serving, ServingWord::Draining, ServingWord::Degraded];

    const fn word(self) -> &'static str {
        match self {
            ServingWord::Serving => "serving",
            ServingWord::Draining => "draining",
            ServingWord::Degraded => "degraded",
        }
    }
}

impl StoreFailure {
    const ALL: [StoreFailure; 3] = [StoreFailure::NoSpace, StoreFailure::ReadOnly, StoreFailure::Broken];

    const fn word(self) -> &'static str {
        match self {
            StoreFailure::NoSpace => "no_space",
            StoreFailure::ReadOnly => "read_only",
            StoreFailure::Broken => "broken",
        }
    }
}

impl GapCause {
    const ALL: [GapCause; 3] = [GapCause::JobCap, GapCause::OrgCap, GapCause::NotKept];

    const fn word(self) -> &'static str {
        match self {
            GapCause::JobCap => "job_cap",
            GapCause::OrgCap => "org_cap",
            GapCause::NotKept => "not_kept",
        }
    }
}

#[cfg(test)]
mod tests;
