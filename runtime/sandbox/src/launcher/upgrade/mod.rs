//! Another program in the place of this one, with all of its jobs: same process, same children.
//!
//! ```text
//! SIGUSR2 ──► checking ── the program on disk can read our state ──► server makes room ──► exec ──► resume (the new program)
//!               └── it cannot: all goes on as it was                                        └── refused: a server is started again
//! ```
//!
//! The program is the file at the path by which we were started, whatever is there now. It is asked first, with a copy of our state, for
//! after the exec there is no way back. What runs on: every job, its pipes, its deadlines, reports that no server has
//! acknowledged, listening sockets, leases. What is made anew: zygote, server, the operator's files, the facts of the host.
//! It must not change anything of a job.

mod check;
mod codec;
mod note;
mod pack;
mod program;
mod resume;
mod state;

use crate::launcher::{Launcher, LauncherError, Mode, Options, events, kernel, say::say};
use check::Check;
pub use check::check;
pub use codec::StateError;
pub use note::Note;
use pack::Packer;
pub use resume::resume;
use runtime_sys::{
    Error,
    error::Errno,
    memfd,
    poll::Interest,
    process::{self, ExecStrings},
    time,
};
use std::{
    ffi::CString,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
    time::Duration,
};

/// The verb with which the next program is started. Arguments: `--state-fd N`.
pub const RESUME_VERB: &str = "__resume";
/// The verb with which it is asked before. Arguments: `--state-fd N --store-version V`.
pub const CHECK_VERB: &str = "__upgrade-check";
/// The argument of both that gives the number of the state's descriptor.
pub const STATE_FD_FLAG: &str = "--state-fd";
/// The argument that gives the version of the store.
pub const STORE_VERSION_FLAG: &str = "--store-version";
/// The first descriptor that is not stdio.
const FIRST_FD: u32 = 3;
/// A server that makes room has this long: it writes what is in flight and ends its streams.
const RETIRE_GRACE: Duration = Duration::from_secs(10);

/// What of its start the launcher has to know later.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The program's file, by the path by which it was started.
    pub program: PathBuf,
    /// Where a daemon listens.
    pub sockets: Vec<PathBuf>,
    /// Where it keeps records and output.
    pub state_dir: PathBuf,
    /// Version of the store that this program's server writes.
    pub store_version: u32,
}

impl Origin {
    /// Of a start with these options.
    ///
    /// # Errors
    /// When the kernel does not tell our own program.
    pub fn of(options: &Options) -> Result<Origin, LauncherError> {
        let (sockets, state_dir) = match &options.mode {
            Mode::Serve { unix, state_dir, .. } => {
                (unix.iter().map(|listener| listener.path.clone()).collect(), state_dir.clone())
            }
            Mode::Embedded { .. } => (Vec::new(), PathBuf::new()),
        };
        Ok(Origin {
            program: program::own().map_err(kernel("find our own program"))?,
            sockets,
            state_dir,
            store_version: options.store_version,
        })
    }
}

/// An upgrade on its way.
#[derive(Debug)]
pub enum Running {
    /// The program on disk is being asked.
    Checking(Check),
    /// The server makes room.
    Retiring,
}

impl Launcher {
    /// Somebody asks for another program.
    pub fn begin_upgrade(&mut self) {
        let refused = if self.quiet {
            return;
        } else if self.upgrade.is_some() {
            Some("an upgrade is on its way already".to_owned())
        } else if self.is_ending() {
            Some("the daemon is on its way down".to_owned())
        } else {
            self.begin_check().err().map(|error| error.to_string())
        };
        if let Some(why) = refused {
            self.refuse_upgrade(&why);
        }
    }

    fn begin_check(&mut self) -> Result<(), LauncherError> {
        let state = self.state(Packer::looking())?;
        let check = Check::start(&self.proof, &self.origin, state.as_fd())
            .map_err(kernel("ask the program on disk"))?;
        let read = Interest { read: true, ..Interest::default() };
        self.epoll
            .add(check.pidfd.as_fd(), events::UPGRADE, read)
            .map_err(kernel("watch the program on disk"))?;
        self.upgrade = Some(Running::Checking(check));
        Ok(())
    }

