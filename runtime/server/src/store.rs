//! The records of jobs: one SQLite file in the state directory. An answered write is on disk.
//!
//! It knows nothing of jobs but a [`Row`]: what it can search, and bytes that it does not read. It must not log or
//! name in an error what is in a row, and must not be given a variable's value in clear.
//!
//! ```text
//! put, submit, delete ─▶ queue ─▶ writer (one thread, group commit) ─▶ store.sqlite ─▶ readers ─▶ get, list, changes
//! ```
//!
//! A full or read-only disk makes writes fail with a typed error and changes nothing else; reads go on, and the store
//! finds out by itself when it can write again. Whatever dies, what was answered is there.

mod error;
mod expiry;
mod file;
mod list;
mod order;
mod read;
mod readers;
mod row;
mod schema;
mod write;
mod writer;

pub use error::{Health, StoreError};
pub use expiry::{EXPIRABLE_MAX, Expirable, KEY_KEPT_US, Policy};
pub use list::{CHANGES_EXAMINED_MAX, Changes, LIST_MAX, Query};
pub use read::{Counts, FOUND_MAX, Found, OrgTally};
pub use row::{
    ID_BYTES_MAX, KEY_BYTES_MAX, LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, NUMBER_MAX, RECORD_BYTES_MAX,
    Row, RowState, SPEC_BYTES_MAX, StoredSpec,
};
pub use schema::VERSION;

use crate::metrics::Metrics;
use readers::Readers;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot, watch};
use write::{Done, Op};
use writer::{Request, Writer};

/// Writes that wait at most; each holds one row.
const QUEUE_MAX: usize = 16_384;

/// A write that is to fail, for tests and for users who ask for faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// As on a full disk.
    NoSpace,
    /// As on a read-only file system.
    ReadOnly,
    /// As on a failing disk.
    Io,
}

/// Is asked before the n-th write (from 1 on; also, while the store is unwell, whether the next one would fail).
pub type FaultHook = Arc<dyn Fn(u64) -> Option<FaultKind> + Send + Sync>;

/// How to open a store.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// The kernel's boot id (/proc/sys/kernel/random/boot_id). With it, the whole file is checked only after an unclean
    /// end of the host; empty: after an unclean end of the process, too.
    pub boot_id: String,
    /// The state goes with this process: nothing waits for the disk. A daemon's does not.
    pub passing: bool,
    /// Makes writes fail.
    pub fault: Option<FaultHook>,
}

/// What [`Store::submit`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A new job, written as this change.
    New(u64),
    /// This org's job with the same key and the same spec.
    Existing(Box<Row>),
    /// This org's job has the key, and another spec.
    Conflict(String),
}

/// What the writer, the readers and the callers all look at.
struct Shared {
    file: PathBuf,
    fault: Option<FaultHook>,
    health: watch::Sender<Health>,
    /// The file is damaged: no later success heals that.
    damage: Mutex<Option<Health>>,
    change: watch::Sender<u64>,
    /// Who counts commits and errors; nobody at first.
    metrics: OnceLock<Metrics>,
}

impl Shared {
    fn is_well(&self) -> bool {
        *self.health.borrow() == Health::Ok
    }

    fn set_health(&self, health: Health) {
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let health = damage.unwrap_or(health);
        self.health.send_if_modified(|known| {
            if *known == health {
                return false;
            }
            match &health {
                Health::Ok => tracing::info!("the records of jobs can be written again"),
                Health::Full(words) | Health::ReadOnly(words) | Health::Broken(words) => {
                    tracing::error!("{words}")
                }
            }
            *known = health;
            true
        });
    }

    fn note_damage(&self, error: &StoreError) {
        if matches!(error, StoreError::Corrupt { .. }) {
            let health = Health::of(error);
            *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(health.clone());
            self.set_health(health);
        }
    }

