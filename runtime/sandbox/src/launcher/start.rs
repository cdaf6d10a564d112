//! Starts one job: everything that is made outside of the sandbox, in order, each thing owned by a value that takes it away
//! again when a later step fails.

use crate::{
    inside::order::Order,
    launcher::{
        Launcher, POLL_INTERVAL,
        faults::Act,
        filters, ids,
        job::{Job, Polled, Times},
        places::Slot,
        quarantine::Held,
        report,
        say::say,
        stdio::{self, Kept},
    },
    zygote::{Birth, Newborn},
};
use runtime_plan::{
    launch::{LaunchPlan, TreeLimits},
    link::{self, JobId, RECORD_BYTES_MAX, Refusal, RefusalReason, ToServer},
    planner,
    spec::Spec,
    wall::Wall,
};
use runtime_sys::{
    Error,
    cgroup::{self, JobGroup},
    pidfd, process,
    seccomp::Program,
    socket, time, userns,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

/// Init and job start a little less dear to the host's out-of-memory killer than our own processes (proc(5)).
const OOM_SCORE_ADJUST: i32 = 500;

/// signal(7).
const SIGKILL: i32 = 9;

/// A profile's filters, compiled once.
#[derive(Debug)]
pub struct Compiled {
    /// The job's layers.
    pub job: Vec<Vec<u8>>,
    /// Init's layers.
    pub init: Vec<Vec<u8>>,
}

/// A sandbox that has its order.
struct Born {
    newborn: Newborn,
    /// Our end of init's socket.
    socket: OwnedFd,
    /// Our ends of the pipes.
    stdio: Kept,
}

pub fn no_resources(act: &'static str) -> impl Fn(Error) -> Refusal {
    move |error| Refusal {
        reason: RefusalReason::HostResources,
        message: format!(
            "failed to {act}: {error}; `runtime doctor` shows what this host lacks and how to mend it"
        ),
    }
}

impl Launcher {
    /// The plan for a spec, and its digest.
    pub fn plan(&self, spec: &Spec) -> Result<LaunchPlan, Refusal> {
        let Some(profile) = self.library.profile(&spec.profile) else {
            let hint = match self.library.suggest(&spec.profile) {
                Some(near) => format!("did you mean {near:?}? "),
                None => String::new(),
            };
            return Err(Refusal {
                reason: RefusalReason::UnknownProfile,
                message: format!(
                    "there is no profile {:?}; {hint}`runtime profile list` shows them",
                    spec.profile
                ),
            });
        };
        planner::plan(spec, profile, &self.policy, &self.facts, &self.walls_off)
    }

    /// Starts a job and tells the server that it is taken, or why not.
    pub fn start(&mut self, id: JobId, spec: &Spec, record: Vec<u8>) {
        let taken = self
            .check_room(&id, &record)
            .and_then(|()| self.plan(spec))
            .and_then(|plan| self.launch(&id, plan, record));
        match taken {
            Ok(job) => {
                let accepted = ToServer::Accepted { job: id, pipes: job.stdio.pipes(&job.plan) };
                let fds = job.stdio.fds();
                self.adopt(job);
                self.tell(&accepted, fds);
            }
            Err(refusal) => self.tell(&ToServer::Refused { job: id, refusal }, Vec::new()),
        }
    }

    fn check_room(&self, id: &JobId, record: &[u8]) -> Result<(), Refusal> {
        let refuse = |reason, message: String| Err(Refusal { reason, message });
        if record.len() > RECORD_BYTES_MAX {
            return refuse(
                RefusalReason::HostResources,
                format!("the job's record has {} bytes, more than {RECORD_BYTES_MAX}", record.len()),
            );
        }
        if self.is_ending() {
            return refuse(
                RefusalReason::ShuttingDown,
                "the daemon is shutting down: try another".to_owned(),
            );
        }
        if self.is_known(id) {
            return refuse(RefusalReason::DuplicateJob, format!("there is a job {id} already"));
        }
        if self.ended.is_full() {
            return refuse(
                RefusalReason::TooManyJobs,
                "the server has not acknowledged the ends of earlier jobs".to_owned(),
            );
        }
        if self.jobs.len() >= self.policy.jobs_running_max as usize {
            return refuse(
                RefusalReason::TooManyJobs,
                format!("{} jobs run, as many as the policy allows: try again later", self.jobs.len()),
            );
        }
        Ok(())
    }

    fn launch(&mut self, id: &JobId, plan: LaunchPlan, record: Vec<u8>) -> Result<Job, Refusal> {
        let taken = time::monotonic_now();
        let digest = plan.digest();
        self.faults.check(Act::Filters).map_err(no_resources("compile the filters"))?;
        let compiled = self.compiled(&plan)?;
        let group = self.make_group(id, &plan)?;
        let slot = match self.take_slot(&plan) {
            Ok(slot) => slot,
            Err(refusal) => {
                self.give_back(id, group, None);
                return Err(refusal);
            }
        };
        let born = self.bear(&plan, &compiled, group.as_ref(), slot).and_then(|born| {
            let watched = self.faults.check(Act::Watch);
            match watched.and_then(|()| group.as_ref().map_or(Ok(Vec::new()), |group| group.event_fds())) {
                Ok(group_events) => Ok((born, group_events)),
                Err(error) => {
                    self.abandon(&born.newborn);
                    Err(no_resources("watch the cgroup")(error))
                }
            }
        });
        let (born, group_events) = match born {
            Ok(born) => born,
            Err(refusal) => {
                self.give_back(id, group, slot);
                return Err(refusal);
            }
        };
        let applied = group.as_ref().map(|group| group.applied());
        let polled =
            plan.limits.cpu_time_ms.is_some() || matches!(plan.tree_limits, TreeLimits::Fallback { .. });
        Ok(Job {
            id: id.clone(),
            record,
            stdio: born.stdio,
            serial: self.next_serial(),
            enforcement: report::enforcement(&plan, &digest, &self.facts, applied, None),
            plan,
            init: born.newborn.pid,
            init_pidfd: born.newborn.pidfd,
            socket: Some(born.socket),
            leader: None,
            group,
            group_events,
            slot,
            times: Times { taken, poll: polled.then(|| taken + POLL_INTERVAL), ..Times::default() },
            ending: None,
            failure: None,
            exit: None,
            init_cpu_us: None,
            signals_asked: 0,
            scratch_full: (false, false),
            polled: polled.then(Polled::default),
        })
    }

    /// The filters of the plan's profile, compiled at its first use.
    fn compiled(&mut self, plan: &LaunchPlan) -> Result<Rc<Compiled>, Refusal> {
        if !plan.walls.contains_key(&Wall::Seccomp) {
            return Ok(Rc::new(Compiled { job: Vec::new(), init: Vec::new() }));
        }
        if let Some(compiled) = self.filters.get(&plan.profile_digest) {
            return Ok(compiled.clone());
        }
        let bytes = |programs: Vec<Program>| programs.iter().map(Program::to_bytes).collect();
        let compile = || -> Result<Compiled, filters::FilterError> {
            Ok(Compiled {
                job: bytes(filters::compile(&plan.syscalls)?),
                init: bytes(filters::compile_for_init(plan.syscalls.highest_known)?),
            })
        };
        let compiled = Rc::new(compile().map_err(|error| Refusal {
            reason: RefusalReason::WallUnavailable,
            message: format!("failed to compile the system call filter of profile {}: {error}; correct it (runtime profile check)", plan.profile),
        })?);
        self.filters.insert(plan.profile_digest.clone(), compiled.clone());
        Ok(compiled)
    }

    /// The groups stand, with their limits, before any process of the job exists.
    fn make_group(&self, id: &JobId, plan: &LaunchPlan) -> Result<Option<JobGroup>, Refusal> {
        if !plan.walls.contains_key(&Wall::Cgroup) {
            return Ok(None);
        }
        let Some(groups) = &self.groups else {
            return Err(Refusal {
                reason: RefusalReason::WallUnavailable,
                message: "the cgroup wall is in the plan, but this host gives us no cgroup: `runtime doctor` shows why".to_owned(),
            });
        };
        let limits = cgroup::Limits {
            memory_bytes_max: plan.limits.memory_bytes,
            swap_bytes_max: plan.limits.swap_bytes,
            pids_max: plan.limits.pids,
            // Thousandths of a core are hundreds of microseconds in each tenth of a second.
            cpu_quota_us_per_100ms: Some(plan.limits.cpu_millicores.saturating_mul(100).max(1_000)),
            io_weight: None,
        };
        let made = self.faults.check(Act::Group).and_then(|()| groups.create_job(id.as_str(), &limits));
        let group = made.map_err(no_resources("make the cgroup"))?;
        let applied = group.applied();
        if applied.memory && applied.pids {
            return Ok(Some(group));
        }
        self.report_cleanup(group.remove());
        Err(Refusal {
            reason: RefusalReason::WallUnavailable,
            message: "the cgroup controllers memory and pids are not both available to us: enable them (`runtime doctor` says how), or use a profile in which the cgroup wall is optional".to_owned(),
        })
    }

    /// As root every job has host ids of its own. A test that takes that wall down has all jobs share one slot.
    fn take_slot(&mut self, plan: &LaunchPlan) -> Result<Option<Slot>, Refusal> {
        self.faults.check(Act::Slot).map_err(no_resources("take host ids"))?;
        let Some(slots) = &mut self.slots else { return Ok(None) };
        if self.walls_off.contains(Wall::UidPerJob) {
            return Ok(Some(slots.shared()));
        }
        slots.take().map(Some).ok_or_else(|| Refusal {
            reason: RefusalReason::HostResources,
            message: format!(
                "all host ids of this daemon are in use (job of profile {}): try again later",
                plan.profile
            ),
        })
    }

    /// Pipes, the birth, the maps, the order.
    fn bear(
        &self,
        plan: &LaunchPlan,
        compiled: &Compiled,
        group: Option<&JobGroup>,
        slot: Option<Slot>,
    ) -> Result<Born, Refusal> {
        let check = |act, what| self.faults.check(act).map_err(no_resources(what));
        check(Act::Pipes, "make the pipes")?;
        let stdio = stdio::make(plan, slot.map(Slot::job), self.pipes.may_be_large(self.jobs.len()))
            .map_err(no_resources("make the pipes"))?;
        check(Act::Trees, "open the trees")?;
        let (trees, reopened) = self.open_trees(plan, slot)?;
        check(Act::Socket, "make init's socket")?;
        let (ours, theirs) = socket::seqpacket_pair().map_err(no_resources("make init's socket"))?;
        check(Act::Birth, "clone the sandbox")?;
        let namespaces = ids::namespaces(plan);
        let owner = slot.filter(|_| namespaces.user).map(|slot| slot.first);
        let cgroup = group.and_then(|group| group.clone_into());
        let newborn = self
            .zygote
            .bear(Birth { namespaces, owner }, theirs.as_fd(), cgroup)
            .map_err(no_resources("clone the sandbox"))?;
        drop(theirs);
        let mut plan = plan.clone();
        plan.syscalls = runtime_plan::profile::SyscallPolicy::default();
        let attach = group.map_or(&[][..], |group| group.attach_files());
        let order = Order {
            filters: compiled.job.clone(),
            init_filters: compiled.init.clone(),
            cgroup_files: attach.len(),
            trees: trees.keys().copied().collect(),
            reopened,
            fail_at: self.faults.step,
            plan,
        };
        let fds: Vec<BorrowedFd<'_>> =
            stdio.job.iter().chain(attach).chain(trees.values()).map(AsFd::as_fd).collect();
        match self.give_order(&newborn, slot, &order, ours.as_fd(), &fds) {
            Ok(()) => Ok(Born { newborn, socket: ours, stdio: stdio.kept }),
            Err(refusal) => {
                self.abandon(&newborn);
                Err(refusal)
            }
        }
    }

    /// Ends a sandbox that never got its order, so that nothing of it stays, not even a zombie.
    fn abandon(&self, newborn: &Newborn) {
        self.report_cleanup(pidfd::send_signal(newborn.pidfd.as_fd(), SIGKILL));
        self.report_cleanup(pidfd::reap_blocking(newborn.pidfd.as_fd()).map(drop));
    }

    /// Gives back what a job had outside of its sandbox. Host ids rest with their group when that cannot be removed: some
    /// process may still have them.
    pub fn give_back(&mut self, id: &JobId, group: Option<JobGroup>, slot: Option<Slot>) -> Vec<String> {
        if let Some(group) = group
            && let Err(error) = group.kill().and_then(|_killed| group.remove())
        {
            let text = format!(
                "job {id}: its cgroup cannot be removed ({error}); its host ids stay with it until it can"
            );
            say(&text);
            self.quarantine.insert(Held::new(id.clone(), None, Some(group), slot));
            return vec![text];
        }
        if let (Some(slot), Some(slots)) = (slot, &mut self.slots) {
            slots.give_back(slot);
        }
        Vec::new()
    }

    /// Maps the ids, which lets init act, and tells it what to do.
    fn give_order(
        &self,
        newborn: &Newborn,
        slot: Option<Slot>,
        order: &Order,
        socket: BorrowedFd<'_>,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Refusal> {
        let check = |act, what| self.faults.check(act).map_err(no_resources(what));
        check(Act::Maps, "map the ids")?;
        if ids::namespaces(&order.plan).user {
            let (uid, gid) = ids::maps(&order.plan, slot);
            userns::write_maps(newborn.pid, &uid, &gid, true).map_err(no_resources("map the ids"))?;
        }
        check(Act::Score, "set the score for the out-of-memory killer")?;
        // From outside: init's own file is closed to it once its ids have changed.
        process::set_oom_score_adj(Some(newborn.pid), OOM_SCORE_ADJUST)
            .map_err(no_resources("set the score for the out-of-memory killer"))?;
        check(Act::Order, "send the order to init")?;
        let refuse = |message| Refusal { reason: RefusalReason::HostResources, message };
        let body =
            link::encode(order).map_err(|error| refuse(format!("failed to encode the order: {error}")))?;
        crate::frame::send(socket, &body, fds, false)
            .map_err(|error| refuse(format!("failed to send the order to init: {error}")))
    }
}
