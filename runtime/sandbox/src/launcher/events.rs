//! The event loop: one wait, then whatever happened, then whatever is due. No step of it waits for anything else.

use crate::{
    frame::{self, FrameError},
    inside::step::{RECORD_BYTES, Record},
    launcher::{
        Launcher, LauncherError, SIGHUP, SIGUSR2, faults, job::Job, kernel, quarantine::STUCK_AFTER, report,
        say::say,
    },
};
use runtime_plan::link::{self, JobId, ToLauncher, ToServer};
use runtime_sys::{
    Errno, Error, file, pidfd,
    poll::{Event, Interest},
    socket, time,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

/// The server's link.
pub const LINK: u64 = 0;
/// The server's pidfd.
pub const SERVER: u64 = 1;
/// The zygote's pidfd.
pub const ZYGOTE: u64 = 2;
/// Our signals.
pub const SIGNALS: u64 = 3;
/// The caller's life.
pub const LIFELINE: u64 = 4;
/// The program on disk answers whether it can take our place.
pub const UPGRADE: u64 = 5;
/// From here on: a job's serial times the number of kinds, plus the kind.
const FIRST_JOB: u64 = 8;
const KINDS: u64 = 4;
/// A job's init is dead.
const INIT: u64 = 0;
/// A job's init says something.
const RECORDS: u64 = 1;
/// A job's cgroup has news.
const GROUP: u64 = 2;

/// Messages of the server that one wake-up takes: between them deadlines are looked at.
const MESSAGES_PER_TURN: usize = 64;
/// Records of one init likewise; a start and an end are two.
const RECORDS_PER_TURN: usize = 8;
/// The leader, and the terminal's master side.
const RECORD_FDS_MAX: usize = 2;
/// Looking at deadlines at least this often costs nothing and forgives a clock that stood still.
const TURN_MAX: Duration = Duration::from_secs(60);

impl Launcher {
    /// Runs until everything is over.
    pub fn run(&mut self) -> Result<(), LauncherError> {
        let mut events = Vec::new();
        let mut buffer = vec![0; frame::BUFFER_BYTES];
        loop {
            self.flush()?;
            if self.is_over() {
                return Ok(());
            }
            let timeout = self
                .next_deadline()
                .map_or(TURN_MAX, |deadline| deadline.saturating_sub(time::monotonic_now()).min(TURN_MAX));
            self.epoll.wait(&mut events, Some(timeout)).map_err(kernel("wait for events"))?;
            for event in &events {
                self.handle(*event, &mut buffer)?;
            }
            self.check_deadlines()?;
        }
    }

    fn handle(&mut self, event: Event, buffer: &mut [u8]) -> Result<(), LauncherError> {
        match event.token {
            LINK => self.read_link(buffer),
            SERVER => self.server_ended(),
            ZYGOTE => Err(LauncherError::ZygoteDied),
            SIGNALS => self.read_signals(),
            LIFELINE => self.caller_ended(),
            UPGRADE => self.check_answered(),
            token => {
                let serial = (token - FIRST_JOB) / KINDS;
                match (token - FIRST_JOB) % KINDS {
                    INIT => self.init_ended(serial),
                    RECORDS => self.read_records(serial),
                    _ => self.look_at_group(serial),
                }
                Ok(())
            }
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        let jobs = self.jobs.values().filter_map(Job::next_deadline);
        jobs.chain(self.shutdown_deadline())
            .chain(self.succession.deadline())
            .chain(self.quarantine.deadline())
            .chain(self.upgrade_deadline())
            .min()
    }

    fn read_signals(&mut self) -> Result<(), LauncherError> {
        while let Some(signal) = self.signals.read().map_err(kernel("read a signal"))? {
            match signal.signal {
                SIGHUP => self.reload(),
                SIGUSR2 => self.begin_upgrade(),
                number => self.signal_to_end(number)?,
            }
        }
        Ok(())
    }

    /// What the server says. Nothing that it sends ends the launcher: what is malformed is dropped.
    fn read_link(&mut self, buffer: &mut [u8]) -> Result<(), LauncherError> {
        for _ in 0..MESSAGES_PER_TURN {
            let Some(server) = self.server.as_ref().filter(|server| !server.is_stuffed()) else { break };
            match frame::receive(server.link.as_fd(), buffer, 0, true) {
                Ok(Some(frame)) => match link::decode::<ToLauncher>(&frame.body) {
                    Ok(message) => self.obey(message)?,
                    Err(error) => self.log(&format!("the server sent no message: {error}")),
                },
                Ok(None) => {
                    self.server_hung_up();
                    break;
                }
                Err(error) if error.would_block() => break,
                // It died with words of ours unread: the end follows.
                Err(FrameError::Kernel(error)) if error.errno == Errno::ECONNRESET => {}
                Err(error) => self.log(&format!("the server sent no message: {error}")),
            }
        }
        Ok(())
    }

    fn log(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    fn obey(&mut self, message: ToLauncher) -> Result<(), LauncherError> {
        match message {
            ToLauncher::Hello { version } if version == link::VERSION => {}
            ToLauncher::Hello { version } if self.succession.is_first() => {
                return Err(LauncherError::Version(version));
            }
            // One that served knew better, and would end every job with one word.
            ToLauncher::Hello { .. } => self.kill_server()?,
            ToLauncher::Start { job, spec, record } => self.start(job, &spec, record),
            ToLauncher::Plan { request, spec } => {
                let result = self.plan(&spec).map(|plan| plan.to_json());
                self.tell(&ToServer::Planned { request, result }, Vec::new());
            }
            ToLauncher::Cancel { job, mut by, mut reason, kill } => {
                truncate(&mut by);
                truncate(&mut reason);
                if let Some(serial) = self.by_id.get(&job).copied() {
                    self.cancel(serial, by, reason, kill);
                }
            }
            ToLauncher::Signal { job, signal, all } => self.signal(&job, signal, all),
            ToLauncher::LimitReached { job, limit, used } => self.limit_reached(&job, limit, used),
            ToLauncher::CloseStdin { job } => {
                let serial = self.by_id.get(&job);
                if let Some(job) = serial.and_then(|serial| self.jobs.get_mut(serial)) {
                    job.stdio.close_stdin();
                }
            }
            ToLauncher::Acknowledge { job } => self.acknowledge(&job),
            ToLauncher::Ready => self.server_is_ready(),
            ToLauncher::Goodbye => {}
        }
        Ok(())
    }

    /// Takes a job into the loop.
    pub fn adopt(&mut self, job: Job) {
        let watched = self.watch(&job);
        let (serial, id) = (job.serial, job.id.clone());
        self.by_id.insert(id, serial);
        self.jobs.insert(serial, job);
        if let Err(error) = watched {
            // Without its events a job would never end: it ends now, and says why.
            self.cancel(serial, "runtime".to_owned(), format!("failed to watch the job: {error}"), true);
        }
    }

    /// Has the end of an init told.
    pub fn watch_init(&self, serial: u64, init: BorrowedFd<'_>) -> Result<(), Error> {
        let read = Interest { read: true, ..Interest::default() };
        self.epoll.add(init, FIRST_JOB + serial * KINDS + INIT, read)
    }

    fn watch(&self, job: &Job) -> Result<(), Error> {
        let read = Interest { read: true, ..Interest::default() };
        let token = |kind| FIRST_JOB + job.serial * KINDS + kind;
        self.watch_init(job.serial, job.init_pidfd.as_fd())?;
        if let Some(socket) = &job.socket {
            self.epoll.add(socket.as_fd(), token(RECORDS), read)?;
        }
        for events in &job.group_events {
            self.epoll.add(events.as_fd(), token(GROUP), Interest { priority: true, ..read })?;
        }
        Ok(())
    }

    /// What init says. It speaks from inside a sandbox: what is no record is dropped.
    pub fn read_records(&mut self, serial: u64) {
        let mut buffer = [0; RECORD_BYTES];
        for _ in 0..RECORDS_PER_TURN {
            let Some(job) = self.jobs.get_mut(&serial) else { return };
            let Some(socket) = &job.socket else { return };
            match socket::receive(socket.as_fd(), &mut buffer, RECORD_FDS_MAX, true) {
                Ok(received) if received.len > 0 => {
                    let record = buffer.get(..received.len).and_then(Record::from_bytes);
                    if let Some(record) = record {
                        self.take_record(serial, record, received.fds);
                    }
                }
                Err(error) if error.errno == Errno::EAGAIN => return,
                Ok(_) | Err(_) => {
                    // Closed, or broken, which is the same: init's pidfd tells the rest.
                    let removed = self.epoll.remove(socket.as_fd());
                    job.socket = None;
                    self.report_cleanup(removed);
                    return;
                }
            }
        }
    }

    fn take_record(&mut self, serial: u64, record: Record, fds: Vec<OwnedFd>) {
        let mut fds = fds.into_iter();
        let facts = &self.facts;
        let Some(job) = self.jobs.get_mut(&serial) else { return };
        match record {
            Record::Failed(failure) => job.failure = Some(failure),
            Record::Started { landlock_abi } => {
                if job.times.started.is_some() {
                    return;
                }
                job.times.started = Some(time::monotonic_now());
                job.times.started_wall = Some(time::realtime_now());
                job.leader = fds.next();
                if let Some(master) = fds.next() {
                    job.stdio.take_master(master);
                }
                let applied = job.group.as_ref().map(|group| group.applied());
                let digest = job.enforcement.plan_digest.clone();
                job.enforcement = report::enforcement(&job.plan, &digest, facts, applied, Some(landlock_abi));
                let shrunk = if self.faults.strikes_next() { faults::shrink_memory(job) } else { Ok(()) };
                let (message, fds) = (job.started_message(), job.stdio.started_fds());
                self.report_cleanup(shrunk);
                self.tell_of(serial, &message, fds);
            }
            Record::Exited { status, cpu_user_us, cpu_system_us, scratch_full } => {
                job.exit = Some(status);
                job.init_cpu_us = Some((cpu_user_us, cpu_system_us));
                job.scratch_full = scratch_full;
                job.times.ended = Some(time::monotonic_now());
                job.times.ended_wall = Some(time::realtime_now());
                // Init exits now, and the kernel ends the rest.
                job.times.stuck.get_or_insert(time::monotonic_now() + STUCK_AFTER);
            }
        }
    }

    fn init_ended(&mut self, serial: u64) {
        let Some(job) = self.jobs.get(&serial) else { return self.held_init_ended(serial) };
        match pidfd::reap(job.init_pidfd.as_fd()) {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => {
                // Its last words may still be in the socket.
                self.read_records(serial);
                self.finish(serial);
            }
        }
    }

    /// Puts a message into the server's queue. Without a server it is nobody's: the next one is told how things are then.
    pub fn tell(&mut self, message: &ToServer, fds: Vec<Rc<OwnedFd>>) {
        if let Some(server) = &mut self.server {
            server.tell(message, fds);
        }
    }

    /// The same about a job, unless the server has not heard of that job yet.
    pub fn tell_of(&mut self, serial: u64, message: &ToServer, fds: Vec<Rc<OwnedFd>>) {
        if let Some(server) = self.server.as_mut().filter(|server| server.knows(serial)) {
            server.tell(message, fds);
        }
    }

    /// The same for a message that is encoded already.
    pub fn tell_encoded_of(&mut self, serial: u64, body: Vec<u8>) {
        if let Some(server) = self.server.as_mut().filter(|server| server.knows(serial)) {
            server.tell_encoded(body, Vec::new());
        }
    }

    fn flush(&mut self) -> Result<(), LauncherError> {
        loop {
            let Some(server) = &mut self.server else { return Ok(()) };
            let pending = match server.flush() {
                Ok(pending) => pending,
                // Its end of the link is gone: its pidfd tells the rest.
                Err(_broken) => return Ok(()),
            };
            let interest = Interest { read: !server.is_stuffed(), write: pending, priority: false };
            if pending || !self.adopt_next()? {
                return self.listen(interest);
            }
        }
    }

    fn listen(&self, interest: Interest) -> Result<(), LauncherError> {
        let Some(server) = self.server.as_ref().filter(|server| !server.has_hung_up) else { return Ok(()) };
        self.epoll.modify(server.link.as_fd(), LINK, interest).map_err(kernel("watch the link"))
    }

    /// The server has everything of that job on disk. Of a job that is not over, or of none, it has not.
    fn acknowledge(&mut self, id: &JobId) {
        let Some(serial) = self.by_id.get(id).copied() else { return };
        if self.ended.remove(serial).is_some() {
            self.by_id.remove(id);
        }
    }

    /// Looks at everything whose time has come.
    fn check_deadlines(&mut self) -> Result<(), LauncherError> {
        let now = time::monotonic_now();
        let due: Vec<u64> = self
            .jobs
            .values()
            .filter(|job| job.next_deadline().is_some_and(|deadline| deadline <= now))
            .map(|job| job.serial)
            .collect();
        for serial in due {
            self.job_is_due(serial, now);
        }
        self.check_quarantine(now);
        self.check_upgrade(now);
        self.check_succession(now)?;
        self.check_shutdown(now)
    }

    /// Where the kernel tells of processes.
    pub fn proc_root() -> &'static std::path::Path {
        std::path::Path::new("/proc")
    }

    /// Whether the caller is gone. What it writes into the lifeline does not count.
    pub fn lifeline_is_closed(&self) -> bool {
        let Some(lifeline) = &self.lifeline else { return false };
        let mut byte = [0; 1];
        // A pidfd cannot be read at all: readable means that the parent is dead.
        !matches!(file::read_fd(lifeline.as_fd(), &mut byte), Ok(length) if length > 0)
    }
}

/// Words from the server go into reports: bounded here.
fn truncate(text: &mut String) {
    if text.len() > link::REASON_BYTES_MAX {
        let end = (0..=link::REASON_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}
