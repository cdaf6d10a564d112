//! Watch: changes of many jobs, for one client.
//!
//! It asks the store what changed since the last look, at the client's pace. Of a job that changed several times
//! meanwhile only the last state is told, so a slow watcher costs nobody memory, and misses no end.

use super::Context;
use super::client::{Client, Over};
use super::errors::{Reason, from_store, server_restarting};
use super::token::{Before, Filter, Place, resume_token};
use crate::jobs::What;
use crate::store::{Query, RowState};
use runtime_proto::v1::{self, watch_response::Event};
use std::sync::Arc;
use std::time::Duration;

/// Changes that are fetched at a time.
const CHANGES_AT_ONCE: usize = 256;
/// Jobs of the beginning that are fetched at a time.
const JOBS_AT_ONCE: usize = 256;
/// How long changes gather between two looks: many jobs may change many times in it.
const GATHER: Duration = Duration::from_millis(20);

/// On the way down: how often it is looked whether the last job is over.
const STOP_LOOK: Duration = Duration::from_millis(100);

/// One client that watches.
pub(super) struct Watcher {
    pub(super) context: Arc<Context>,
    pub(super) client: Client<v1::WatchResponse>,
    pub(super) filter: Filter,
    pub(super) place: Place,
}

impl Watcher {
    /// Returns when the client has gone or another server takes over.
    pub(super) async fn watch(mut self) {
        let context = Arc::clone(&self.context);
        // What ends the stream ends it in the middle of a long answer, too.
        let status = tokio::select! {
            Over = self.tell_all() => return,
            () = context.retired() => server_restarting(),
        };
        let Over = self.client.give_up(status).await;
    }

    async fn tell_all(&mut self) -> Over {
        match self.try_tell_all().await {
            Ok(never) => match never {},
            Err(over) => over,
        }
    }

    async fn try_tell_all(&mut self) -> Result<std::convert::Infallible, Over> {
        let context = Arc::clone(&self.context);
        let mut changes = context.registry.watch_changes();
        let mut serving = context.registry.serving();
        self.tell_beginning().await?;
        loop {
            changes.mark_unchanged();
            serving.mark_unchanged();
            let stopping = context.registry.is_stopping();
            let counts = context.registry.counts();
            self.tell_changes().await?;
            if stopping && counts.starting == 0 && counts.running == 0 {
                let text =
                    "the daemon is on its way down: watch again when it is back, from the last token on";
                return Err(self.client.give_up(Reason::ShuttingDown.status(text)).await);
            }
            tokio::select! {
                () = self.client.gone() => return Err(Over),
                changed = changes.changed() => {
                    if changed.is_err() {
                        return Err(self.client.give_up(server_restarting()).await);
                    }
                    tokio::time::sleep(GATHER).await;
                }
                changed = serving.changed() => if changed.is_err() {
                    return Err(self.client.give_up(server_restarting()).await);
                },
                () = tokio::time::sleep(STOP_LOOK), if stopping => {}
                () = self.client.silence() => self.tell(Event::Heartbeat(v1::Heartbeat {})).await?,
            }
        }
    }

    /// Every job that was not over when the watch began. Those that end meanwhile come as changes.
    async fn tell_beginning(&mut self) -> Result<(), Over> {
        while let Some(before) = self.place.before.clone() {
            let before_id = match before {
                Before::All => None,
                Before::Id(id) => Some(id),
            };
            let states = vec![RowState::Queued, RowState::Starting, RowState::Running];
            let query = Query { states, before_id, limit: JOBS_AT_ONCE, ..query(&self.filter) };
            let jobs = match self.context.registry.list(query).await {
                Ok(jobs) => jobs,
                Err(error) => return Err(self.client.give_up(self.context.say(from_store(&error))).await),
            };
            if jobs.is_empty() {
                self.place.before = None;
            }
            for job in jobs {
                self.place.before = Some(Before::Id(job.record.id.to_string()));
                let job = Context::wire(&job);
                self.tell(Event::Job(job)).await?;
            }
        }
        Ok(())
    }

    /// What changed up to now.
    async fn tell_changes(&mut self) -> Result<(), Over> {
        loop {
            let query = query(&self.filter);
            let found = self.context.registry.changes_after(self.place.change, &query, CHANGES_AT_ONCE).await;
            let found = match found {
                Ok(found) => found,
                Err(error) => return Err(self.client.give_up(self.context.say(from_store(&error))).await),
            };
            for change in found.changes {
                self.place.change = change.change;
                match change.what {
                    What::Job(job) => {
                        let job = Context::wire(&job);
                        self.tell(Event::Job(job)).await?;
                    }
                    What::Removed(id) => self.tell(Event::RemovedJobId(id)).await?,
                }
            }
            self.place.change = self.place.change.max(found.upto);
            if !found.more {
                return Ok(());
            }
        }
    }

    async fn tell(&mut self, event: Event) -> Result<(), Over> {
        let resume_token = resume_token(&self.filter, &self.place);
        self.client.tell(v1::WatchResponse { event: Some(event), resume_token }).await
    }
}

/// The filter as the store has it.
pub(super) fn query(filter: &Filter) -> Query {
    Query {
        org: filter.org.clone(),
        profile: filter.profile.clone(),
        labels: filter.labels.clone(),
        created_after_us: filter.created_after_us,
        created_before_us: filter.created_before_us,
        ..Query::default()
    }
}
