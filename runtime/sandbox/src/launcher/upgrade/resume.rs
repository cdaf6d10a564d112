//! Takes over from the program that ran in this process before: the mirror of `pack`.

use super::{
    Origin,
    codec::{self, Described},
    state::{self, Fd, Lease, PathBytes, State},
};
use crate::{
    inside::step::Record,
    launcher::{
        FaultOption, Launcher, LauncherError, Mode, Options, SIGNALS,
        ended::{Ended, EndedJobs},
        faults::Faults,
        job::{Ending, Job, Polled, Times},
        kernel,
        places::{Instance, ServerUid, Slot, Slots},
        quarantine::{Held, Quarantine},
        reload::Sources,
        say::say,
        settings,
        spawn::Recipe,
        state_dir::StateDir,
        stdio::{Kept, Pipes},
        succession::Succession,
        upgrade::Note,
    },
    zygote,
};
use runtime_plan::fault;
use runtime_sys::{
    Error,
    cgroup::{self, Applied, JobGroup},
    clone::{Pid, SingleThreaded},
    error::Errno,
    inherit, memfd, pidfd,
    poll::{Epoll, SignalFd},
    process,
    rlimit::{self, Resource},
};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

/// signal(7).
const SIGKILL: i32 = 9;

/// Goes on where another program of this process stopped, and returns the exit status in the end. `state_fd` is the number
/// of the sealed file; no thread may exist yet, and nothing may have been opened.
pub fn resume(state_fd: i32, store_version: u32) -> i32 {
    match take_over(state_fd, store_version) {
        Ok(()) => 0,
        Err(error) => {
            say(&error.to_string());
            1
        }
    }
}

fn take_over(state_fd: i32, store_version: u32) -> Result<(), LauncherError> {
    let proof = SingleThreaded::prove().map_err(kernel("make sure that there is one thread"))?;
    let sealed = inherit::adopt_fd(state_fd).map_err(kernel("take our state over"))?;
    process::set_name(c"runtime").map_err(kernel("set the name"))?;
    // Before the state is read: what inits are copies of should know nothing of it.
    let zygote = zygote::start(&proof).map_err(kernel("start the zygote"))?;
    let bytes =
        memfd::read_sealed(sealed.as_fd(), codec::STATE_BYTES_MAX).map_err(kernel("take our state over"))?;
    drop(sealed);
    let state = codec::decode(&bytes).map_err(LauncherError::State)?;
    let sockets: Vec<PathBuf> = state.origin.sockets.iter().cloned().map(PathBuf::from).collect();
    let run_dir = PathBuf::from(state.instance.1.clone());
    let group_facts = settings::discover_cgroups()?;
    let led = rebuild(proof, zygote, state, &group_facts, store_version).and_then(|mut launcher| {
        let ran = launcher.run();
        let cleaned = launcher.clean_up();
        ran.and(cleaned)
    });
    crate::launcher::close(led, &sockets, &run_dir, &group_facts)
}

/// A descriptor that the program before us kept for us.
fn take(fd: Fd) -> Result<OwnedFd, LauncherError> {
    inherit::adopt_fd(fd.0).map_err(kernel("take a descriptor over"))
}

fn take_lease(lease: Lease) -> Result<(PathBuf, File), LauncherError> {
    Ok((lease.path.into(), File::from(take(lease.lock)?)))
}

