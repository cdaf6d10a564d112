//! All jobs of this server: those that are not over are here, and whoever wants one more comes here.
//!
//! It owns the queue and the ids. It must not wait for a job, and nobody waits for the disk while holding its lock.

use super::changes::Removals;
use super::job::{Ends, Job};
use super::queue::{Bounds, Queue};
use super::record::{self, JobRecord, Stored};
use super::request::{NotTaken, Request, Taken};
use super::seal::Seal;
use super::serving::{Serving, Trouble};
use super::state::State;
use super::task::{self, Birth};
use super::{Retention, retention};
use crate::faults::Faults;
use crate::link::Link;
use crate::logs::place::Place;
use crate::metrics::{Counted, Metrics};
use crate::store::{Row, RowState, Store, StoreError, StoredSpec, Submitted};
use runtime_plan::fault::CrashStep;
use runtime_plan::link::{JobId, LauncherId, Rules, Welcome};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How long a list waits for rows that are on their way to the disk.
const SETTLE_MAX: Duration = Duration::from_millis(100);

/// What a registry is made of.
#[derive(Debug)]
pub struct Parts {
    /// To the launcher.
    pub link: Link,
    /// The records.
    pub store: Store,
    /// Where store and logs are.
    pub state_dir: PathBuf,
    /// They go with this server: nothing of them waits for the disk.
    pub passing: bool,
    /// Jobs of one org that run at the same time; as many as of all without.
    pub org_running_max: Option<u32>,
    /// What is kept.
    pub retention: Retention,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// What is counted.
    pub metrics: Metrics,
}

/// All jobs of this server.
#[derive(Debug)]
pub struct Registry {
    pub(super) link: Link,
    pub(super) store: Store,
    pub(super) state_dir: PathBuf,
    pub(super) passing: bool,
    pub(super) place: Place,
    pub(super) seal: Seal,
    pub(super) launcher: LauncherId,
    pub(super) retention: Retention,
    pub(super) faults: Faults,
    pub(super) metrics: Metrics,
    pub(super) rules: watch::Sender<Arc<Rules>>,
    pub(super) removals: tokio::sync::RwLock<Removals>,
    /// Jobs that have a task.
    pub(super) open: watch::Sender<usize>,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) serving: watch::Sender<Serving>,
    pub(super) totals: watch::Sender<Totals>,
    /// Rows that are queued for the disk.
    unsettled: watch::Sender<usize>,
    org_running_max: Option<u32>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) live: BTreeMap<String, Arc<Job>>,
    queue: Queue,
    /// Who waits for a turn.
    turns: HashMap<JobId, oneshot::Sender<()>>,
    /// The queue is not whole yet: who comes first in it is not known.
    pub(super) recovering: bool,
    ids: ulid::Generator,
    pub(super) draining: bool,
    /// How many drains there were: a deadline of an earlier one means nothing.
    pub(super) drains: u64,
    pub(super) trouble: Option<Trouble>,
    /// One for each job whose output waits.
    pub(super) stalled: Vec<Counted>,
}

/// How many jobs are not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wait for their turn.
    pub queued: u32,
    /// Are being started.
    pub starting: u32,
    /// Run, or end.
    pub running: u32,
}

/// What is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records.
    pub records: u64,
    /// Bytes of output of jobs that are over.
    pub output_bytes: u64,
}

/// Whose turn a job waits for.
pub(super) type Turn = oneshot::Receiver<()>;

impl Registry {
    /// A registry that knows no job yet: see [`Registry::recover`]. Takes the key out of the greeting.
    pub fn new(parts: Parts, welcome: &mut Welcome) -> Arc<Registry> {
        let Parts { link, store, state_dir, passing, org_running_max, retention, faults, metrics } = parts;
        let inner = Inner {
            live: BTreeMap::new(),
            queue: Queue::new(bounds(&welcome.rules, org_running_max)),
            turns: HashMap::new(),
            ids: ulid::Generator::new(),
            recovering: false,
            draining: false,
            drains: 0,
            trouble: None,
            stalled: Vec::new(),
        };
        let serving = Serving::of(&inner, false, &faults);
        Arc::new(Registry {
            link,
            place: Place::new(&state_dir),
            state_dir,
            passing,
            store,
            seal: Seal::take(&mut welcome.seal_key),
            launcher: welcome.launcher.clone(),
            retention,
            faults,
            metrics,
            rules: watch::Sender::new(Arc::new(welcome.rules.clone())),
            removals: tokio::sync::RwLock::default(),
            open: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            serving: watch::Sender::new(serving),
            totals: watch::Sender::new(Totals::default()),
            unsettled: watch::Sender::new(0),
            org_running_max,
            inner: Mutex::new(inner),
        })
    }

