//! How this server is: serving, draining, or what is wrong. It decides whether new jobs are taken and whether those that wait
//! get their turn, and it is what health and `NodeService.Info` say.

use super::job::Command;
use super::registry::{Inner, Registry};
use super::state::State;
use crate::faults::Faults;
use crate::logs::Stall;
use crate::store::{Health, StoreError};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether output waits for the disk.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long jobs that nobody waits for may take to say that they wait on disk.
const POSTPONE_MAX: Duration = Duration::from_secs(2);

/// Says in the state directory that a drain goes on.
const DRAIN_FILE: &str = "store.sqlite.drain";

/// What is in that file.
#[derive(Serialize, Deserialize)]
struct DrainNote {
    /// Of the launcher: its end is the end of the drain.
    instance: String,
    /// The deadline, in microseconds since 1970 of the real clock.
    until_us: Option<u64>,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// In a word.
    pub state: ServingState,
    /// What is wrong, for people; empty when nothing is.
    pub problems: Vec<String>,
}

/// How the server is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServingState {
    /// Takes jobs.
    Serving,
    /// Takes no new jobs: those that run finish.
    Draining,
    /// Takes no new jobs: something is wrong.
    Degraded,
}

/// Why nothing can be kept at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What a caller is told.
    pub(super) error: StoreError,
    /// What the operator is told.
    pub(super) words: String,
}

impl Serving {
    pub(super) fn of(inner: &Inner, stopping: bool, faults: &Faults) -> Serving {
        let state = match (&inner.trouble, inner.draining || stopping) {
            (Some(_), _) => ServingState::Degraded,
            (None, true) => ServingState::Draining,
            (None, false) => ServingState::Serving,
        };
        let trouble = inner.trouble.iter().map(|trouble| trouble.words.clone());
        let leaves = stopping.then(|| "the daemon is on its way down".to_owned());
        let on_purpose = faults.texts().iter().map(|text| format!("a fault was asked for: {text}"));
        Serving { state, problems: trouble.chain(leaves).chain(on_purpose).collect() }
    }
}

impl Registry {
    /// How the server is, now and later.
    pub fn serving(&self) -> watch::Receiver<Serving> {
        self.serving.subscribe()
    }

    /// Takes no new jobs and starts none that waits; those that run finish. What runs after the deadline is cancelled. It goes
    /// on in the next server of this launcher.
    pub fn drain(self: &Arc<Self>, deadline: Option<Duration>) {
        let until_us = deadline.map(|deadline| {
            Faults::default().now_us().saturating_add(u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX))
        });
        let noted = postcard::to_stdvec(&DrainNote { instance: self.launcher.instance.clone(), until_us })
            .map_err(std::io::Error::other)
            .and_then(|note| std::fs::write(self.state_dir.join(DRAIN_FILE), note));
        if let Err(error) = noted {
            tracing::warn!(%error, "failed to note the drain: a server that follows a crash will take jobs again");
        }
        self.start_drain(deadline);
    }

    /// Goes on with the drain of an earlier server of this launcher; that of an earlier launcher is over.
    pub(super) fn resume_drain(self: &Arc<Self>) {
        let Ok(bytes) = std::fs::read(self.state_dir.join(DRAIN_FILE)) else { return };
        match postcard::from_bytes::<DrainNote>(&bytes) {
            Ok(note) if note.instance == self.launcher.instance => {
                let left = |until_us: u64| until_us.saturating_sub(Faults::default().now_us());
                self.start_drain(note.until_us.map(left).map(Duration::from_micros));
            }
            Ok(_) | Err(_) => self.forget_drain(),
        }
    }

    fn forget_drain(&self) {
        if let Err(error) = std::fs::remove_file(self.state_dir.join(DRAIN_FILE))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "failed to remove the note of a drain");
        }
    }

    fn start_drain(self: &Arc<Self>, deadline: Option<Duration>) {
        let mut drain = 0;
        self.review(|inner| {
            inner.draining = true;
            inner.drains += 1;
            drain = inner.drains;
        });
        tracing::info!(?deadline, "draining: no new jobs are taken");
        let Some(deadline) = deadline else { return };
        let registry = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(deadline).await;
            if let Some(registry) = registry.upgrade() {
                registry.cancel_what_runs(drain).await;
            }
        });
    }

    /// Takes jobs again.
    pub fn undo_drain(&self) {
        self.forget_drain();
        self.review(|inner| {
            inner.draining = false;
            inner.drains += 1;
        });
        tracing::info!("no longer draining: jobs are taken again");
    }

    /// The deadline of this drain has come.
    async fn cancel_what_runs(&self, drain: u64) {
        let running: Vec<_> = {
            let inner = self.lock();
            if !inner.draining || inner.drains != drain {
                return;
            }
            let waits = |state| matches!(state, State::Found | State::Queued);
            inner.live.values().filter(|job| !waits(job.state())).cloned().collect()
        };
        for job in running {
            let (by, reason) = ("drain".to_owned(), "the deadline of the drain has come".to_owned());
            if job.command(Command::Cancel { by, reason, kill: false }).await.is_err() {
                tracing::debug!(job = %job.id(), "the job is over");
            }
        }
    }

    /// Takes no more jobs; those that wait stay on disk for another server. Returns when no job has a task any more: the
    /// launcher has ended them all.
    pub async fn shut_down(&self) {
        self.stop();
        // The sender lives in `self`, so waiting cannot fail.
        if self.open.subscribe().wait_for(|open| *open == 0).await.is_err() {
            tracing::debug!("the count of jobs is gone");
        }
    }

    /// Takes no more jobs, so that another server can: those that wait are left on disk, those that run with the launcher.
    /// Returns when everything that was queued for the store is on disk, or cannot be soon.
    pub async fn retire(&self) {
        self.stop();
        let settled = async {
            let mut open = self.open.subscribe();
            let waiting = || self.lock().live.values().filter(|job| job.state() == State::Queued).count();
            while waiting() > 0 && open.changed().await.is_ok() {}
        };
        if tokio::time::timeout(POSTPONE_MAX, settled).await.is_err() {
            tracing::warn!("some jobs that wait have not left in time; they are on disk");
        }
        self.store.close().await;
    }

    /// Closes the records; nothing is written afterwards.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// Takes no more jobs, and starts none.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
        self.review(|_| {});
    }

    /// Whether the server is on its way down.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Looks whether records and output can be kept.
    fn look(&self) {
        let stalls: Vec<Stall> = {
            let mut inner = self.lock();
            let stalls: Vec<Stall> =
                inner.live.values().filter_map(|job| job.written().borrow().stalled).collect();
            inner.stalled.resize_with(stalls.len(), || self.metrics.log_stalled());
            stalls
        };
        let trouble = trouble(&self.store.health(), stalls.first().copied(), &self.state_dir);
        let known = self.lock().trouble.clone();
        if known != trouble {
            match &trouble {
                Some(trouble) => tracing::error!("{}", trouble.words),
                None => tracing::info!("records and output can be kept again: jobs are taken"),
            }
            self.review(|inner| inner.trouble = trouble);
        }
    }
}