fn rebuild(
    proof: SingleThreaded,
    zygote: zygote::Zygote,
    state: State,
    group_facts: &cgroup::Facts,
    store_version: u32,
) -> Result<Launcher, LauncherError> {
    let Described(identity) = state.identity;
    // All descriptors first: nothing else may be taken for one of them.
    let (path, lock) = take_lease(state.instance.0)?;
    let instance = Instance::restore(identity.instance.clone(), path, state.instance.1.into(), lock);
    let slots = state.slots.map(|(lease, first, free)| {
        take_lease(lease).map(|(path, lock)| Slots::restore(path, lock, first, free))
    });
    let slots = slots.transpose()?;
    let lifeline = state.lifeline.map(take).transpose()?;
    let old_zygote = take(state.zygote)?;
    let recipe = take_recipe(state.recipe)?;
    let mut jobs = Vec::new();
    for job in state.jobs {
        let group = job.group.clone();
        jobs.push((take_job(job)?, group));
    }
    let (descriptors_max, _hard) =
        rlimit::get(Resource::Nofile).map_err(kernel("read the limit of open files"))?;
    let mut ended = EndedJobs::new(descriptors_max);
    let mut by_id = HashMap::new();
    for (serial, job) in state.ended {
        by_id.insert(job.id.clone(), serial);
        ended.insert(serial, take_ended(job)?);
    }
    let mut held = Vec::new();
    for mut one in state.quarantine {
        let init = one.init.take().map(|(serial, fd)| take(fd).map(|fd| (serial, fd))).transpose()?;
        held.push((one, init));
    }
    // It has nobody to serve: its socket was ours.
    match pidfd::send_signal(old_zygote.as_fd(), SIGKILL) {
        Err(error) if error.errno != Errno::ESRCH => return Err(kernel("end the old zygote")(error)),
        _ => pidfd::reap_blocking(old_zygote.as_fd()).map(drop).map_err(kernel("reap the old zygote"))?,
    }
    let (origin, sources) = take_origin(state.origin, store_version);
    let faults = recipe.parts().2.to_vec();
    let launchers_faults = Faults::of(&faults);
    let options = options(&origin, &sources, state.drain_timeout, faults);
    let read = settings::read(&options, group_facts, &instance.name, slots.as_ref())?;
    let rootful = slots.is_some();
    let mut launcher = Launcher {
        proof,
        zygote,
        server: None,
        succession: Succession::resumed(state.generation),
        recipe,
        epoll: Epoll::new().map_err(kernel("make an epoll"))?,
        signals: SignalFd::new(SIGNALS).map_err(kernel("catch signals"))?,
        lifeline,
        library: read.library,
        policy: read.policy,
        facts: read.facts,
        walls_off: read.walls_off,
        groups: read.groups,
        slots,
        instance: Some(instance),
        directory: None,
        findings: state.findings.0,
        drain_timeout: state.drain_timeout,
        identity,
        seal_key: state.seal_key,
        filters: HashMap::new(),
        jobs: BTreeMap::new(),
        by_id,
        ended,
        quarantine: Quarantine::default(),
        pipes: Pipes::of(rootful, crate::launcher::pipe_pages_soft()),
        sources,
        faults: launchers_faults,
        serial: state.serial,
        ending: None,
        quiet: false,
        origin,
        upgrade: None,
    };
    launcher.watch_all().map_err(kernel("watch our own processes"))?;
    for (held, init) in held {
        launcher.resume_held(held, init)?;
    }
    for (job, group) in jobs {
        launcher.resume_job(job, group.as_ref());
    }
    launcher.write_note(&Note::Done);
    say(&format!("this is version {} now; {} jobs run on", env!("CARGO_PKG_VERSION"), launcher.jobs.len()));
    launcher.start_server_now();
    Ok(launcher)
}

/// What settings are read by.
fn options(origin: &Origin, sources: &Sources, drain_timeout: Duration, faults: Vec<FaultOption>) -> Options {
    Options {
        mode: Mode::Serve {
            state_dir: origin.state_dir.clone(),
            unix: Vec::new(),
            tcp: Vec::new(),
            metrics: None,
            ready_fd: None,
            socket_group: None,
            parent: None,
        },
        profiles_dir: sources.profiles.clone(),
        policies_dir: sources.policies.clone(),
        server_args: Vec::new(),
        drain_timeout,
        faults,
        store_version: origin.store_version,
    }
}

fn take_origin(origin: state::Origin, store_version: u32) -> (Origin, Sources) {
    let path = |bytes: PathBytes| PathBuf::from(bytes);
    let sources = Sources { profiles: origin.profiles.map(path), policies: origin.policies.map(path) };
    let origin = Origin {
        program: path(origin.program),
        sockets: origin.sockets.into_iter().map(path).collect(),
        state_dir: path(origin.state_dir),
        store_version,
    };
    (origin, sources)
}

fn take_recipe(recipe: state::Recipe) -> Result<Recipe, LauncherError> {
    let fds = recipe.fds.into_iter().map(take).collect::<Result<Vec<_>, _>>()?;
    let directory = File::from(take(recipe.directory)?);
    let lease = match (recipe.uid, recipe.lease) {
        (Some(uid), Some(lease)) => {
            let (path, lock) = take_lease(lease)?;
            Some(ServerUid::restore(uid, path, lock))
        }
        _ => None,
    };
    // What this version does not know goes wrong no more.
    let faults = recipe.faults.into_iter().filter_map(|text| {
        let fault = fault::parse(&text).ok()?;
        Some(FaultOption { text, fault })
    });
    let state_dir = StateDir::restore(directory, recipe.uid, lease);
    Ok(Recipe::restore(recipe.arguments, fds, faults.collect(), state_dir))
}

