//! The launcher: one thread that holds the privilege, makes the plan, owns every deadline and every kill, and reaps.
//!
//! It reads profiles, policy and the host's facts before the server exists, and believes nothing of what the server says
//! afterwards: a spec is checked again, planned here, and started from here.

mod adoption;
mod end;
mod ended;
mod events;
mod faults;
pub mod filters;
mod finish;
mod ids;
mod job;
mod options;
pub mod places;
mod quarantine;
mod reload;
mod report;
mod say;
mod server;
pub mod settings;
mod shutdown;
mod signal;
mod spawn;
mod start;
mod state_dir;
mod stdio;
mod succession;
mod trees;
pub mod upgrade;
mod usage;
mod verdict;

use crate::{
    gc,
    zygote::{self, Zygote},
};
use ended::EndedJobs;
use faults::Faults;
use job::Job;
use options::kernel;
pub use options::{Directory, FaultOption, LauncherError, Mode, Options, UnixListener};
use places::{Instance, Owns, ServerUid, Slots};
use quarantine::Quarantine;
use reload::Sources;
use runtime_plan::{
    doctor::Finding,
    facts::HostFacts,
    library::Library,
    link::{JobId, LauncherId, Rules, SealKey},
    policy::Policy,
    walls_off::WallsOff,
};
use runtime_sys::{
    Errno, Error, cgroup,
    clone::SingleThreaded,
    file,
    poll::{Epoll, Interest, SignalFd},
    process, random,
    rlimit::{self, Resource},
    time,
};
use say::say;
use server::Server;
use shutdown::Shutdown;
use spawn::Recipe;
use start::Compiled;
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};
use stdio::Pipes;
use succession::Succession;
use upgrade::Origin;

/// How often usage is looked at where no event tells.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The launcher.
#[derive(Debug)]
pub struct Launcher {
    proof: SingleThreaded,
    zygote: Zygote,
    /// None between two of them.
    server: Option<Server>,
    succession: Succession,
    recipe: Recipe,
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
    findings: (Vec<Finding>, bool),
    drain_timeout: Duration,
    identity: LauncherId,
    seal_key: SealKey,
    filters: HashMap<String, Rc<Compiled>>,
    jobs: BTreeMap<u64, Job>,
    by_id: HashMap<JobId, u64>,
    ended: EndedJobs,
    pipes: Pipes,
    quarantine: Quarantine,
    sources: Sources,
    faults: Faults,
    serial: u64,
    ending: Option<Shutdown>,
    quiet: bool,
    origin: Origin,
    upgrade: Option<upgrade::Running>,
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
                say(&text);
            }
            1
        }
    }
}

fn serve(options: Options) -> Result<(), LauncherError> {
    let proof = SingleThreaded::prove().map_err(kernel("make sure that there is one thread"))?;
    let embedded = matches!(options.mode, Mode::Embedded { .. });
    check_faults(&options)?;
    detach_from_terminal(embedded)?;
    shed(settings::is_rootful()?)?;
    // Before anything is read or opened: what inits are copies of should be small and know nothing.
    let zygote = zygote::start(&proof).map_err(kernel("start the zygote"))?;
    let run_dir = places::run_dir();
    places::make_run_dir(&run_dir)?;
    let group_facts = settings::discover_cgroups()?;
    let swept = gc::sweep(&run_dir, &group_facts);
    if !embedded {
        for name in swept.removed {
            say(&format!("removed what a launcher that died left behind (instance {name})"));
        }
        for error in swept.failed {
            say(&format!(
                "failed to remove what a launcher that died left behind, the next start tries again: {error}"
            ));
        }
    }
    let paths: Vec<PathBuf> = match &options.mode {
        Mode::Serve { unix, .. } => unix.iter().map(|listener| listener.path.clone()).collect(),
        Mode::Embedded { .. } => Vec::new(),
    };
    let led = lead(proof, zygote, options, &run_dir, &group_facts);
    close(led, &paths, &run_dir, &group_facts)
}

/// What remains to be done when there is no launcher any more.
fn close(
    led: Result<(), LauncherError>,
    sockets: &[PathBuf],
    run_dir: &Path,
    group_facts: &cgroup::Facts,
) -> Result<(), LauncherError> {
    unlink(sockets);
    // Of a launcher that failed on its way nothing is held any more, so it is swept like a dead one.
    let swept = if led.is_err() { gc::sweep(run_dir, group_facts).failed } else { Vec::new() };
    for error in swept.into_iter().chain(places::tidy(run_dir).err().map(|error| error.to_string())) {
        say(&format!("failed to clean up: {error}"));
    }
    led
}

/// A daemon that breaks on purpose is for whoever started it.
fn check_faults(options: &Options) -> Result<(), LauncherError> {
    match &options.mode {
        Mode::Serve { tcp, .. } if !tcp.is_empty() && !options.faults.is_empty() => {
            Err(LauncherError::FaultsOverTcp)
        }
        _ => {
            for fault in &options.faults {
                say(&format!("goes wrong on purpose: --fault {}", fault.text));
            }
            Ok(())
        }
    }
}

/// From the first lease to the last.
fn lead(
    proof: SingleThreaded,
    zygote: Zygote,
    options: Options,
    run_dir: &Path,
    group_facts: &cgroup::Facts,
) -> Result<(), LauncherError> {
    let embedded = matches!(options.mode, Mode::Embedded { .. });
    let instance = Instance::lease(run_dir)?;
    let rootful = settings::is_rootful()?;
    let slots = if rootful { Some(Slots::lease(run_dir)?) } else { None };
    let read = settings::read(&options, group_facts, &instance.name, slots.as_ref())?;
    let findings = if embedded { (Vec::new(), true) } else { settings::examine(&proof, &read, &options)? };
    let mut launcher = assemble(proof, zygote, (run_dir, instance), slots, read, options, findings)?;
    let ran = launcher.run();
    let cleaned = launcher.clean_up();
    ran.and(cleaned)
}