    fn error_of(&self, kind: FaultKind) -> StoreError {
        let directory = self.file.parent().map_or_else(PathBuf::new, Path::to_owned);
        match kind {
            FaultKind::NoSpace => StoreError::NoSpace(directory),
            FaultKind::ReadOnly => StoreError::ReadOnly(directory),
            FaultKind::Io => StoreError::Io { act: "write", detail: "a fault that was asked for".to_owned() },
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared {{ file: {:?} }}", self.file)
    }
}

#[derive(Debug)]
struct Queue {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

/// The store. A clone is the same store.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    queue: Arc<Mutex<Option<Queue>>>,
    places: Arc<Semaphore>,
}

impl Store {
    /// Opens `store.sqlite` in this directory, makes or migrates it. A full disk does not keep it from opening a file
    /// that is there: see [`Store::health`]. Blocks: call it before serving. The file must be
    /// nobody else's; the directory's lock is the caller's business.
    ///
    /// # Errors
    /// The file is damaged, of a newer version or of another program, or the disk refuses. Each says what to do.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        let file = directory.join(file::NAME);
        let file::Opened { connection, unwell, unchecked } =
            file::open_writer(&file, &options.boot_id, options.passing)?;
        let shared = Arc::new(Shared {
            file,
            fault: options.fault,
            health: watch::Sender::new(Health::Ok),
            damage: Mutex::new(None),
            change: watch::Sender::new(0),
            metrics: OnceLock::new(),
        });
        if let Some(error) = unwell {
            shared.set_health(Health::of(&error));
        }
        if unchecked {
            let started = file::check_while_serving(Arc::clone(&shared));
            started.map_err(no_thread)?;
        }
        let writer = Writer::new(connection, Arc::clone(&shared))?;
        let (requests, waiting) = mpsc::channel();
        let started = std::thread::Builder::new().name("runtime-store".to_owned());
        let started = started.spawn(move || writer.run(&waiting));
        let thread = started.map_err(no_thread)?;
        Ok(Store {
            readers: Arc::new(Readers::new(Arc::clone(&shared))),
            shared,
            queue: Arc::new(Mutex::new(Some(Queue { requests, thread }))),
            places: Arc::new(Semaphore::new(QUEUE_MAX)),
        })
    }

