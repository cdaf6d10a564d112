//! The walls, in order. This is the list that a reviewer reads; each step is one function with its reason beside it.
//!
//! Init runs it as pid 1 of the new namespaces, holding every capability over them and none over the host. A step that
//! fails ends the start: nothing is skipped, nothing is tried again.

use crate::inside::{
    order::{Order, OrderFds},
    root::{self, NewRoot},
    step::{Failure, Step},
};
use runtime_plan::{launch::LandlockAccess, wall::Wall};
use runtime_sys::{
    Errno, Error, clone, file, landlock, mount, net,
    process::{self, join_new_session_keyring},
    socket,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What stands when [`enter`] is done: all that the job's process still needs.
#[derive(Debug)]
pub struct Entered {
    /// The landlock rule set, made but not yet in force.
    pub landlock: Option<landlock::Prepared>,
    /// The scratch file system, to see at the end whether it was full.
    pub scratch: Option<OwnedFd>,
}

/// Raises every wall that belongs to the namespaces. What belongs to the job's process alone is in `job`.
pub fn enter(launcher: BorrowedFd<'_>, order: &Order, fds: &mut OrderFds) -> Result<Entered, Failure> {
    join_cgroups(order, fds)?;
    take_init_ids(order)?;
    tie_to_launcher(launcher, order)?;
    make_cgroup_namespace(order)?;
    name_host(order)?;
    bring_loopback_up(order)?;
    let mut scratch = None;
    if order.raises(Wall::Mount) {
        // Sources first: once the new root is attached, host paths are hidden behind it, and the kernel refuses to
        // clone parts of a tree whose mounts are locked together.
        let sources = root::open_sources(order, fds)?;
        make_mounts_private(order)?;
        let new_root = root::make(order, sources)?;
        pivot(order, &new_root)?;
        root::guard_proc(order)?;
        root::finish(order)?;
        // Last of the mount steps: fsmount(2) and open_tree(2) allocate anonymous mount namespaces themselves and would
        // fail with ENOSPC afterwards.
        write_user_sysctls(order, &new_root)?;
        scratch = Some(new_root.scratch);
    }
    // After all mounts: landlock rules hold the inodes that are mounted now, and landlock forbids mounting.
    Ok(Entered { landlock: prepare_landlock(order)?, scratch })
}

impl Order {
    /// Whether the plan raises that wall.
    pub fn raises(&self, wall: Wall) -> bool {
        self.plan.walls.contains_key(&wall)
    }
}

/// Makes failures of one step.
pub fn at(step: Step) -> impl Fn(Error) -> Failure {
    move |error| Failure { step, item: 0, errno: error.errno.0 }
}

/// On v1 a process enters its groups by writing "0" to their `tasks` files, which the launcher opened with its own rights
/// (the kernel checks the opener's). On v2 the clone did it.
fn join_cgroups(order: &Order, fds: &mut OrderFds) -> Result<(), Failure> {
    order.begin(Step::JoinCgroup)?;
    if order.raises(Wall::Cgroup) {
        for tasks in std::mem::take(&mut fds.cgroup_files) {
            file::write_fd(tasks.as_fd(), b"0").map_err(at(Step::JoinCgroup))?;
        }
    }
    Ok(())
}

/// Until now init had an id of the host that the namespace does not map: files that it makes would belong to nobody.
fn take_init_ids(order: &Order) -> Result<(), Failure> {
    order.begin(Step::InitIds)?;
    if order.raises(Wall::User) && order.plan.identity.init_has_own_id {
        process::set_ids(0, 0).map_err(at(Step::InitIds))?;
    }
    Ok(())
}

/// A change of ids clears the parent-death signal, so it is set here; the launcher may have died before, so look. Not
/// dumpable: the job must not read init's memory, its environment or its fds through /proc.
fn tie_to_launcher(launcher: BorrowedFd<'_>, order: &Order) -> Result<(), Failure> {
    order.begin(Step::TieToLauncher)?;
    process::set_parent_death_signal_kill().map_err(at(Step::TieToLauncher))?;
    process::set_dumpable(false).map_err(at(Step::TieToLauncher))?;
    // The parent is outside of our pid namespace, so getppid() says 0; its end of the socket says whether it lives.
    let mut nothing = [0; 1];
    match socket::receive(launcher, &mut nothing, 0, true) {
        Err(error) if error.errno == Errno::EAGAIN => Ok(()),
        Err(error) => Err(at(Step::TieToLauncher)(error)),
        Ok(_) => Err(Failure { step: Step::TieToLauncher, item: 0, errno: Errno::ESRCH.0 }),
    }
}

/// After the move into the group: the namespace's root is the group that the caller is in at that moment.
fn make_cgroup_namespace(order: &Order) -> Result<(), Failure> {
    order.begin(Step::CgroupNamespace)?;
    if order.raises(Wall::CgroupNamespace) {
        clone::unshare_cgroup_namespace().map_err(at(Step::CgroupNamespace))?;
    }
    Ok(())
}

fn name_host(order: &Order) -> Result<(), Failure> {
    order.begin(Step::HostName)?;
    if order.raises(Wall::Uts) {
        process::set_hostname(order.plan.hostname.as_bytes()).map_err(at(Step::HostName))?;
        process::set_domainname(b"(none)").map_err(at(Step::HostName))?;
    }
    Ok(())
}

/// Test suites of every language bind to 127.0.0.1. There is no other interface, and no way out.
fn bring_loopback_up(order: &Order) -> Result<(), Failure> {
    order.begin(Step::Loopback)?;
    if order.raises(Wall::Net) {
        net::bring_loopback_up().map_err(at(Step::Loopback))?;
    }
    Ok(())
}

/// Nothing that the host mounts from now on reaches in, and nothing that we mount reaches out.
fn make_mounts_private(order: &Order) -> Result<(), Failure> {
    order.begin(Step::PrivateMounts)?;
    mount::set_private_recursive_root().map_err(at(Step::PrivateMounts))
}

/// After pivot_root(2) the host's tree is unmounted: no path leads back.
fn pivot(order: &Order, new_root: &NewRoot) -> Result<(), Failure> {
    order.begin(Step::PivotRoot)?;
    mount::pivot_into(new_root.tree.as_fd()).map_err(at(Step::PivotRoot))
}

/// Even with every later wall gone, no process here makes another user, mount, net … namespace, and no job takes more than
/// its share of the inotify pools. Written through an fd of the /proc that is still writable.
fn write_user_sysctls(order: &Order, new_root: &NewRoot) -> Result<(), Failure> {
    order.begin(Step::UserSysctls)?;
    let Some(directory) = &new_root.user_sysctls else { return Ok(()) };
    if !order.raises(Wall::User) {
        // Without a user namespace of our own these files are the host's.
        return Ok(());
    }
    for (item, (name, value)) in order.plan.user_sysctls.iter().enumerate() {
        let failed =
            |error: Error| Failure { step: Step::UserSysctls, item: item as u32, errno: error.errno.0 };
        let path = root::c_path(name).map_err(failed)?;
        let sysctl = file::open_beneath(directory.as_fd(), &path, true, false).map_err(failed)?;
        file::write_fd(sysctl.as_fd(), value.to_string().as_bytes()).map_err(failed)?;
    }
    Ok(())
}

/// The rule set is made here, where a failure can still be told well; the job's process puts itself under it.
fn prepare_landlock(order: &Order) -> Result<Option<landlock::Prepared>, Failure> {
    order.begin(Step::LandlockRules)?;
    if !order.raises(Wall::Landlock) {
        return Ok(None);
    }
    let plan = &order.plan.landlock;
    let mut opened: Vec<(OwnedFd, landlock::Access)> = Vec::with_capacity(plan.rules.len());
    for (item, (path, access)) in plan.rules.iter().enumerate() {
        let failed =
            |error: Error| Failure { step: Step::LandlockRules, item: item as u32, errno: error.errno.0 };
        let path = root::c_path(path).map_err(failed)?;
        opened.push((mount::open_path(None, &path, false).map_err(failed)?, sys_access(*access)));
    }
    let rules: Vec<_> = opened.iter().map(|(fd, access)| (fd.as_fd(), *access)).collect();
    let request = landlock::Request {
        floor_abi: plan.abi_min as i32,
        rules: &rules,
        deny_tcp: plan.deny_tcp,
        scope_signals: plan.scope_signals,
        scope_abstract_sockets: plan.scope_abstract_sockets,
    };
    landlock::prepare(&request).map(Some).map_err(at(Step::LandlockRules))
}

fn sys_access(access: LandlockAccess) -> landlock::Access {
    match access {
        LandlockAccess::Read => landlock::Access::Read,
        LandlockAccess::ReadExecute => landlock::Access::ReadExecute,
        LandlockAccess::ReadWrite => landlock::Access::ReadWriteNoExec,
        LandlockAccess::ReadWriteExecute => landlock::Access::ReadWrite,
        LandlockAccess::Device => landlock::Access::WriteFile,
        LandlockAccess::Terminal => landlock::Access::DeviceReadWrite,
    }
}

/// A keyring of its own: nothing that the launcher's session holds can be found or linked. `ENOSYS` means that the kernel
/// has no keyrings, and then there is nothing to hide.
pub fn leave_keyring(order: &Order) -> Result<(), Failure> {
    order.begin(Step::Keyring)?;
    join_new_session_keyring().map(drop).map_err(at(Step::Keyring))
}