    /// Takes a job that lives with its clients: into the queue, or to its start when there is room. The caller is its first
    /// client. It is durable when it has a key, and soon without.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub async fn run(self: &Arc<Self>, request: Request) -> Result<Taken, NotTaken> {
        self.take_apart(request, false).await
    }

    /// Takes a job that lives by itself. The answer means that it is on disk.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub async fn submit(self: &Arc<Self>, request: Request) -> Result<Taken, NotTaken> {
        self.take_apart(request, true).await
    }

    /// In a task of its own: a caller that goes away meanwhile leaves nothing half done.
    async fn take_apart(self: &Arc<Self>, request: Request, submitted: bool) -> Result<Taken, NotTaken> {
        let registry = Arc::clone(self);
        let taking = tokio::spawn(async move { registry.take(request, submitted).await });
        taking.await.unwrap_or(Err(NotTaken::ShuttingDown))
    }

    async fn take(self: Arc<Self>, request: Request, submitted: bool) -> Result<Taken, NotTaken> {
        if let Some(key) = &request.key {
            // Known requests are answered whatever state this server is in.
            let known = self.store.by_key(&request.org, key).await.map_err(NotTaken::Store)?;
            match known {
                Some(row) if self.is_same(&request, &row) => return Ok(self.known(row).await),
                Some(row) => return Err(NotTaken::KeyConflict { job_id: row.id }),
                None => {}
            }
        }
        let (mut stored, job, ends, turn) = self.reserve(&request, submitted)?;
        let starts = !turn.is_empty();
        if starts {
            // Before it is asked: whoever finds this row must know that the job may have run.
            (stored.launcher, stored.asked_us) = (Some(self.launcher.clone()), Some(self.faults.now_us()));
        }
        let taken = Taken { presence: job.attend(), job, known: false };
        let sealed = self.seal.close(&stored.record.id, &request.spec);
        let row = match sealed.map_err(|error| error.to_string()) {
            Ok(spec) => {
                self.row(&stored, if starts { RowState::Starting } else { RowState::Queued }, Some(spec))
            }
            Err(error) => Err(StoreError::Io { act: "write", detail: error }),
        };
        let answer = match row {
            Ok(row) if submitted || request.key.is_some() => self.store.submit(row).await,
            // Not awaited: the launcher will hold it before any client hears of it.
            Ok(row) => {
                self.put_soon(row);
                Ok(Submitted::New(0))
            }
            Err(error) => Err(error),
        };
        if !matches!(answer, Ok(Submitted::New(_))) {
            self.unreserve(&stored.record);
        }
        match answer.map_err(NotTaken::Store)? {
            Submitted::New(_) => {}
            Submitted::Existing(row) => return Ok(self.known(*row).await),
            Submitted::Conflict(job_id) => return Err(NotTaken::KeyConflict { job_id }),
        }
        if submitted {
            self.faults.crash_point(CrashStep::SubmitCommitted);
        }
        self.metrics.job_queued();
        let (spec, turn) = (Some(request.spec), Some(turn));
        let birth = Birth { spec, turn, queued_on_disk: !starts, ..Birth::new(stored, State::Queued) };
        tokio::spawn(task::own(Arc::clone(&self), Arc::clone(&taken.job), birth, ends));
        Ok(taken)
    }

    /// A place in the queue, and perhaps a turn at once.
    fn reserve(
        &self,
        request: &Request,
        submitted: bool,
    ) -> Result<(Stored, Arc<Job>, Ends, Turn), NotTaken> {
        let profile_digest = {
            let rules = self.rules.borrow();
            let profile = rules.profiles.iter().find(|profile| profile.name == request.spec.profile);
            profile.map(|profile| profile.digest.clone()).unwrap_or_default()
        };
        let mut inner = self.lock();
        if *self.stopping.borrow() {
            return Err(NotTaken::ShuttingDown);
        }
        if inner.draining {
            return Err(NotTaken::Draining);
        }
        if let Some(trouble) = &inner.trouble {
            return Err(NotTaken::Store(trouble.error.clone()));
        }
        let id = next_id(&mut inner.ids);
        if inner.queue.offer(&request.org, request.priority, id.clone()).is_err() {
            let Bounds { running_max, queued_max, .. } = inner.queue.bounds();
            return Err(NotTaken::QueueFull { running_max, queued_max });
        }
        let digest = request.key.as_ref().map_or([0; 32], |_| request.digest(&self.seal));
        let taken_under = self.launcher.instance.clone();
        let taken = record::Taken { profile_digest, digest, taken_under };
        let record = JobRecord::new(id, request, submitted, self.faults.now_us(), taken);
        let stored = Stored::new(Arc::new(record));
        let (job, ends) = self.enter(&mut inner, &stored, State::Queued);
        let turn = self.wait_for_turn(&mut inner, &stored.record);
        Ok((stored, job, ends, turn))
    }

    /// The job is found from now on, and counts as open.
    pub(super) fn enter(&self, inner: &mut Inner, stored: &Stored, state: State) -> (Arc<Job>, Ends) {
        let id = stored.record.id.to_string();
        let (job, ends) = Job::live(stored, state, self.place.of(&id));
        let job = Arc::new(job);
        inner.live.insert(id, Arc::clone(&job));
        self.open.send_modify(|open| *open += 1);
        (job, ends)
    }

    fn wait_for_turn(&self, inner: &mut Inner, record: &JobRecord) -> Turn {
        let (turn, comes) = oneshot::channel();
        inner.turns.insert(record.id.clone(), turn);
        grant_turns(inner);
        comes
    }

    /// What [`Registry::reserve`] did, undone.
    fn unreserve(&self, record: &JobRecord) {
        self.leave_queue(record);
        self.forget(record);
    }

    /// The job goes to its place in the queue, whatever the bound.
    pub(super) fn rejoin(&self, record: &JobRecord) -> Turn {
        let mut inner = self.lock();
        inner.queue.join(&record.org, record.priority, record.id.clone());
        self.wait_for_turn(&mut inner, record)
    }

    /// The job counts as running: the launcher has it already.
    pub(super) fn count_running(&self, record: &JobRecord) {
        self.lock().queue.adopt(&record.org);
    }

    /// One that waited does not wait any more. Its turn may have come in this moment: then it goes to another.
    pub(super) fn leave_queue(&self, record: &JobRecord) {
        let mut inner = self.lock();
        inner.turns.remove(&record.id);
        if !inner.queue.leave(&record.org, record.priority, &record.id) {
            inner.queue.ended(&record.org);
        }
        grant_turns(&mut inner);
    }

    /// One that ran gives its place to another.
    pub(super) fn give_place(&self, record: &JobRecord) {
        let mut inner = self.lock();
        inner.queue.ended(&record.org);
        grant_turns(&mut inner);
    }

    /// The job's task is at its end: from now on only the store knows it.
    pub(super) fn forget(&self, record: &JobRecord) {
        self.lock().live.remove(record.id.as_str());
        self.open.send_modify(|open| *open = open.saturating_sub(1));
    }

    /// Looks again who may start: the bounds changed, or the queue is held or let go.
    pub(super) fn review(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        change(&mut inner);
        let stopping = *self.stopping.borrow();
        let held = inner.recovering || inner.draining || inner.trouble.is_some() || stopping;
        inner.queue.hold(held);
        grant_turns(&mut inner);
        let serving = Serving::of(&inner, stopping, &self.faults);
        drop(inner);
        self.serving.send_if_modified(|known| {
            let changed = *known != serving;
            *known = serving;
            changed
        });
    }

    /// The operator's files were read again.
    pub fn set_rules(&self, rules: Rules) {
        let bounds = bounds(&rules, self.org_running_max);
        self.rules.send_replace(Arc::new(rules));
        self.review(|inner| inner.queue.set_bounds(bounds));
    }

    /// What the operator's files say, now and later.
    pub fn rules(&self) -> watch::Receiver<Arc<Rules>> {
        self.rules.subscribe()
    }

    /// A job of an earlier request.
    async fn known(&self, row: Row) -> Taken {
        let job = self.job_of(row).await;
        Taken { presence: job.attend(), job, known: true }
    }

    /// Whether the row is of the same request.
    fn is_same(&self, request: &Request, row: &Row) -> bool {
        let taken_under = Stored::decode(&row.record).map(|stored| stored.record.taken_under.clone());
        let same_launcher = taken_under.is_ok_and(|instance| instance == self.launcher.instance);
        request.is_same(&row.spec_digest, same_launcher, &self.seal)
    }

    /// The job of a row: the live one when there is one.
    pub(super) async fn job_of(&self, row: Row) -> Arc<Job> {
        if let Some(job) = self.live(&row.id) {
            return job;
        }
        // It may have ended since the row was read.
        let again = match row.state {
            RowState::Finished => None,
            _ => self.store.get(&row.id).await.ok().flatten(),
        };
        let row = again.unwrap_or(row);
        Arc::new(Job::past(&stored_of(&row), self.place.of(&row.id)))
    }

    fn live(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().live.get(id).cloned()
    }

    /// The row of a job as it is now.
    pub(super) fn row(
        &self,
        stored: &Stored,
        state: RowState,
        spec: Option<StoredSpec>,
    ) -> Result<Row, StoreError> {
        let record = &stored.record;
        let bytes =
            stored.encode().map_err(|error| StoreError::Io { act: "write", detail: error.to_string() })?;
        Ok(Row {
            id: record.id.to_string(),
            org: record.org.clone(),
            state,
            profile: record.profile.clone(),
            labels: record.labels.clone(),
            priority: record.priority,
            created_us: record.created_us,
            started_us: stored.started.as_ref().map(|started| started.time_us),
            finished_us: stored.finished.as_ref().map(|finished| finished.time_us),
            key: record.key.clone(),
            spec_digest: record.digest,
            log_bytes: 0,
            record: bytes,
            spec,
            change: 0,
        })
    }

    /// Queues a row, in order, and does not wait for the disk.
    pub(super) fn put_soon(&self, row: Row) {
        let (written, unsettled) = (self.store.put_later(row), self.unsettled.clone());
        unsettled.send_modify(|rows| *rows += 1);
        tokio::spawn(async move {
            if let Err(error) = written.await {
                tracing::debug!(%error, "a record was not written; the next one of its job holds the same");
            }
            unsettled.send_modify(|rows| *rows = rows.saturating_sub(1));
        });
    }

    /// Waits for rows that are queued, so that whoever was told of a job finds it in a list; not for a disk that is full.
    pub(super) async fn settle(&self) {
        let mut unsettled = self.unsettled.subscribe();
        let settled = unsettled.wait_for(|rows| *rows == 0);
        if tokio::time::timeout(SETTLE_MAX, settled).await.is_err() {
            tracing::debug!("some records are not written yet");
        }
    }

    /// Jobs that are not over.
    pub fn counts(&self) -> Counts {
        let inner = self.lock();
        let (running, queued) = inner.queue.counts();
        let starting = inner.live.values().filter(|job| job.state().row() == RowState::Starting).count();
        let starting = u32::try_from(starting).unwrap_or(u32::MAX).min(running);
        Counts { queued, starting, running: running - starting }
    }

    /// What is kept, as of some moments ago.
    pub fn totals(&self) -> Totals {
        *self.totals.borrow()
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The link, for questions that are about no job.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Starts what goes on beside the jobs, until the registry is dropped: retention, health, totals.
    pub fn keep_house(self: &Arc<Self>) {
        tokio::spawn(super::serving::watch_health(Arc::downgrade(self)));
        tokio::spawn(retention::keep(Arc::downgrade(self)));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a row says; a record that cannot be read leaves what the columns say.
pub(super) fn stored_of(row: &Row) -> Stored {
    match Stored::decode(&row.record) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(job = row.id, %error, "failed to read the record of a job");
            let id = JobId::try_from(row.id.clone()).unwrap_or_else(|_| unknown_id());
            let record = JobRecord {
                org: row.org.clone(),
                profile: row.profile.clone(),
                labels: row.labels.clone(),
                priority: row.priority,
                created_us: row.created_us,
                key: row.key.clone(),
                digest: row.spec_digest,
                ..JobRecord::unreadable(id)
            };
            Stored::new(Arc::new(record))
        }
    }
}