    /// Inserts or updates. `Ok` is the change, and means that it is on disk. The row's own `change` does not matter.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn put(&self, row: Row) -> Result<u64, StoreError> {
        changed(self.write(Op::Put(Box::new(row))).await?)
    }

    /// The same, in the queue before this returns: what is put later comes later. Durable when the future says so;
    /// dropping it takes nothing back.
    pub fn put_later(
        &self,
        row: Row,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send + 'static + use<> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let queued = match place {
            Ok(place) => self.enqueue(Op::Put(Box::new(row)), place),
            Err(_) => Err(StoreError::Busy),
        };
        async move { changed(queued?.await.map_err(|_| StoreError::Closed)??) }
    }

    /// Inserts a new job, unless its org has one with its key. Check and insert are one transaction.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn submit(&self, row: Row) -> Result<Submitted, StoreError> {
        match self.write(Op::Submit(Box::new(row))).await? {
            Done::Existing(row) => Ok(Submitted::Existing(row)),
            Done::Conflict(id) => Ok(Submitted::Conflict(id)),
            done => changed(done).map(Submitted::New),
        }
    }

    /// Removes a job with its key. Whether there was one.
    ///
    /// # Errors
    /// Nothing was removed.
    pub async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        Ok(matches!(self.write(Op::Delete(id.to_owned())).await?, Done::Changed(_)))
    }

    /// Notes how many bytes of output a job has on disk. Whether there is such a job.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn set_log_bytes(&self, id: &str, bytes: u64) -> Result<bool, StoreError> {
        Ok(matches!(self.write(Op::SetLogBytes(id.to_owned(), bytes)).await?, Done::Changed(_)))
    }

    /// The job of this id, with its spec.
    ///
    /// # Errors
    /// The file cannot be read. So for all reads.
    pub async fn get(&self, id: &str) -> Result<Option<Row>, StoreError> {
        let id = id.to_owned();
        self.readers.ask(move |connection| read::get(connection, &id)).await
    }

    /// The job of this org with this idempotency key, with its spec.
    pub async fn by_key(&self, org: &str, key: &str) -> Result<Option<Row>, StoreError> {
        let (org, key) = (org.to_owned(), key.to_owned());
        self.readers.ask(move |connection| read::by_key(connection, &org, &key)).await
    }

    /// The job whose id is this, or begins so; of this org, or of all.
    pub async fn find(&self, org: Option<&str>, prefix: &str) -> Result<Found, StoreError> {
        let (org, prefix) = (org.map(str::to_owned), prefix.to_owned());
        self.readers.ask(move |connection| read::find(connection, org.as_deref(), &prefix)).await
    }

    /// Jobs, newest (largest id) first, without their specs.
    pub async fn list(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.readers.ask(move |connection| list::list(connection, &query)).await
    }

    /// Every job that is not over, oldest first, with its spec.
    pub async fn unfinished(&self) -> Result<Vec<Row>, StoreError> {
        self.readers.ask(read::unfinished).await
    }

    /// Jobs that changed after `change` and match the query (its page and limit aside), by change. A job stands once,
    /// with its last change; one that was deleted does not stand there.
    pub async fn changes_after(
        &self,
        change: u64,
        query: Query,
        limit: usize,
    ) -> Result<Changes, StoreError> {
        self.readers.ask(move |connection| list::changes_after(connection, change, &query, limit)).await
    }

    /// Counts commits and errors from now on. The first one who asks for it has them.
    pub fn count_with(&self, metrics: Metrics) {
        self.shared.metrics.get_or_init(|| metrics);
    }

    /// The last change that is on disk.
    pub fn last_change(&self) -> u64 {
        *self.shared.change.borrow()
    }

    /// Tells whenever [`Store::last_change`] grows.
    pub fn watch_changes(&self) -> watch::Receiver<u64> {
        self.shared.change.subscribe()
    }

    /// What this policy lets go.
    pub async fn expirable(&self, policy: Policy) -> Result<Expirable, StoreError> {
        self.readers.ask(move |connection| expiry::expirable(connection, &policy)).await
    }

    /// How many jobs of each org are in which state, and the bytes of its logs.
    pub async fn tallies(&self) -> Result<Vec<OrgTally>, StoreError> {
        self.readers.ask(read::tallies).await
    }

    /// How well it is.
    pub fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    /// Tells whenever [`Store::health`] changes.
    pub fn watch_health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Ends it: what waits is written, and the log moved into the file. Later calls are answered `Closed`.
    pub async fn close(&self) {
        self.places.close();
        self.readers.close().await;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Queue { requests, thread }) = queue else { return };
        drop(requests);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the writer of records ended with a panic");
        }
    }

    async fn write(&self, op: Op) -> Result<Done, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        self.enqueue(op, place)?.await.map_err(|_| StoreError::Closed)?
    }

    fn enqueue(
        &self,
        op: Op,
        place: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Result<Done, StoreError>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(StoreError::Closed)?;
        queue.requests.send(Request { op, answer, place }).map_err(|_| StoreError::Closed)?;
        Ok(answered)
    }
}

fn no_thread(error: std::io::Error) -> StoreError {
    StoreError::Io { act: "start a thread for", detail: error.to_string() }
}

/// The change of a write that cannot find nothing.
fn changed(done: Done) -> Result<u64, StoreError> {
    match done {
        Done::Changed(change) => Ok(change),
        Done::Existing(_) | Done::Conflict(_) | Done::Nothing => Err(StoreError::Closed),
    }
}

#[cfg(test)]
mod tests;
