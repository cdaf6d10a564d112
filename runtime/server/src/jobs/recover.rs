//! What a new server does about the jobs of earlier ones: those that the launcher hands over, and those that are on disk only.
//!
//! The launcher is right about what lives: a job that it does not know does not run. Nobody is told that a job ended well
//! because nobody saw how it ended.

use super::pipes::{Adoption, Handover};
use super::record::{JobRecord, Stored};
use super::registry::{Registry, stored_of};
use super::request::OnDisconnect;
use super::state::{Event, State, Unexpected, next};
use super::task::{self, Birth};
use crate::store::{Row, RowState, StoreError};
use runtime_plan::link::{JobId, LauncherId, ToLauncher};
use runtime_plan::outcome::{ExitReport, Outcome, Usage};
use runtime_plan::spec::Spec;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What becomes of a job that is on disk and that the launcher does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes back to its place in the queue.
    Requeue,
    /// Nobody saw its end.
    Lost(&'static str),
}

/// Decides it. `asked` is the launcher that was asked to start it. Pure.
///
/// A job that was being started may have run when its launcher is gone: it is not started twice. Under the same launcher it
/// has not, or the launcher would know it.
fn fate(state: RowState, asked: Option<&LauncherId>, now: &LauncherId, has_spec: bool) -> Fate {
    let same = asked.is_some_and(|asked| asked.instance == now.instance);
    let rebooted = asked.is_some_and(|asked| asked.boot_id != now.boot_id);
    match state {
        RowState::Queued if has_spec => Fate::Requeue,
        RowState::Queued => Fate::Lost("env_not_kept"),
        RowState::Starting if same && has_spec => Fate::Requeue,
        RowState::Starting if same => Fate::Lost("env_not_kept"),
        RowState::Starting | RowState::Running | RowState::Finished if rebooted => {
            Fate::Lost("host_rebooted")
        }
        RowState::Starting | RowState::Running | RowState::Finished => Fate::Lost("launcher_died"),
    }
}

/// Why recovery failed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The states of a job do not allow what was decided: a bug.
    #[error(transparent)]
    State(#[from] Unexpected),
    /// The launcher ended before it had told every job: nothing is known of the others.
    #[error("the launcher is gone")]
    LauncherGone,
}

/// How many jobs there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Taken over while they run, or over and not acknowledged.
    pub adopted: usize,
    /// Over, and on disk already: only acknowledged.
    pub acknowledged: usize,
    /// Back in the queue.
    pub requeued: usize,
    /// Without an end that anybody saw.
    pub lost: usize,
}

