//! The one thread that writes. It takes what waits, makes one transaction of it, and answers everybody after the
//! commit, so that an answer means "on disk" and a busy store needs few commits.
//!
//! ```text
//! wait ─▶ take all that waits ─▶ transaction ─▶ committed ─▶ answer ─▶ wait
//!  ▲                                └─ the disk refuses ─▶ each alone ─▶ answer; while unwell, try a write now and then
//! ```

use super::write::{Done, Op, Write};
use super::{FaultKind, Health, Shared, StoreError, read};
use crate::metrics::StoreFailure;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Writes of one transaction.
const GROUP_MAX: usize = 512;
/// Bytes of one transaction, about: after that the group is full.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often an unwell store tries whether it is well again.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// Something to be done, and who waits for it.
pub(super) struct Request {
    pub(super) op: Op,
    pub(super) answer: oneshot::Sender<Result<Done, StoreError>>,
    /// Its place in the queue.
    pub(super) place: OwnedSemaphorePermit,
}

pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    /// The last change that is committed.
    change: u64,
    skew_ms: u64,
    /// Writes so far, for the fault hook.
    writes: u64,
}

impl Writer {
    /// Reads where the last writer ended.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Result<Writer, StoreError> {
        let meta = |name| {
            read::meta(&connection, name).map_err(|error| StoreError::of("read", &shared.file, &error))
        };
        let (change, skew_ms) = (meta("change")?, meta("skew_ms")?);
        shared.change.send_replace(change);
        Ok(Writer { connection, shared, change, skew_ms, writes: 0 })
    }

    /// Writes until nobody can ask any more.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let first = if self.shared.is_well() {
                requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                requests.recv_timeout(PROBE_EVERY)
            };
            match first {
                Ok(first) => self.serve(first, requests),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err((_, error)) = self.connection.close() {
            let error = StoreError::of("close", &self.shared.file, &error);
            tracing::warn!("the records of jobs were not closed: {error}");
        }
    }

    fn serve(&mut self, first: Request, requests: &Receiver<Request>) {
        let mut bytes = first.op.weight();
        let mut group = VecDeque::from([first]);
        while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(next) = requests.try_recv() else { break };
            bytes += next.op.weight();
            group.push_back(next);
        }
        let faults: Vec<Option<StoreError>> = group.iter().map(|_| self.next_fault()).collect();
        let answers = match self.commit(group.iter().zip(&faults)) {
            Ok(answers) => answers,
            // One row may be what the disk refuses; the others shall not suffer for it.
            Err(_) if group.len() > 1 => group
                .iter()
                .zip(&faults)
                .flat_map(|one| self.commit(std::iter::once(one)).unwrap_or_else(|error| vec![Err(error)]))
                .collect(),
            Err(error) => vec![Err(error)],
        };
        self.note_health(&answers);
        self.shared.change.send_replace(self.change);
        for (request, answer) in group.into_iter().zip(answers) {
            let Request { answer: asker, place, .. } = request;
            drop(place);
            if asker.send(answer).is_err() {
                tracing::trace!("nobody waits for this write");
            }
        }
    }

    /// One transaction. An inner error is one row's; the outer one is the disk's, and then nothing was written.
    fn commit<'a>(
        &mut self,
        group: impl Iterator<Item = (&'a Request, &'a Option<StoreError>)>,
    ) -> Result<Vec<Result<Done, StoreError>>, StoreError> {
        let began = Instant::now();
        let tried = self.try_commit(group);
        match (&tried, self.shared.metrics.get()) {
            (Ok(answers), Some(metrics)) => metrics.store_commit(began.elapsed(), answers.len() as u64),
            (Ok(_), None) => {}
            (Err(_), _) => self.roll_back(),
        }
        tried
    }

    /// Leaves a transaction that failed, unless SQLite has done so already.
    fn roll_back(&self) {
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            let error = StoreError::of("roll back", &self.shared.file, &error);
            tracing::warn!("a failed write of records was not rolled back: {error}");
        }
    }

    fn try_commit<'a>(
        &mut self,
        group: impl Iterator<Item = (&'a Request, &'a Option<StoreError>)>,
    ) -> Result<Vec<Result<Done, StoreError>>, StoreError> {
        self.execute("BEGIN IMMEDIATE")?;
        let mut write = Write {
            connection: &self.connection,
            file: &self.shared.file,
            change: self.change,
            skew_ms: self.skew_ms,
        };
        let mut answers = Vec::new();
        for (request, fault) in group {
            if let Some(fault) = fault {
                answers.push(Err(fault.clone()));
                continue;
            }
            // A mistake of the caller is found before or by the first statement, so it leaves nothing behind.
            let answer = write.apply(&request.op);
            if let Err(error) = &answer
                && error.is_of_the_disk()
            {
                return Err(error.clone());
            }
            answers.push(answer);
        }
        let (change, skew_ms) = (write.change, write.skew_ms);
        if change != self.change {
            let last = super::write::signed(change);
            let kept = self
                .connection
                .prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'change'")
                .and_then(|mut statement| statement.execute([last]));
            kept.map_err(|error| StoreError::of("write", &self.shared.file, &error))?;
        }
        self.execute("COMMIT")?;
        (self.change, self.skew_ms) = (change, skew_ms);
        Ok(answers)
    }

    fn execute(&self, statement: &str) -> Result<(), StoreError> {
        let executed = self.connection.prepare_cached(statement).and_then(|mut one| one.execute([]));
        executed.map(|_| ()).map_err(|error| StoreError::of("write", &self.shared.file, &error))
    }

    /// A small write, to see whether the disk takes any.
    fn probe(&mut self) {
        self.roll_back();
        let upcoming = self.writes + 1;
        let fault = self.shared.fault.as_ref().and_then(|fault| fault(upcoming));
        let tried = match fault {
            Some(kind) => Err(self.shared.error_of(kind)),
            None => self
                .connection
                .execute("UPDATE meta SET value = value + 1 WHERE name = 'probe'", [])
                .map_err(|error| StoreError::of("write", &self.shared.file, &error)),
        };
        match tried {
            Ok(_) => self.shared.set_health(Health::Ok),
            Err(error) => self.shared.set_health(Health::of(&error)),
        }
    }

    fn next_fault(&mut self) -> Option<StoreError> {
        self.writes += 1;
        let kind: FaultKind = self.shared.fault.as_ref().and_then(|fault| fault(self.writes))?;
        Some(self.shared.error_of(kind))
    }

    /// The last answer that tells about the disk says how it is.
    fn note_health(&self, answers: &[Result<Done, StoreError>]) {
        if let Some(metrics) = self.shared.metrics.get() {
            answers
                .iter()
                .filter_map(|answer| answer.as_ref().err())
                .filter(|error| error.is_of_the_disk())
                .for_each(|error| metrics.store_error(failure(error)));
        }
        let telling = answers.iter().rev().find_map(|answer| match answer {
            Ok(_) => Some(Health::Ok),
            Err(error) if error.is_of_the_disk() => {
                self.shared.note_damage(error);
                Some(Health::of(error))
            }
            Err(_) => None,
        });
        if let Some(health) = telling {
            self.shared.set_health(health);
        }
    }
}

/// What is counted.
fn failure(error: &StoreError) -> StoreFailure {
    match error {
        StoreError::NoSpace(_) => StoreFailure::NoSpace,
        StoreError::ReadOnly(_) => StoreFailure::ReadOnly,
        _ => StoreFailure::Broken,
    }
}
