//! The launcher: one thread that holds the privilege, makes the plan, owns every deadline and every kill, and reaps.
//!
//! It reads profiles, policy and the host's facts before the server exists, and believes nothing of what the server says
//! afterwards: a spec is checked again, planned here, and started from here.

mod end;
mod events;
pub mod filters;
mod job;
pub mod places;
mod report;
mod server;
pub mod settings;
mod start;
mod state_dir;
mod verdict;

use crate::{
    host,
    zygote::{self, Zygote},
};
use job::Job;
use places::{Instance, PlaceError, Slot, Slots};
use runtime_plan::{
    doctor::Finding,
    facts::HostFacts,
    library::Library,
    link::{self, JobId, ToServer, Welcome},
    policy::Policy,
    walls_off::WallsOff,
};
use runtime_sys::{
    Error,
    cgroup::{self, JobGroup},
    clone::SingleThreaded,
    file, pidfd,
    poll::{Epoll, Interest, SignalFd},
    process,
    rlimit::{self, Resource},
};
use server::Server;
use start::Compiled;
use state_dir::{StateDir, StateDirError};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    net::TcpListener,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

/// How often usage is looked at where no event tells.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Ended jobs whose report the server has not acknowledged: beyond, no more are started.
const UNACKNOWLEDGED_MAX: usize = 4_096;

/// How to run.
#[derive(Debug)]
pub struct Options {
    /// As a daemon, or for one command.
    pub mode: Mode,
    /// The operator's profiles, which override built-in ones by name.
    pub profiles_dir: Option<PathBuf>,
    /// The operator's policies.
    pub policies_dir: Option<PathBuf>,
    /// More arguments for the server.
    pub server_args: Vec<String>,
}

/// As a daemon, or for one command.
#[derive(Debug)]
pub enum Mode {
    /// `runtime serve`.
    Serve {
        /// Where logs are kept.
        state_dir: PathBuf,
        /// Unix sockets to serve.
        unix: Vec<UnixListener>,
        /// TCP sockets to serve.
        tcp: Vec<TcpListener>,
        /// Told when the server accepts.
        ready_fd: Option<OwnedFd>,
        /// Members may connect.
        socket_group: Option<u32>,
        /// End when the parent process ends.
        die_with_parent: bool,
    },
    /// `runtime run` without a daemon.
    Embedded {
        /// The server's end of the one connection.
        connection: OwnedFd,
        /// Closed by the caller when it is done or dead.
        lifeline: OwnedFd,
        /// Takes the text of what kept us from starting.
        fatal: OwnedFd,
        /// The caller's directory.
        directory: Option<Directory>,
    },
}

/// A socket that has been bound.
#[derive(Debug)]
pub struct UnixListener {
    /// Where; removed at the end.
    pub path: PathBuf,
    /// The socket.
    pub fd: OwnedFd,
}

/// A directory that the caller opened with its own rights.
#[derive(Debug)]
pub struct Directory {
    /// The directory, O_PATH.
    pub fd: OwnedFd,
    /// Its path.
    pub path: PathBuf,
    /// Mounted read-only.
    pub read_only: bool,
}

/// Why the launcher could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// The kernel refused something.
    #[error("failed to {act}: {source}")]
    Kernel {
        /// What was tried.
        act: &'static str,
        /// Its answer.
        source: Error,
    },
    /// A directory or a lease.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Profiles or policies.
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    /// The host cannot be looked at.
    #[error(transparent)]
    Host(#[from] host::HostError),
    /// The state directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A TCP socket that was handed to us.
    #[error("failed to ask a TCP socket for its address: {0}")]
    Tcp(io::Error),
    /// The server is gone and was not asked to go.
    #[error("the server ended by itself ({0}); all jobs were ended")]
    ServerDied(String),
    /// The zygote is gone.
    #[error("the zygote ended by itself; all jobs were ended")]
    ZygoteDied,
    /// The server does not speak our version.
    #[error("the server speaks version {0} of the link, the launcher {version}; start both from one binary", version = link::VERSION)]
    Version(u32),
}

fn kernel(act: &'static str) -> impl Fn(Error) -> LauncherError {
    move |source| LauncherError::Kernel { act, source }
}

/// The launcher.
#[derive(Debug)]
pub struct Launcher {
    proof: SingleThreaded,
    zygote: Zygote,
    server: Server,
    epoll: Epoll,
    signals: SignalFd,
    /// The caller's life: a pipe's end (embedded), or the parent's pidfd.
    lifeline: Option<OwnedFd>,
    library: Library,
    policy: Policy,
    facts: HostFacts,
    walls_off: WallsOff,
    groups: Option<cgroup::Instance>,
    slots: Option<Slots>,
    instance: Option<Instance>,
    directory: Option<Directory>,
    /// Held as long as we live.
    _state_dir: StateDir,
    filters: HashMap<String, Rc<Compiled>>,
    jobs: BTreeMap<u64, Job>,
    by_id: HashMap<JobId, u64>,
    unacknowledged: BTreeSet<JobId>,
    /// Groups that could not be removed, with the host ids that rest with them.
    quarantine: Vec<(JobGroup, Option<Slot>)>,
    serial: u64,
    ending: Option<end::Shutdown>,
    quiet: bool,
}

