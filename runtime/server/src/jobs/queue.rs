//! Whose turn it is. Pure: ids in, ids out; no clock, no task, no file.
//!
//! Between orgs: of those that have a job waiting and room for one more, the one with the fewest running; of equals, the one
//! that was served longest ago. Within an org: the highest priority, then the smallest id, which is the oldest job. So an order
//! survives a restart, for it is made of the jobs alone.

use runtime_plan::link::JobId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Jobs that run at the same time.
    pub(super) running_max: u32,
    /// Jobs that wait.
    pub(super) queued_max: u32,
    /// Jobs of one org that run at the same time.
    pub(super) org_running_max: u32,
}

/// There is no place for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug, Default)]
struct Org {
    running: u32,
    /// Highest priority first, then the oldest.
    waiting: BTreeSet<(Reverse<i32>, JobId)>,
    /// The number of the last turn that this org had, counted over all orgs from 1; 0 before its first.
    served: u64,
}

/// Jobs that wait, and how many run.
#[derive(Debug)]
pub(super) struct Queue {
    bounds: Bounds,
    orgs: BTreeMap<String, Org>,
    running: u32,
    queued: u32,
    turns: u64,
    held: bool,
}

impl Queue {
    /// Nobody waits, nobody runs.
    pub(super) fn new(bounds: Bounds) -> Queue {
        Queue { bounds, orgs: BTreeMap::new(), running: 0, queued: 0, turns: 0, held: false }
    }

    /// A new job joins. It may get its turn at once: see [`Queue::next`].
    ///
    /// # Errors
    /// When it would have to wait and as many wait as may.
    pub(super) fn offer(&mut self, org: &str, priority: i32, job: JobId) -> Result<(), Full> {
        let waits = self.held || !self.has_room(self.orgs.get(org).map_or(0, |org| org.running));
        if waits && self.queued >= self.bounds.queued_max {
            return Err(Full);
        }
        self.join(org, priority, job);
        Ok(())
    }

    /// A job that was promised its place comes back: after a restart, or because the launcher had no room.
    pub(super) fn join(&mut self, org: &str, priority: i32, job: JobId) {
        let org = self.orgs.entry(org.to_owned()).or_default();
        if org.waiting.insert((Reverse(priority), job)) {
            self.queued += 1;
        }
    }

    /// A job that runs already, whatever the bounds say.
    pub(super) fn adopt(&mut self, org: &str) {
        self.orgs.entry(org.to_owned()).or_default().running += 1;
        self.running += 1;
    }

    /// The job whose turn has come; it counts as running from now on. To be called until there is none.
    pub(super) fn next(&mut self) -> Option<JobId> {
        if self.held {
            return None;
        }
        let ready = self.orgs.iter().filter(|(_, org)| !org.waiting.is_empty() && self.has_room(org.running));
        let chosen = ready.min_by_key(|(_, org)| (org.running, org.served)).map(|(name, _)| name.clone())?;
        let org = self.orgs.get_mut(&chosen)?;
        let (_, job) = org.waiting.pop_first()?;
        self.turns += 1;
        (org.served, org.running) = (self.turns, org.running + 1);
        self.running += 1;
        self.queued = self.queued.saturating_sub(1);
        Some(job)
    }

    /// One that ran is over.
    pub(super) fn ended(&mut self, org: &str) {
        if let Some(known) = self.orgs.get_mut(org)
            && known.running > 0
        {
            known.running -= 1;
            self.running = self.running.saturating_sub(1);
        }
        self.forget(org);
    }

    /// One that waited will not run. Whether it was there.
    pub(super) fn leave(&mut self, org: &str, priority: i32, job: &JobId) -> bool {
        let there = self
            .orgs
            .get_mut(org)
            .is_some_and(|known| known.waiting.remove(&(Reverse(priority), job.clone())));
        if there {
            self.queued = self.queued.saturating_sub(1);
        }
        self.forget(org);
        there
    }

    /// While it is held, nobody gets a turn.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Other bounds; who runs already goes on.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// The bounds.
    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Jobs that run, and jobs that wait.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.running, self.queued)
    }

    fn has_room(&self, org_running: u32) -> bool {
        self.running < self.bounds.running_max && org_running < self.bounds.org_running_max
    }

    /// An org without jobs leaves nothing behind.
    fn forget(&mut self, org: &str) {
        if self.orgs.get(org).is_some_and(|org| org.running == 0 && org.waiting.is_empty()) {
            self.orgs.remove(org);
        }
    }
}

#[cfg(test)]
mod tests;
