//! A server process as its launcher sees it: how it is started without any privilege, and the queue of what it is told.
//!
//! The server is treated as hostile. It may stop reading: then the launcher stops taking its requests, and nothing grows.

use crate::{
    frame,
    launcher::{adoption::Adoption, events, say::say},
};
use runtime_plan::link::{self, ToServer};
use runtime_sys::{
    Error, caps,
    clone::{self, Cloned, SingleThreaded},
    error::Errno,
    file, mount, pidfd,
    poll::{self, Epoll, Interest},
    process::{self, ExecStrings},
    socket,
};
use std::{
    collections::VecDeque,
    ffi::{CStr, CString},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    rc::Rc,
};

/// signal(7).
const SIGKILL: i32 = 9;
/// Messages that may wait for the server before it is no longer listened to.
const OUTBOX_MESSAGES_MAX: usize = 4_096;
/// Bytes of the same.
const OUTBOX_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Readable when it is dead.
    pub pidfd: OwnedFd,
    /// Our end of the link.
    pub link: OwnedFd,
    /// Which of the jobs that were there before it it has not heard of.
    pub adoption: Option<Adoption>,
    /// It has closed its end of the link, which is watched no more.
    pub has_hung_up: bool,
    outbox: VecDeque<(Vec<u8>, Vec<Rc<OwnedFd>>)>,
    outbox_bytes: usize,
}

/// How to start one.
#[derive(Debug)]
pub struct Start<'a> {
    /// Arguments after `__server`, but for the link and the state directory.
    pub arguments: Vec<String>,
    /// Fds that go with it, under their own numbers.
    pub fds: Vec<BorrowedFd<'a>>,
    /// Its working directory, where its state is.
    pub state_dir: BorrowedFd<'a>,
    /// Where that directory is mounted for the server alone. As root a path to it may lead through directories that only root may enter, and a
    /// database names its files by their path. `None` when the server can walk there.
    pub state_place: Option<CString>,
    /// Its uid and gid; `None` without root, where it stays ours.
    pub uid: Option<u32>,
}

/// Starts the server: a fork of this small process, then exec of our own binary.
pub fn start(proof: &SingleThreaded, start: &Start<'_>) -> Result<Server, Error> {
    let (link, theirs) = socket::seqpacket_pair()?;
    let mut arguments = vec!["runtime".to_owned(), "__server".to_owned()];
    arguments.extend(["--link-fd".to_owned(), theirs.as_raw_fd().to_string()]);
    arguments.extend(["--state-dir".to_owned(), ".".to_owned()]);
    arguments.extend(start.arguments.iter().cloned());
    let c_strings =
        |strings: Vec<String>| strings.into_iter().filter_map(|text| CString::new(text).ok()).collect();
    let arguments = ExecStrings::new(c_strings(arguments));
    let environment = ExecStrings::new(c_strings(environment()));
    match clone::fork(proof)? {
        Cloned::Parent { pidfd, .. } => Ok(Server {
            pidfd,
            link,
            adoption: None,
            has_hung_up: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
        }),
        Cloned::Child => {
            let error = become_server(start, theirs.as_fd(), &arguments, &environment);
            say(&format!("failed to start the server: {error}"));
            process::exit_now(125)
        }
    }
}

/// The server inherits nothing of the operator's environment but how to log.
fn environment() -> Vec<String> {
    let kept = ["RUNTIME_LOG", "NO_COLOR", "RUST_BACKTRACE"];
    let keep = |name: &&str| std::env::var(name).ok().map(|value| format!("{name}={value}"));
    kept.iter().filter_map(keep).collect()
}

fn become_server(
    start: &Start<'_>,
    link: BorrowedFd<'_>,
    arguments: &ExecStrings,
    environment: &ExecStrings,
) -> Error {
    match shed(start, link) {
        Err(error) => error,
        Ok(()) => process::exec(c"/proc/self/exe", arguments, environment),
    }
}