/// What is wrong, if something is. Pure.
fn trouble(health: &Health, stalled: Option<Stall>, state_dir: &Path) -> Option<Trouble> {
    let no_space = || StoreError::NoSpace(state_dir.to_owned());
    let read_only = || StoreError::ReadOnly(state_dir.to_owned());
    let broken = |detail: &str| StoreError::Io { act: "write", detail: detail.to_owned() };
    let (error, why) = match (health, stalled) {
        (Health::Full(words), _) => (no_space(), words.clone()),
        (Health::ReadOnly(words), _) => (read_only(), words.clone()),
        (Health::Broken(words), _) => (broken(words), words.clone()),
        (Health::Ok, Some(stall)) => {
            let error = match stall {
                Stall::NoSpace | Stall::Quota => no_space(),
                Stall::ReadOnly => read_only(),
                Stall::Broken | Stall::Exhausted => broken(stall.text()),
            };
            (error, format!("the output of jobs waits: {}", stall.text()))
        }
        (Health::Ok, None) => return None,
    };
    Some(Trouble { error, words: format!("{why}; new jobs are refused") })
}

/// Looks from time to time, and whenever the store says something, until the registry is gone.
pub(super) async fn watch_health(registry: Weak<Registry>) {
    let Some(mut health) = registry.upgrade().map(|registry| registry.store.watch_health()) else { return };
    loop {
        let told = tokio::time::timeout(LOOK_EVERY, health.changed()).await;
        let Some(registry) = registry.upgrade() else { return };
        if matches!(told, Ok(Err(_))) {
            return;
        }
        registry.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_in_words_and_as_an_error() {
        let place = Path::new("/state");
        assert_eq!(trouble(&Health::Ok, None, place), None);
        let full = trouble(&Health::Full("no space".to_owned()), Some(Stall::Broken), place).unwrap();
        assert_eq!(full.error, StoreError::NoSpace(place.to_owned()));
        assert_eq!(full.words, "no space; new jobs are refused");
        let stalled = trouble(&Health::Ok, Some(Stall::ReadOnly), place).unwrap();
        assert_eq!(stalled.error, StoreError::ReadOnly(place.to_owned()));
        let broken = trouble(&Health::Broken("x".to_owned()), None, place).unwrap();
        assert!(matches!(broken.error, StoreError::Io { .. }));
    }
}