fn grant_turns(inner: &mut Inner) {
    while let Some(job) = inner.queue.next() {
        let told = inner.turns.remove(&job).map(|turn| turn.send(()));
        if !matches!(told, Some(Ok(()))) {
            // Its task is about to leave the queue, and gives the place back then.
            tracing::debug!(%job, "a job does not wait for its turn any more");
        }
    }
}

fn bounds(rules: &Rules, org_running_max: Option<u32>) -> Bounds {
    Bounds {
        running_max: rules.policy.jobs_running_max,
        queued_max: rules.policy.jobs_queued_max,
        org_running_max: org_running_max.unwrap_or(u32::MAX),
    }
}

/// A new id, greater than every one before.
fn next_id(ids: &mut ulid::Generator) -> JobId {
    let ulid = match ids.generate() {
        Ok(ulid) => ulid,
        Err(overflow) => overflow.commit_overflow_increment(),
    };
    id_of(ulid)
}

fn unknown_id() -> JobId {
    id_of(ulid::Ulid::nil())
}

fn id_of(ulid: ulid::Ulid) -> JobId {
    let text = format!("job-{}", ulid.to_string().to_ascii_lowercase());
    match JobId::try_from(text) {
        Ok(id) => id,
        // 26 letters and digits and a prefix always are an id.
        Err(_) => unreachable!("a ULID in lower case is within the bounds of a job id"),
    }
}
