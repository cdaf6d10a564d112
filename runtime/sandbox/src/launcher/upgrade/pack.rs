//! Writes down a launcher, wholly: a field that is added to it does not compile before somebody has said here what becomes of
//! it.

use super::{
    Origin,
    codec::Described,
    state::{self, Fd, Lease, PathBytes, State},
};
use crate::{
    inside::step::Record,
    launcher::{
        Launcher,
        ended::Ended,
        job::{Ending, Job, Polled, Times},
        quarantine::Held,
        reload::Sources,
        spawn::Recipe,
        stdio::Kept,
    },
};
use runtime_plan::profile::SyscallPolicy;
use runtime_sys::{
    Error,
    cgroup::{Applied, JobGroup},
    process,
};
use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
};

/// Turns descriptors into numbers.
#[derive(Debug)]
pub struct Packer {
    /// Whether each is kept over an exec from now on.
    keeps: bool,
    failed: Option<Error>,
}

impl Packer {
    /// To look at the state only.
    pub fn looking() -> Packer {
        Packer { keeps: false, failed: None }
    }

    /// To hand the state on: the descriptors stay open over an exec.
    pub fn keeping() -> Packer {
        Packer { keeps: true, failed: None }
    }

    fn fd(&mut self, fd: &impl AsFd) -> Fd {
        let number = fd.as_fd().as_raw_fd();
        if self.keeps
            && let Err(error) = process::dup_onto(fd.as_fd(), number)
        {
            self.failed.get_or_insert(error);
        }
        Fd(number)
    }

    fn lease(&mut self, path: &Path, lock: &File) -> Lease {
        Lease { path: path.into(), lock: self.fd(lock) }
    }

    /// The launcher's state.
    ///
    /// # Errors
    /// What the kernel said of the first descriptor that could not be kept.
    pub fn pack(mut self, launcher: &Launcher) -> Result<Option<State>, Error> {
        let Launcher {
            zygote,
            succession,
            recipe,
            lifeline,
            slots,
            instance,
            findings,
            drain_timeout,
            identity,
            seal_key,
            jobs,
            ended,
            quarantine,
            serial,
            origin,
            sources,
            // Of this program, or made anew: the proof of one thread, the events, the operator's files, the host, the groups
            // (by their instance's name), filters, a map over what is told here, what counts
            // jobs to play faults.
            proof: _,
            epoll: _,
            signals: _,
            library: _,
            policy: _,
            facts: _,
            walls_off: _,
            groups: _,
            filters: _,
            by_id: _,
            pipes: _,
            faults: _,
            // There is none, we do not end, and only a daemon does this, which has no caller's directory.
            server: _,
            ending: _,
            upgrade: _,
            directory: _,
            quiet: _,
        } = launcher;
        let Some(instance) = instance else { return Ok(None) };
        let (_, path, run_dir, lock) = instance.parts();
        let state = State {
            identity: Described(identity.clone()),
            seal_key: seal_key.clone(),
            generation: succession.generation,
            serial: *serial,
            findings: Described(findings.clone()),
            drain_timeout: *drain_timeout,
            origin: pack_origin(origin, sources),
            instance: (self.lease(path, lock), run_dir.into()),
            slots: slots.as_ref().map(|slots| {
                let (path, lock, first, free) = slots.parts();
                (self.lease(path, lock), first, free)
            }),
            lifeline: lifeline.as_ref().map(|fd| self.fd(fd)),
            zygote: self.fd(&zygote.pidfd),
            recipe: self.recipe(recipe),
            jobs: jobs.values().map(|job| self.job(job)).collect(),
            ended: ended.iter().map(|(serial, ended)| (serial, self.ended(ended))).collect(),
            quarantine: quarantine.iter().map(|held| self.held(held)).collect(),
        };
        self.failed.map_or(Ok(Some(state)), Err)
    }

    fn recipe(&mut self, recipe: &Recipe) -> state::Recipe {
        let (arguments, fds, faults, state_dir) = recipe.parts();
        let (directory, uid, lease) = state_dir.parts();
        state::Recipe {
            arguments: arguments.to_vec(),
            fds: fds.iter().map(|fd| self.fd(fd)).collect(),
            faults: faults.iter().map(|fault| fault.text.clone()).collect(),
            directory: self.fd(directory),
            uid,
            lease: lease.map(|lease| {
                let (_, path, lock) = lease.parts();
                self.lease(path, lock)
            }),
        }
    }