/// Sockets go with the daemon; one that is gone already is no error.
fn unlink(paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            say(&format!("failed to remove {}: {error}", path.display()));
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
    rlimit::set(Resource::Nofile, hard, hard).map_err(kernel("raise the limit of open files"))?;
    leave_no_core()
}

/// We and the server hold values of variables and the key that seals them: a crash must not write them to a disk. 1 is too small for
/// a file, and the one number that also keeps a dump from a program of the operator's (core(5), `core_pattern` with a pipe).
fn leave_no_core() -> Result<(), LauncherError> {
    let (_soft, hard) = rlimit::get(Resource::Core).map_err(kernel("read the limit of core files"))?;
    match rlimit::set(Resource::Core, 1, hard.max(1)) {
        // It is 0 and may not rise: that is as good for files.
        Err(error) if hard == 0 && error.errno == Errno::EPERM => Ok(()),
        other => other.map_err(kernel("lower the limit of core files")),
    }
}

fn assemble(
    proof: SingleThreaded,
    zygote: Zygote,
    (run_dir, instance): (&Path, Instance),
    slots: Option<Slots>,
    read: settings::Settings,
    options: Options,
    findings: (Vec<Finding>, bool),
) -> Result<Launcher, LauncherError> {
    let origin = Origin::of(&options)?;
    let signals = SignalFd::new(SIGNALS).map_err(kernel("catch signals"))?;
    let quiet = matches!(options.mode, Mode::Embedded { .. });
    let identity = LauncherId {
        instance: instance.name.clone(),
        boot_id: time::boot_id().map_err(kernel("read the boot id"))?,
        pid: std::process::id(),
    };
    let seal_key = SealKey(random::bytes().map_err(kernel("draw a random key"))?);
    let faults = Faults::of(&options.faults);
    let rootful_uid = slots.as_ref().map(Slots::server_uid);
    let (recipe, kept) =
        Recipe::new(&instance, run_dir, rootful_uid, options.mode, options.server_args, options.faults)?;
    // Before any job: when we die, whoever cleans up has to know.
    let (_, _, server_lease) = recipe.parts().3.parts();
    let leases = slots.iter().map(Slots::lease_path).chain(server_lease.map(ServerUid::lease_path));
    Owns {
        sockets: origin.sockets.clone(),
        state_dir: (!quiet).then(|| origin.state_dir.clone()),
        leases: leases.map(Path::to_path_buf).collect(),
    }
    .write(&instance.path)?;
    let (descriptors_max, _hard) =
        rlimit::get(Resource::Nofile).map_err(kernel("read the limit of open files"))?;
    let epoll = Epoll::new().map_err(kernel("make an epoll"))?;
    let mut launcher = Launcher {
        proof,
        zygote,
        server: None,
        succession: Succession::default(),
        recipe,
        epoll,
        signals,
        lifeline: kept.lifeline,
        library: read.library,
        policy: read.policy,
        facts: read.facts,
        walls_off: read.walls_off,
        groups: read.groups,
        slots,
        instance: Some(instance),
        directory: kept.directory,
        findings,
        drain_timeout: options.drain_timeout,
        identity,
        seal_key,
        filters: HashMap::new(),
        jobs: BTreeMap::new(),
        by_id: HashMap::new(),
        ended: EndedJobs::new(descriptors_max),
        pipes: Pipes::of(rootful_uid.is_some(), pipe_pages_soft()),
        quarantine: Quarantine::default(),
        sources: Sources { profiles: options.profiles_dir, policies: options.policies_dir },
        faults,
        serial: 0,
        ending: None,
        quiet,
        origin,
        upgrade: None,
    };
    launcher.watch_all().map_err(kernel("watch our own processes"))?;
    launcher.start_server().map_err(kernel("start the server"))?;
    Ok(launcher)
}

/// Pages that the pipes of an ordinary user may take.
fn pipe_pages_soft() -> Option<u64> {
    fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").ok()?.trim().parse().ok()
}

/// signal(7).
const SIGHUP: i32 = 1;
/// signal(7).
const SIGINT: i32 = 2;
/// signal(7).
const SIGTERM: i32 = 15;
/// signal(7).
const SIGUSR2: i32 = 12;
/// TERM and INT end us, HUP is for reloading, USR2 for another program in our place; a child's end is told by its pidfd.
const SIGNALS: &[i32] = &[SIGTERM, SIGINT, SIGHUP, SIGUSR2];

impl Launcher {
    /// What the operator's files say, for the server.
    fn rules(&self) -> Rules {
        Rules { profiles: self.library.summaries(), policy: self.policy.clone() }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn is_known(&self, id: &JobId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Something of ours could not be cleaned up. Not the job's business, and never silent.
    fn report_cleanup(&self, result: Result<(), Error>) {
        if let Err(error) = result {
            say(&format!("failed to clean up: {error}"));
        }
    }

    fn watch_all(&mut self) -> Result<(), Error> {
        let read = Interest { read: true, ..Interest::default() };
        self.epoll.add(self.zygote.pidfd.as_fd(), events::ZYGOTE, read)?;
        self.epoll.add(self.signals.as_fd(), events::SIGNALS, read)?;
        if let Some(lifeline) = &self.lifeline {
            self.epoll.add(lifeline.as_fd(), events::LIFELINE, read)?;
        }
        Ok(())
    }
}