    /// Our state, in a sealed file.
    fn state(&self, packer: Packer) -> Result<OwnedFd, LauncherError> {
        let none = Error { act: "find our own instance", errno: Errno::ENOENT };
        let state =
            packer.pack(self).and_then(|state| state.ok_or(none)).map_err(kernel("write down our state"))?;
        let bytes = codec::encode(&state).map_err(LauncherError::State)?;
        memfd::create_sealed(c"runtime-state", &bytes).map_err(kernel("write down our state"))
    }

    /// The program on disk has answered.
    pub fn check_answered(&mut self) -> Result<(), LauncherError> {
        let Some(Running::Checking(check)) = &self.upgrade else { return Ok(()) };
        let Some(answer) = check.answer().map_err(kernel("hear the program on disk"))? else { return Ok(()) };
        self.epoll.remove(check.pidfd.as_fd()).map_err(kernel("leave the program on disk"))?;
        self.upgrade = None;
        match answer {
            Ok(()) => {
                self.upgrade = Some(Running::Retiring);
                self.retire_server(RETIRE_GRACE, Launcher::replace_program)
            }
            Err(why) => {
                self.refuse_upgrade(&why);
                Ok(())
            }
        }
    }

    /// When the loop has to look at the upgrade.
    pub fn upgrade_deadline(&self) -> Option<Duration> {
        match &self.upgrade {
            Some(Running::Checking(check)) => check.deadline,
            _ => None,
        }
    }

    /// The next move of the upgrade, if its time has come.
    pub fn check_upgrade(&mut self, now: Duration) {
        if let Some(Running::Checking(check)) = &mut self.upgrade
            && check.deadline.is_some_and(|deadline| deadline <= now)
        {
            let ended = check.give_up();
            self.report_cleanup(ended);
        }
    }

    /// The server is gone: the next program takes our place, or all goes on.
    fn replace_program(&mut self) -> Result<(), LauncherError> {
        self.upgrade = None;
        let why = if self.is_ending() {
            "the daemon is on its way down".to_owned()
        } else {
            self.exec().to_string()
        };
        // Only a refused exec comes back: nothing of ours may be a child's.
        process::cloexec_range_from(FIRST_FD).map_err(kernel("take our files back"))?;
        self.refuse_upgrade(&why);
        self.start_server_now();
        self.check_shutdown(time::monotonic_now())
    }

    /// Comes back only with an error.
    fn exec(&self) -> LauncherError {
        let state = match self.state(Packer::keeping()) {
            Ok(state) => state,
            Err(error) => return error,
        };
        if let Err(error) = process::dup_onto(state.as_fd(), state.as_raw_fd()) {
            return kernel("hand our state on")(error);
        }
        let arguments = ["runtime", RESUME_VERB, STATE_FD_FLAG].map(str::to_owned);
        let arguments = arguments.into_iter().chain([state.as_raw_fd().to_string()]);
        kernel("execute the program on disk")(exec(&self.origin, arguments))
    }

    /// Nothing has changed, and whoever asked is told why.
    fn refuse_upgrade(&self, why: &str) {
        say(&format!("no upgrade: {why}"));
        self.write_note(&Note::Refused(why.to_owned()));
    }

    fn write_note(&self, note: &Note) {
        let Some(instance) = &self.instance else { return };
        if let Err(error) = note.write(&instance.path) {
            say(&format!("failed to say what became of the upgrade: {error}"));
        }
    }
}

/// Replaces our program by the one on disk, with our environment.
fn exec(origin: &Origin, arguments: impl Iterator<Item = String>) -> Error {
    let strings: Vec<CString> = arguments.filter_map(|text| CString::new(text).ok()).collect();
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let mut line = name.into_vec();
        line.push(b'=');
        line.extend(value.into_vec());
        CString::new(line).ok()
    });
    let environment = ExecStrings::new(variables.collect());
    match CString::new(origin.program.as_os_str().as_bytes()) {
        Ok(program) => process::exec(&program, &ExecStrings::new(strings), &environment),
        Err(_nul) => Error { act: "execve", errno: Errno::EINVAL },
    }
}