/// Everything that the server must not have goes before its program runs.
fn shed(start: &Start<'_>, link: BorrowedFd<'_>) -> Result<(), Error> {
    // Out of the terminal's process group: a Ctrl-C is for the launcher to hear.
    process::new_session()?;
    match &start.state_place {
        None => process::fchdir(start.state_dir)?,
        Some(place) => enter_state_place(start.state_dir, place)?,
    }
    let kept: Vec<RawFd> =
        start.fds.iter().chain([&link]).map(|fd| fd.as_raw_fd()).chain([0, 1, 2]).collect();
    process::close_all_except(&kept)?;
    let null = file::open_null()?;
    process::dup_onto(null.as_fd(), 0)?;
    process::dup_onto(null.as_fd(), 1)?;
    for fd in start.fds.iter().chain([&link]) {
        // The same number, without close-on-exec.
        process::dup_onto(*fd, fd.as_raw_fd())?;
    }
    poll::unblock_all()?;
    if let Some(uid) = start.uid {
        caps::drop_bounding()?;
        process::drop_supplementary_groups()?;
        process::set_ids(uid, uid)?;
    }
    caps::clear_held()?;
    process::set_no_new_privs()?;
    // Last, for a change of ids clears it.
    process::set_parent_death_signal_kill()
}

/// The copy is made before the move: the old namespace's mounts are not ours afterwards.
fn enter_state_place(state_dir: BorrowedFd<'_>, place: &CStr) -> Result<(), Error> {
    let tree = mount::clone_tree(state_dir, c"", false)?;
    mount::enter_following_namespace()?;
    let root = mount::open_path(None, c"/", false)?;
    mount::attach(tree.as_fd(), root.as_fd(), place)?;
    process::chdir(place)
}

impl Server {
    /// Puts a message into the queue. [`Server::flush`] sends it.
    pub fn tell(&mut self, message: &ToServer, fds: Vec<Rc<OwnedFd>>) {
        match link::encode(message) {
            Ok(body) => self.tell_encoded(body, fds),
            // Reports are bounded far below a message's bound; a plan that is larger is one refusal less precise.
            Err(error) => say(&format!("failed to encode a message for the server: {error}")),
        }
    }

    /// The same for a message that is encoded already.
    pub fn tell_encoded(&mut self, body: Vec<u8>, fds: Vec<Rc<OwnedFd>>) {
        self.outbox_bytes += body.len();
        self.outbox.push_back((body, fds));
    }

    /// Whether it has heard of a job.
    pub fn knows(&self, serial: u64) -> bool {
        self.adoption.is_none_or(|adoption| !adoption.is_ahead_of(serial))
    }

    /// Takes it into the loop.
    pub fn watch(&self, epoll: &Epoll) -> Result<(), Error> {
        let read = Interest { read: true, ..Interest::default() };
        epoll.add(self.pidfd.as_fd(), events::SERVER, read)?;
        epoll.add(self.link.as_fd(), events::LINK, read)
    }

    /// Ends it. Its pidfd tells when it is gone.
    pub fn kill(&self) -> Result<(), Error> {
        match pidfd::send_signal(self.pidfd.as_fd(), SIGKILL) {
            Err(error) if error.errno == Errno::ESRCH => Ok(()),
            other => other,
        }
    }

    /// Sends what it will take. Says whether something is left.
    pub fn flush(&mut self) -> Result<bool, frame::FrameError> {
        while let Some((body, fds)) = self.outbox.front() {
            let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
            match frame::send(self.link.as_fd(), body, &borrowed, true) {
                Ok(()) => {
                    self.outbox_bytes -= body.len();
                    self.outbox.pop_front();
                }
                Err(error) if error.would_block() => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Whether the queue is so long that no more requests are taken until the server reads.
    pub fn is_stuffed(&self) -> bool {
        self.outbox.len() >= OUTBOX_MESSAGES_MAX || self.outbox_bytes >= OUTBOX_BYTES_MAX
    }
}
