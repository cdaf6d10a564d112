//! One server after another: when one is gone, the next takes over its jobs, which have run on meanwhile.
//!
//! ```text
//! first ── Ready ──► serving ── gone ──► waiting ── backoff ──► starting ── Ready ──► serving
//!   └─ gone ──► the launcher ends           └◄─────── gone ────────┘
//! ```
//!
//! Nothing is taken over from the old link: what was not read there was not obeyed, and what waited to be sent is told anew.

use crate::launcher::{Launcher, LauncherError, adoption::Adoption, kernel, say::say, server::Server};
use runtime_plan::link::{ToServer, Welcome};
use runtime_sys::{Error, pidfd, time};
use std::{os::fd::AsFd, time::Duration};

/// Between two servers of which the first did not even come to serve.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// It doubles each time up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A server that served at least so long is followed at once.
const LIVED_LONG: Duration = Duration::from_secs(1);
/// A server whose end of the link is closed has this long to be gone.
const HANG_UP_GRACE: Duration = Duration::from_secs(1);
/// Servers that are started on the way down, for what is not acknowledged.
const LAST_SERVERS_MAX: u32 = 3;

/// What is done once a server that was asked to make room is gone.
pub type AfterRetiring = fn(&mut Launcher) -> Result<(), LauncherError>;

/// Where we are in the row of servers.
#[derive(Debug, Default)]
pub struct Succession {
    /// How many there have been.
    pub generation: u32,
    /// Whether one has ever come to serve.
    has_served: bool,
    /// How many in a row have not.
    failures: u32,
    /// When the next is started, while there is none.
    start_at: Option<Duration>,
    /// When the present one was started.
    started: Duration,
    /// Whether the present one has said that it serves.
    ready: bool,
    /// When the present one is killed.
    kill_at: Option<Duration>,
    /// How many were started since we are on our way down.
    last_servers: u32,
    /// The present one makes room: until when it may take its time, and what comes then.
    retiring: Option<(Duration, AfterRetiring)>,
}

impl Succession {
    /// How long to wait before the next server. Pure.
    fn pause(&mut self, lived: Duration) -> Duration {
        if self.ready {
            self.failures = 0;
            return if lived >= LIVED_LONG { Duration::ZERO } else { BACKOFF_MIN };
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = 1_u32
            .checked_shl(self.failures - 1)
            .map_or(BACKOFF_MAX, |factor| BACKOFF_MIN.checked_mul(factor).unwrap_or(BACKOFF_MAX));
        doubled.min(BACKOFF_MAX)
    }

    /// When the loop has to look here.
    pub fn deadline(&self) -> Option<Duration> {
        let retiring = self.retiring.map(|(until, _)| until);
        [self.start_at, self.kill_at, retiring].into_iter().flatten().min()
    }

    /// After `generation` servers of an earlier program of this process, the last of which made room.
    pub fn resumed(generation: u32) -> Succession {
        Succession { generation, has_served: true, ..Succession::default() }
    }

    /// Whether the first server is still on its way up.
    pub fn is_first(&self) -> bool {
        !self.has_served
    }
}

impl Launcher {
    /// Starts a server and tells it what there is.
    pub fn start_server(&mut self) -> Result<(), Error> {
        self.succession.generation += 1;
        self.succession.ready = false;
        self.succession.start_at = None;
        self.succession.kill_at = None;
        self.succession.started = time::monotonic_now();
        let place = self.instance.as_ref().map(|instance| instance.path.join("state")).unwrap_or_default();
        let mut server = self.recipe.start(&self.proof, self.succession.generation == 1, &place)?;
        server.adoption = Some(Adoption::up_to(self.serial));
        if let Err(error) = server.watch(&self.epoll) {
            // Unwatched it would be nobody's.
            self.report_cleanup(server.kill());
            self.report_cleanup(pidfd::reap_blocking(server.pidfd.as_fd()).map(drop));
            return Err(error);
        }
        self.server = Some(server);
        self.greet();
        Ok(())
    }

    fn greet(&mut self) {
        let welcome = Welcome {
            version: runtime_plan::link::VERSION,
            facts: self.facts.clone(),
            rules: self.rules(),
            launcher: self.identity.clone(),
            generation: self.succession.generation,
            seal_key: self.seal_key.clone(),
            findings: self.findings.0.clone(),
            default_profile_runs: self.findings.1,
        };
        self.tell(&ToServer::Hello(Box::new(welcome)), Vec::new());
    }

    /// The server serves.
    pub fn server_is_ready(&mut self) {
        self.succession.ready = true;
        self.succession.has_served = true;
        self.succession.failures = 0;
    }

    /// Whether another server follows one that is gone: not in the embedded form, whose client had its one connection to it.
    pub fn has_successors(&self) -> bool {
        !self.quiet
    }