    fn stdio(&mut self, kept: &Kept) -> state::Stdio {
        match kept {
            Kept::Streams { stdin, stdout, stderr } => {
                state::Stdio::Streams(stdin.as_ref().map(|fd| self.fd(fd)), self.fd(stdout), self.fd(stderr))
            }
            Kept::Terminal { read, write, master } => {
                state::Stdio::Terminal(self.fd(read), self.fd(write), master.as_ref().map(|fd| self.fd(fd)))
            }
        }
    }

    fn job(&mut self, job: &Job) -> state::Job {
        let Job {
            id,
            record,
            stdio,
            serial,
            plan,
            enforcement,
            init,
            init_pidfd,
            socket,
            leader,
            group: job_group,
            // Made anew: they belong to the group.
            group_events: _,
            slot,
            times,
            ending,
            failure,
            exit,
            init_cpu_us,
            signals_asked,
            scratch_full,
            polled,
        } = job;
        let (cpu_user_us, cpu_system_us) = init_cpu_us.unwrap_or_default();
        let exited = exit.map(|status| Record::Exited {
            status,
            cpu_user_us,
            cpu_system_us,
            scratch_full: *scratch_full,
        });
        let mut plan = plan.clone();
        plan.syscalls = SyscallPolicy::default();
        state::Job {
            id: id.clone(),
            serial: *serial,
            record: record.clone(),
            stdio: self.stdio(stdio),
            plan: Box::new(Described(plan)),
            enforcement: Described(enforcement.clone()),
            init: (init.0, self.fd(init_pidfd)),
            socket: socket.as_ref().map(|fd| self.fd(fd)),
            leader: leader.as_ref().map(|fd| self.fd(fd)),
            group: job_group.as_ref().map(group),
            slot: slot.map(|slot| slot.first),
            times: pack_times(*times),
            ending: ending.as_ref().map(|ending| match ending {
                Ending::Limit(hit) => state::Ending::Limit(Described(hit.clone())),
                Ending::Cancelled { by, reason } => state::Ending::Cancelled(by.clone(), reason.clone()),
            }),
            failed: failure.map(|failure| Record::Failed(failure).to_bytes().to_vec()),
            exited: exited.map(|record| record.to_bytes().to_vec()),
            signals_asked: *signals_asked,
            polled: polled.map(|Polled { memory_peak_bytes, pids_peak }| (memory_peak_bytes, pids_peak)),
        }
    }

    fn held(&mut self, held: &Held) -> state::Held {
        state::Held {
            job: held.job.clone(),
            init: held.init.as_ref().map(|(serial, fd)| (*serial, self.fd(fd))),
            group: held.group.as_ref().map(group),
            slot: held.slot.map(|slot| slot.first),
        }
    }

    fn ended(&mut self, ended: &Ended) -> state::Ended {
        let Ended { id, record, pipes, stdio, started, finished } = ended;
        state::Ended {
            id: id.clone(),
            record: record.clone(),
            pipes: Described(*pipes),
            stdio: self.stdio(stdio),
            started: started.clone(),
            finished: finished.clone(),
        }
    }
}

fn group(group: &JobGroup) -> state::Group {
    let Applied { memory, swap, pids, cpu, io, devices } = group.applied();
    state::Group { name: group.name(), applied: [memory, swap, pids, cpu, io, devices] }
}

fn pack_times(times: Times) -> state::Times {
    let Times { taken, started, ended, started_wall, ended_wall, kill, stuck, poll } = times;
    state::Times { taken, started, ended, started_wall, ended_wall, kill, stuck, poll }
}

fn pack_origin(origin: &Origin, sources: &Sources) -> state::Origin {
    let Origin { program, sockets, state_dir, store_version: _ } = origin;
    let Sources { profiles, policies } = sources;
    let bytes = |path: &PathBuf| PathBytes::from(path.as_path());
    state::Origin {
        program: bytes(program),
        profiles: profiles.as_ref().map(bytes),
        policies: policies.as_ref().map(bytes),
        sockets: sockets.iter().map(bytes).collect(),
        state_dir: bytes(state_dir),
    }
}
