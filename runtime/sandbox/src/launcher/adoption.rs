//! What a new server is told of the jobs that were there before it: each once, in the order of their age, as it is at that moment.
//!
//! The telling goes on only as the server reads, so what waits for it stays small however many jobs there are. A job whose turn has not
//! come is not told of at all: whatever happens to it meanwhile is part of what is told then.
//!
//! ```text
//! Adopt [Started] [Finished]   for each job
//! AdoptionComplete
//! ```

use crate::launcher::{Launcher, LauncherError};
use runtime_plan::link::{JobId, Pipes, ToServer};
use runtime_sys::time;

/// Which jobs a server has not been told of yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adoption {
    /// The next serial.
    next: u64,
    /// The last serial: what came later, the server has asked for itself.
    last: u64,
}

impl Adoption {
    /// Of everything up to `last`.
    pub fn up_to(last: u64) -> Adoption {
        Adoption { next: 0, last }
    }

    /// Whether the server has not heard of that job.
    pub fn is_ahead_of(&self, serial: u64) -> bool {
        (self.next..=self.last).contains(&serial)
    }
}

impl Launcher {
    /// Tells of the next job that was there before the server. False when there is nothing left to tell.
    pub fn adopt_next(&mut self) -> Result<bool, LauncherError> {
        let Some(Adoption { next, last }) = self.server.as_ref().and_then(|server| server.adoption) else {
            return Ok(false);
        };
        let live = (next <= last).then(|| self.jobs.range(next..=last).next()).flatten();
        let serial = live.map(|(serial, _)| *serial).into_iter().chain(self.ended.first_in(next, last)).min();
        let adoption = serial.map(|serial| Adoption { next: serial + 1, last });
        if let Some(server) = &mut self.server {
            server.adoption = adoption;
        }
        match serial {
            Some(serial) => self.tell_whole(serial),
            None => {
                self.tell(&ToServer::AdoptionComplete, Vec::new());
                if self.is_ending() {
                    self.tell(&ToServer::Draining, Vec::new());
                }
                // On our way down it has waited for this.
                self.check_shutdown(time::monotonic_now())?;
            }
        }
        Ok(true)
    }

    /// All there is to say of one job.
    fn tell_whole(&mut self, serial: u64) {
        let Some(server) = &mut self.server else { return };
        let adopt = |id: &JobId, record: &[u8], pipes: Pipes| ToServer::Adopt {
            job: id.clone(),
            record: record.to_vec(),
            pipes,
        };
        if let Some(job) = self.jobs.get(&serial) {
            server.tell(&adopt(&job.id, &job.record, job.stdio.pipes(&job.plan)), job.stdio.fds());
            if job.times.started.is_some() {
                server.tell(&job.started_message(), job.stdio.started_fds());
            }
        } else if let Some(ended) = self.ended.get(serial) {
            server.tell(&adopt(&ended.id, &ended.record, ended.pipes), ended.stdio.fds());
            if let Some(started) = &ended.started {
                server.tell_encoded(started.clone(), ended.stdio.started_fds());
            }
            server.tell_encoded(ended.finished.clone(), Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_older_than_the_server_waits_for_its_turn() {
        let mut adoption = Adoption::up_to(7);
        assert!(adoption.is_ahead_of(1) && adoption.is_ahead_of(7) && !adoption.is_ahead_of(8));
        adoption.next = 4;
        assert!(!adoption.is_ahead_of(3) && adoption.is_ahead_of(4));
    }
}