/// Becomes the launcher of this process and stays so until everything is over. Returns the exit status.
pub fn run(options: Options) -> i32 {
    let fatal = match &options.mode {
        Mode::Embedded { fatal, .. } => fatal.try_clone().ok(),
        Mode::Serve { .. } => None,
    };
    match serve(options) {
        Ok(()) => 0,
        Err(error) => {
            let text = error.to_string();
            // The embedded caller prints it as its own words; when it is gone, nobody reads them.
            let told = fatal.is_some_and(|fatal| file::write_fd(fatal.as_fd(), text.as_bytes()).is_ok());
            if !told {
                eprintln!("runtime: {text}");
            }
            1
        }
    }
}

fn serve(options: Options) -> Result<(), LauncherError> {
    let proof = SingleThreaded::prove().map_err(kernel("make sure that there is one thread"))?;
    let embedded = matches!(options.mode, Mode::Embedded { .. });
    detach_from_terminal(embedded)?;
    shed(settings::is_rootful()?)?;
    // Before anything is read or opened: what inits are copies of should be small and know nothing.
    let zygote = zygote::start(&proof).map_err(kernel("start the zygote"))?;
    let run_dir = places::run_dir();
    places::make_run_dir(&run_dir)?;
    let group_facts = settings::discover_cgroups()?;
    for name in places::sweep(&run_dir, &group_facts)? {
        if !embedded {
            eprintln!("runtime: removed what a launcher that died left behind (instance {name})");
        }
    }
    let instance = Instance::lease(&run_dir)?;
    let rootful = settings::is_rootful()?;
    let slots = if rootful { Some(Slots::lease(&run_dir)?) } else { None };
    let read = settings::read(&options, &group_facts, &instance.name, slots.as_ref())?;
    let findings = if embedded { (Vec::new(), true) } else { settings::examine(&proof, &read, &options)? };
    let paths: Vec<PathBuf> = match &options.mode {
        Mode::Serve { unix, .. } => unix.iter().map(|listener| listener.path.clone()).collect(),
        Mode::Embedded { .. } => Vec::new(),
    };
    let mut launcher = assemble(proof, zygote, instance, slots, read, options, findings)
        .inspect_err(|_error| unlink(&paths))?;
    let ran = launcher.run();
    let cleaned = launcher.clean_up();
    unlink(&paths);
    ran.and(cleaned)
}

/// Sockets go with the daemon; one that is gone already is no error.
fn unlink(paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("runtime: failed to remove {}: {error}", path.display());
        }
    }
}

/// The embedded launcher shares a terminal and pipes with its caller: a Ctrl-C is the caller's to hear, and a pipe that the
/// caller writes to must close when the caller does.
fn detach_from_terminal(embedded: bool) -> Result<(), LauncherError> {
    let null = file::open_null().map_err(kernel("open /dev/null"))?;
    process::dup_onto(null.as_fd(), 0).map_err(kernel("leave stdin"))?;
    process::dup_onto(null.as_fd(), 1).map_err(kernel("leave stdout"))?;
    if embedded {
        process::new_session().map_err(kernel("make a session"))?;
    }
    process::set_umask(0o022).map_err(kernel("set the umask"))?;
    process::set_name(c"runtime").map_err(kernel("set the name"))
}

/// What every process of ours would inherit, jobs included. Supplementary groups open files of the host to a job, and a
/// sandbox cannot leave them, for in its user namespace setgroups is denied; without root nobody can. The kernel bounds the
/// descriptors in flight over sockets per host uid by the sender's soft limit of open files: a job without an id of its own
/// could use them up under the usual 1024.
fn shed(rootful: bool) -> Result<(), LauncherError> {
    if rootful {
        process::drop_supplementary_groups().map_err(kernel("leave the supplementary groups"))?;
    }
    let (_soft, hard) = rlimit::get(Resource::Nofile).map_err(kernel("read the limit of open files"))?;
    rlimit::set(Resource::Nofile, hard, hard).map_err(kernel("raise the limit of open files"))
}