    /// Its end of the link is closed: it is about to be gone. One that lives on would leave jobs to nobody.
    pub fn server_hung_up(&mut self) {
        let Some(server) = self.server.as_mut().filter(|server| !server.has_hung_up) else { return };
        server.has_hung_up = true;
        let removed = self.epoll.remove(server.link.as_fd());
        self.report_cleanup(removed);
        self.succession.kill_at = Some(time::monotonic_now() + HANG_UP_GRACE);
    }

    /// The server is dead.
    pub fn server_ended(&mut self) -> Result<(), LauncherError> {
        let Some(server) = &self.server else { return Ok(()) };
        let Some(reaped) = pidfd::reap(server.pidfd.as_fd()).map_err(kernel("reap the server"))? else {
            return Ok(());
        };
        let how = format!("{:?}", reaped.status);
        self.forget_server();
        if let Some((_, then)) = self.succession.retiring.take() {
            return then(self);
        }
        if self.is_ending() {
            return self.server_ended_on_the_way_down(&how);
        }
        if !self.has_successors() || self.succession.is_first() {
            return Err(LauncherError::ServerDied(how));
        }
        self.start_soon(&how);
        Ok(())
    }

    /// Lets go of a server that is dead, and of everything that waits for it or came from it.
    fn forget_server(&mut self) {
        self.succession.kill_at = None;
        let Some(server) = self.server.take() else { return };
        self.report_cleanup(self.epoll.remove(server.pidfd.as_fd()));
        if !server.has_hung_up {
            self.report_cleanup(self.epoll.remove(server.link.as_fd()));
        }
    }

    fn start_soon(&mut self, how: &str) {
        let now = time::monotonic_now();
        let lived = now.saturating_sub(self.succession.started);
        let pause = self.succession.pause(lived);
        self.succession.start_at = Some(now + pause);
        say(&format!(
            "the server ended by itself ({how}); {} jobs run on, and server {} takes them over in {} ms",
            self.jobs.len(),
            self.succession.generation.saturating_add(1),
            pause.as_millis()
        ));
    }

    /// On the way down another server is needed as long as outcomes are to be written; one that cannot is not asked for ever.
    fn server_ended_on_the_way_down(&mut self, how: &str) -> Result<(), LauncherError> {
        let owed = !self.jobs.is_empty() || !self.ended.is_empty();
        let useful = owed && self.has_successors() && !self.succession.is_first() && !self.gave_server_up();
        if useful && self.succession.last_servers < LAST_SERVERS_MAX {
            self.succession.last_servers += 1;
            self.another_server_on_the_way_down();
            self.start_soon(how);
        } else {
            self.no_more_servers();
        }
        self.check_shutdown(time::monotonic_now())
    }

    /// The next move in the row of servers, if its time has come.
    pub fn check_succession(&mut self, now: Duration) -> Result<(), LauncherError> {
        let retired_too_slowly = self.succession.retiring.is_some_and(|(until, _)| until <= now);
        if retired_too_slowly && let Some((_, then)) = self.succession.retiring {
            // Its end is told by its pidfd, and what was to be done then is done then.
            self.succession.retiring = Some((Duration::MAX, then));
            self.kill_server()?;
        }
        if self.succession.kill_at.is_some_and(|at| at <= now) {
            self.succession.kill_at = None;
            self.kill_server()?;
        }
        if self.server.is_some() || self.succession.start_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        if let Err(error) = self.start_server() {
            say(&format!("failed to start a server: {error}"));
            let pause = self.succession.pause(Duration::ZERO);
            self.succession.start_at = Some(now + pause);
        }
        Ok(())
    }

    /// Asks the server to make room: it stops accepting, writes what there is to write and goes; jobs run on. `then` is called once it is gone, by
    /// itself or, after `within`, killed. After it, unless it has done so itself, [`Launcher::start_server_now`] has a server started again.
    pub fn retire_server(&mut self, within: Duration, then: AfterRetiring) -> Result<(), LauncherError> {
        if self.server.is_none() {
            return then(self);
        }
        self.succession.retiring = Some((time::monotonic_now() + within, then));
        self.tell(&ToServer::Retire, Vec::new());
        Ok(())
    }

    /// Has a server started in the next turn of the loop.
    pub fn start_server_now(&mut self) {
        self.succession.start_at = Some(time::monotonic_now());
    }

    /// Ends the server, if it is there.
    pub fn kill_server(&self) -> Result<(), LauncherError> {
        self.server.as_ref().map_or(Ok(()), Server::kill).map_err(kernel("end the server"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_never_serve_are_followed_ever_more_slowly() {
        let mut row = Succession::default();
        let pauses: Vec<u128> = (0..12).map(|_| row.pause(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_000, 5_000, 5_000]);
        row.failures = u32::MAX;
        assert_eq!(row.pause(Duration::ZERO), BACKOFF_MAX);
    }

    #[test]
    fn a_server_that_served_is_followed_at_once_and_clears_the_score() {
        let mut row = Succession { failures: 9, ready: true, ..Succession::default() };
        assert_eq!(row.pause(Duration::from_secs(60)), Duration::ZERO);
        assert_eq!((row.pause(Duration::from_millis(3)), row.failures), (BACKOFF_MIN, 0));
    }
}
