//! The launcher on its way down: jobs first, then the server, then us.
//!
//! ```text
//! serving ── TERM with a time to drain ──► draining ── time over, or TERM again ──┐
//!    └────── TERM, INT, the parent's end ─────────────────────────────────────────┴─► ending ── last job gone ──► server told ──► over
//! ```
//!
//! No job is taken from the first word on. Jobs that wait are the server's matter: they stay on disk.

use crate::launcher::{Launcher, LauncherError, SIGINT, SIGTERM, kernel, say::say};
use runtime_plan::link::ToServer;
use runtime_sys::{pidfd, time};
use std::{os::fd::AsFd, time::Duration};

/// A server that has been told that everything is over has this long to write outcomes and to end its streams.
const SERVER_GRACE: Duration = Duration::from_secs(5);

/// How far we are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shutdown {
    /// Until when jobs may go on.
    drain_until: Option<Duration>,
    /// When the server is killed; set once it was told, and none any more once it was.
    server_kill: Option<Duration>,
    /// The last job is gone, and the server knows.
    server_told: bool,
    /// We have killed the server, for it did not go.
    gave_up: bool,
    /// There is no server, and none will come.
    server_gone: bool,
}

impl Launcher {
    /// Whether the launcher is on its way down: no job is taken any more.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether there is nothing left to wait for.
    pub fn is_over(&self) -> bool {
        self.jobs.is_empty() && self.ending.is_some_and(|shutdown| shutdown.server_gone)
    }

    /// When the loop has to look at the shutdown.
    pub fn shutdown_deadline(&self) -> Option<Duration> {
        let shutdown = self.ending.filter(|shutdown| !shutdown.server_gone)?;
        shutdown.drain_until.into_iter().chain(shutdown.server_kill).min()
    }

    /// A signal that ends us. A second one hurries: what drains is cancelled, what is cancelled is killed by a second INT.
    pub fn signal_to_end(&mut self, signal: i32) -> Result<(), LauncherError> {
        let drains = self.ending.is_some_and(|shutdown| shutdown.drain_until.is_some());
        if signal == SIGTERM && !self.is_ending() && !self.drain_timeout.is_zero() {
            let until = time::monotonic_now().saturating_add(self.drain_timeout);
            self.ending = Some(Shutdown { drain_until: Some(until), ..Shutdown::default() });
            say(&format!(
                "taking no more jobs; {} that run have {} s to finish",
                self.jobs.len(),
                self.drain_timeout.as_secs()
            ));
            self.tell(&ToServer::Draining, Vec::new());
            return self.check_shutdown(time::monotonic_now());
        }
        let again = signal == SIGINT && self.is_ending() && !drains;
        self.shut_down("shutdown", again)
    }

    /// Ends every job, then the server, then us.
    pub fn shut_down(&mut self, by: &str, kill: bool) -> Result<(), LauncherError> {
        if !self.is_ending() {
            self.tell(&ToServer::Draining, Vec::new());
        }
        self.ending.get_or_insert_default().drain_until = None;
        let serials: Vec<u64> = self.jobs.keys().copied().collect();
        for serial in serials {
            self.cancel(serial, by.to_owned(), "the daemon is shutting down".to_owned(), kill);
        }
        self.check_shutdown(time::monotonic_now())
    }

    /// The caller of an embedded run is done or dead: nobody waits for the jobs, and nothing of the state is kept. Of a daemon it is the parent.
    pub fn caller_ended(&mut self) -> Result<(), LauncherError> {
        if !self.lifeline_is_closed() {
            return Ok(());
        }
        if let Some(lifeline) = self.lifeline.take() {
            self.epoll.remove(lifeline.as_fd()).map_err(kernel("leave the lifeline"))?;
        }
        self.shut_down("client disconnected", self.quiet)
    }

    /// The next move of the shutdown, if there is one.
    pub fn check_shutdown(&mut self, now: Duration) -> Result<(), LauncherError> {
        let Some(shutdown) = self.ending else { return Ok(()) };
        if shutdown.drain_until.is_some_and(|until| until <= now) {
            return self.shut_down("shutdown", false);
        }
        if !self.jobs.is_empty() || shutdown.server_gone {
            return Ok(());
        }
        let Some(server) = &self.server else {
            // None is there, and none is owed anything: else another one is on its way.
            if self.ended.is_empty() {
                self.no_more_servers();
            }
            return Ok(());
        };
        if !shutdown.server_told && (server.adoption.is_none() || !self.has_successors()) {
            self.tell(&ToServer::ShutDown, Vec::new());
            if let Some(shutdown) = &mut self.ending {
                shutdown.server_told = true;
                // In the embedded form the client has gone already: there is no stream to end well.
                shutdown.server_kill = Some(if self.quiet { now } else { now + SERVER_GRACE });
            }
        } else if !shutdown.server_told && shutdown.server_kill.is_none() {
            // A server that is slow to hear what it has to take over has no more time than one that is slow to go.
            if let Some(shutdown) = &mut self.ending {
                shutdown.server_kill = Some(now + SERVER_GRACE);
            }
        }
        match &mut self.ending {
            Some(shutdown) if shutdown.server_kill.is_some_and(|deadline| deadline <= now) => {
                // Its pidfd tells the rest.
                shutdown.server_kill = None;
                shutdown.server_told = true;
                shutdown.gave_up = true;
                self.kill_server()
            }
            _ => Ok(()),
        }
    }

    /// Whether the server was killed because it did not go.
    pub fn gave_server_up(&self) -> bool {
        self.ending.is_some_and(|shutdown| shutdown.gave_up)
    }

    /// The server is gone before it was to go, and another follows: what was said to it is said anew.
    pub fn another_server_on_the_way_down(&mut self) {
        if let Some(shutdown) = &mut self.ending {
            shutdown.server_told = false;
            shutdown.server_kill = None;
        }
    }

    /// There is no server any more.
    pub fn no_more_servers(&mut self) {
        if let Some(shutdown) = &mut self.ending {
            shutdown.server_gone = true;
        }
    }

    /// What is left of us when the loop has ended, in whatever way: jobs, server, cgroups, leases. The first error is told.
    pub fn clean_up(&mut self) -> Result<(), LauncherError> {
        self.kill_server()?;
        let jobs: Vec<u64> = self.jobs.keys().copied().collect();
        for serial in jobs {
            self.end_for_good(serial);
        }
        if let Some(server) = self.server.take() {
            pidfd::reap_blocking(server.pidfd.as_fd()).map_err(kernel("reap the server"))?;
        }
        self.report_cleanup(self.zygote.end());
        self.check_quarantine(Duration::MAX);
        if let Some(groups) = self.groups.take() {
            groups.remove().map_err(kernel("remove the cgroups"))?;
        }
        // What is still held has our ids: the sweep of a later launcher gives them back.
        if !self.quarantine.is_empty() {
            return Ok(());
        }
        if let Some(slots) = self.slots.take() {
            slots.remove()?;
        }
        self.recipe.release()?;
        if let Some(instance) = self.instance.take() {
            instance.remove()?;
        }
        Ok(())
    }
}