fn assemble(
    proof: SingleThreaded,
    zygote: Zygote,
    instance: Instance,
    slots: Option<Slots>,
    read: settings::Settings,
    options: Options,
    findings: (Vec<Finding>, bool),
) -> Result<Launcher, LauncherError> {
    // TERM and INT end us, HUP is for reloading; a child's end is told by its pidfd.
    let signals = SignalFd::new(&[SIGTERM, SIGINT, SIGHUP]).map_err(kernel("catch signals"))?;
    let server_uid = slots.as_ref().map(Slots::server_uid);
    let quiet = matches!(options.mode, Mode::Embedded { .. });
    let started = start_server(&proof, &instance, server_uid, options.mode, options.server_args)?;
    let epoll = Epoll::new().map_err(kernel("make an epoll"))?;
    let mut launcher = Launcher {
        proof,
        zygote,
        server: started.server,
        epoll,
        signals,
        lifeline: started.lifeline,
        library: read.library,
        policy: read.policy,
        facts: read.facts,
        walls_off: read.walls_off,
        groups: read.groups,
        slots,
        instance: Some(instance),
        directory: started.directory,
        _state_dir: started.state_dir,
        filters: HashMap::new(),
        jobs: BTreeMap::new(),
        by_id: HashMap::new(),
        unacknowledged: BTreeSet::new(),
        quarantine: Vec::new(),
        serial: 0,
        ending: None,
        quiet,
    };
    launcher.watch_all().map_err(kernel("watch our own processes"))?;
    launcher.welcome(findings);
    Ok(launcher)
}

/// signal(7).
const SIGHUP: i32 = 1;
/// signal(7).
const SIGINT: i32 = 2;
/// signal(7).
const SIGTERM: i32 = 15;

/// The server, and what of the mode the launcher keeps.
struct Started {
    server: Server,
    lifeline: Option<OwnedFd>,
    directory: Option<Directory>,
    state_dir: StateDir,
}

fn start_server(
    proof: &SingleThreaded,
    instance: &Instance,
    server_uid: Option<u32>,
    mode: Mode,
    mut arguments: Vec<String>,
) -> Result<Started, LauncherError> {
    let owner = process::effective_uid();
    arguments.extend(["--owner-uid".to_owned(), owner.to_string()]);
    match mode {
        Mode::Embedded { connection, lifeline, directory, .. } => {
            let state_dir = StateDir::take(&instance.path.join("state"), server_uid)?;
            arguments.extend(["--connection-fd".to_owned(), connection.as_raw_fd().to_string()]);
            let fds = vec![connection.as_fd()];
            let start = server::Start { arguments, fds, state_dir: state_dir.fd(), uid: server_uid };
            let server = server::start(proof, &start).map_err(kernel("start the server"))?;
            Ok(Started { server, lifeline: Some(lifeline), directory, state_dir })
        }
        Mode::Serve { state_dir, unix, tcp, ready_fd, socket_group, die_with_parent } => {
            let state_dir = StateDir::take(&state_dir, server_uid)?;
            let mut fds = Vec::new();
            for listener in &unix {
                arguments.push("--unix-listener-fd".to_owned());
                arguments.push(format!("{}={}", listener.fd.as_raw_fd(), listener.path.display()));
                fds.push(listener.fd.as_fd());
            }
            for listener in &tcp {
                let address = listener.local_addr().map_err(LauncherError::Tcp)?;
                arguments
                    .extend(["--tcp-listener-fd".to_owned(), format!("{}={address}", listener.as_raw_fd())]);
                fds.push(listener.as_fd());
            }
            if let Some(ready) = &ready_fd {
                arguments.extend(["--ready-fd".to_owned(), ready.as_raw_fd().to_string()]);
                fds.push(ready.as_fd());
            }
            if let Some(gid) = socket_group {
                arguments.extend(["--socket-gid".to_owned(), gid.to_string()]);
            }
            let start = server::Start { arguments, fds, state_dir: state_dir.fd(), uid: server_uid };
            let server = server::start(proof, &start).map_err(kernel("start the server"))?;
            let lifeline = if die_with_parent {
                Some(pidfd::open(process::parent_pid()).map_err(kernel("watch the parent"))?)
            } else {
                None
            };
            Ok(Started { server, lifeline, directory: None, state_dir })
        }
    }
}

impl Launcher {
    fn welcome(&mut self, (findings, default_profile_runs): (Vec<Finding>, bool)) {
        let welcome = Welcome {
            version: link::VERSION,
            facts: self.facts.clone(),
            profiles: self.library.summaries(),
            policy: self.policy.clone(),
            findings,
            default_profile_runs,
        };
        self.tell(&ToServer::Hello(Box::new(welcome)), Vec::new());
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn is_known(&self, id: &JobId) -> bool {
        self.by_id.contains_key(id) || self.unacknowledged.contains(id)
    }

    /// Something of ours could not be cleaned up. Not the job's business, and never silent.
    fn report_cleanup(&self, result: Result<(), Error>) {
        if let Err(error) = result {
            eprintln!("runtime: failed to clean up: {error}");
        }
    }

    fn watch_all(&mut self) -> Result<(), Error> {
        let read = Interest { read: true, ..Interest::default() };
        self.epoll.add(self.server.link.as_fd(), events::LINK, read)?;
        self.epoll.add(self.server.pidfd.as_fd(), events::SERVER, read)?;
        self.epoll.add(self.zygote.pidfd.as_fd(), events::ZYGOTE, read)?;
        self.epoll.add(self.signals.as_fd(), events::SIGNALS, read)?;
        if let Some(lifeline) = &self.lifeline {
            self.epoll.add(lifeline.as_fd(), events::LIFELINE, read)?;
        }
        Ok(())
    }
}