fn take_stdio(stdio: state::Stdio) -> Result<Kept, LauncherError> {
    let shared = |fd: Fd| take(fd).map(Rc::new);
    Ok(match stdio {
        state::Stdio::Streams(stdin, stdout, stderr) => Kept::Streams {
            stdin: stdin.map(shared).transpose()?,
            stdout: shared(stdout)?,
            stderr: shared(stderr)?,
        },
        state::Stdio::Terminal(read, write, master) => Kept::Terminal {
            read: shared(read)?,
            write: shared(write)?,
            master: master.map(shared).transpose()?,
        },
    })
}

fn take_ended(job: state::Ended) -> Result<Ended, LauncherError> {
    let state::Ended { id, record, pipes: Described(pipes), stdio, started, finished } = job;
    Ok(Ended { id, record, pipes, stdio: take_stdio(stdio)?, started, finished })
}

/// A job without its group.
fn take_job(job: state::Job) -> Result<Job, LauncherError> {
    let record = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| Record::from_bytes(&bytes));
    let failure = match record(job.failed) {
        Some(Record::Failed(failure)) => Some(failure),
        _ => None,
    };
    let (exit, init_cpu_us, scratch_full) = match record(job.exited) {
        Some(Record::Exited { status, cpu_user_us, cpu_system_us, scratch_full }) => {
            (Some(status), Some((cpu_user_us, cpu_system_us)), scratch_full)
        }
        _ => (None, None, (false, false)),
    };
    let state::Times { taken, started, ended, started_wall, ended_wall, kill, stuck, poll } = job.times;
    Ok(Job {
        id: job.id,
        record: job.record,
        stdio: take_stdio(job.stdio)?,
        serial: job.serial,
        plan: job.plan.0,
        enforcement: job.enforcement.0,
        init: Pid(job.init.0),
        init_pidfd: take(job.init.1)?,
        socket: job.socket.map(take).transpose()?,
        leader: job.leader.map(take).transpose()?,
        group: None,
        group_events: Vec::new(),
        slot: job.slot.map(|first| Slot { first }),
        times: Times { taken, started, ended, started_wall, ended_wall, kill, stuck, poll },
        ending: job.ending.map(|ending| match ending {
            state::Ending::Limit(hit) => Ending::Limit(hit.0),
            state::Ending::Cancelled(by, reason) => Ending::Cancelled { by, reason },
        }),
        failure,
        exit,
        init_cpu_us,
        signals_asked: job.signals_asked,
        scratch_full,
        polled: job.polled.map(|(memory_peak_bytes, pids_peak)| Polled { memory_peak_bytes, pids_peak }),
    })
}

impl Launcher {
    fn open_group(&self, group: &state::Group) -> Result<JobGroup, Error> {
        let none = Error { act: "open the cgroups", errno: Errno::EOPNOTSUPP };
        let [memory, swap, pids, cpu, io, devices] = group.applied;
        let applied = Applied { memory, swap, pids, cpu, io, devices };
        self.groups.as_ref().ok_or(none)?.open_job(&group.name, applied)
    }

    /// Goes on looking at what did not go away.
    fn resume_held(&mut self, held: state::Held, init: Option<(u64, OwnedFd)>) -> Result<(), LauncherError> {
        if let Some((serial, init)) = &init {
            self.watch_init(*serial, init.as_fd()).map_err(kernel("watch an init"))?;
        }
        let group = held.group.map(|group| self.open_group(&group)).transpose();
        // A group that is gone meanwhile is what was wanted.
        let group = group.unwrap_or_else(|error| {
            self.report_cleanup(Err(error));
            None
        });
        self.quarantine.insert(Held::new(held.job, init, group, held.slot.map(|first| Slot { first })));
        Ok(())
    }

    /// Takes a job into the loop again. What happened to it meanwhile is told by its descriptors, but for events of its group.
    fn resume_job(&mut self, mut job: Job, group: Option<&state::Group>) {
        let serial = job.serial;
        let mut failed = None;
        if let Some(group) = group {
            let opened = self.open_group(group).and_then(|open| Ok((open.event_fds()?, open)));
            match opened {
                Ok((events, open)) => (job.group_events, job.group) = (events, Some(open)),
                Err(error) => failed = Some(error),
            }
        }
        self.adopt(job);
        match failed {
            // Without its group its limits would be nobody's.
            Some(error) => {
                let why = format!("failed to take the job's cgroup over: {error}");
                self.cancel(serial, "runtime".to_owned(), why, true);
            }
            None => self.look_at_group(serial),
        }
    }
}