impl Registry {
    /// Takes over what there is. To be called once, before clients are accepted; returns when the launcher has told every job
    /// that it has, and each of them has its task.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn recover(
        self: &Arc<Self>,
        mut handovers: mpsc::UnboundedReceiver<Handover>,
    ) -> Result<Recovered, RecoverError> {
        // First, so that nothing that waits is started: by the order of what is found, the first would not be the first of all.
        self.review(|inner| inner.recovering = true);
        self.resume_drain();
        let rows = self.store.unfinished().await?;
        let mut rows: HashMap<String, Row> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut recovered = Recovered::default();
        loop {
            let adoption = match handovers.recv().await.ok_or(RecoverError::LauncherGone)? {
                Handover::Job(adoption) => *adoption,
                Handover::Complete => break,
            };
            let row = rows.remove(adoption.job.as_str());
            if self.adopt(adoption, row.as_ref()).await? {
                recovered.adopted += 1;
            } else {
                recovered.acknowledged += 1;
            }
        }
        let mut left: Vec<Row> = rows.into_values().collect();
        left.sort_by(|one, other| one.id.cmp(&other.id));
        for row in left {
            let stored = stored_of(&row);
            let id = &stored.record.id;
            let spec = row.spec.as_ref().and_then(|spec| self.seal.open(id, spec));
            match (fate(row.state, stored.launcher.as_ref(), &self.launcher, spec.is_some()), spec) {
                (Fate::Requeue, Some(spec)) => {
                    recovered.requeued += 1;
                    self.requeue(stored, spec)?;
                }
                (Fate::Requeue, None) => {
                    recovered.lost += 1;
                    self.lose(stored, "env_not_kept")?;
                }
                (Fate::Lost(why), _) => {
                    recovered.lost += 1;
                    self.lose(stored, why)?;
                }
            }
        }
        self.review(|inner| inner.recovering = false);
        Ok(recovered)
    }

    /// Takes over one job. `false` when it is over and on disk, so that only the launcher has to hear of it.
    async fn adopt(self: &Arc<Self>, adoption: Adoption, row: Option<&Row>) -> Result<bool, RecoverError> {
        let Adoption { job: id, record, pipes, events } = adoption;
        if row.is_none()
            && let Some(known) = self.store.get(id.as_str()).await?
            && known.state == RowState::Finished
        {
            if self.link.send(ToLauncher::Acknowledge { job: id.clone() }).await.is_err() {
                tracing::debug!(job = %id, "the launcher is gone");
            }
            self.link.unregister(&id);
            return Ok(false);
        }
        let mut stored = row.map_or_else(|| told_by_launcher(&id, &record), stored_of);
        stored.adoptions += 1;
        stored.launcher = Some(self.launcher.clone());
        let state = next(State::Found, Event::Adopted)?;
        self.count_running(&stored.record);
        self.metrics.job_adopted();
        self.spawn(Birth { adopted: Some((pipes, events)), returning: true, ..Birth::new(stored, state) });
        Ok(true)
    }

    fn requeue(self: &Arc<Self>, stored: Stored, spec: Spec) -> Result<(), RecoverError> {
        let stored = Stored { launcher: None, asked_us: None, ..stored };
        let state = next(State::Found, Event::Requeued)?;
        // A job that lives with its client does not run without it.
        let lives_alone = stored.record.on_disconnect == OnDisconnect::Continue;
        let turn = lives_alone.then(|| self.rejoin(&stored.record));
        self.spawn(Birth {
            spec: Some(spec),
            turn,
            queued_on_disk: true,
            returning: true,
            ..Birth::new(stored, state)
        });
        Ok(())
    }

    fn lose(self: &Arc<Self>, stored: Stored, why: &str) -> Result<(), RecoverError> {
        let state = next(State::Found, Event::EndedUnstarted)?;
        let report = ExitReport {
            outcome: Outcome::Lost { why: why.to_owned() },
            limits_hit: Vec::new(),
            usage: Usage::default(),
            cleanup_errors: Vec::new(),
        };
        self.spawn(Birth { report: Some(report), ..Birth::new(stored, state) });
        Ok(())
    }

    fn spawn(self: &Arc<Self>, birth: Birth) {
        let (job, ends) = self.enter(&mut self.lock(), &birth.stored, birth.state);
        tokio::spawn(task::own(Arc::clone(self), job, birth, ends));
    }
}

/// The record that came with `Start`; when it cannot be read, somebody still has to see the job to its end.
fn told_by_launcher(id: &JobId, record: &[u8]) -> Stored {
    match Stored::decode(record) {
        Ok(stored) if stored.record.id == *id => stored,
        Ok(_) => {
            tracing::error!(job = %id, "the launcher has the record of another job for this one");
            Stored::new(Arc::new(JobRecord::unreadable(id.clone())))
        }
        Err(error) => {
            tracing::error!(job = %id, %error, "failed to read what the launcher kept of a job");
            Stored::new(Arc::new(JobRecord::unreadable(id.clone())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher(instance: &str, boot_id: &str) -> LauncherId {
        LauncherId { instance: instance.to_owned(), boot_id: boot_id.to_owned(), pid: 1 }
    }

    #[test]
    fn what_the_launcher_does_not_know_is_started_again_only_when_it_cannot_have_run() {
        use RowState::{Queued, Running, Starting};
        let now = launcher("b", "boot-2");
        let (same, before, rebooted) =
            (launcher("b", "boot-2"), launcher("a", "boot-2"), launcher("a", "boot-1"));
        for (state, asked, has_spec, expected) in [
            (Queued, None, true, Fate::Requeue),
            (Queued, None, false, Fate::Lost("env_not_kept")),
            (Starting, None, true, Fate::Lost("launcher_died")),
            (Starting, Some(&same), true, Fate::Requeue),
            (Starting, Some(&same), false, Fate::Lost("env_not_kept")),
            (Starting, Some(&before), true, Fate::Lost("launcher_died")),
            (Starting, Some(&before), false, Fate::Lost("launcher_died")),
            (Starting, Some(&rebooted), true, Fate::Lost("host_rebooted")),
            (Running, Some(&before), false, Fate::Lost("launcher_died")),
            (Running, Some(&rebooted), false, Fate::Lost("host_rebooted")),
            (Running, Some(&same), false, Fate::Lost("launcher_died")),
        ] {
            assert_eq!(fate(state, asked, &now, has_spec), expected, "{state:?} {asked:?} {has_spec}");
        }
    }
}
