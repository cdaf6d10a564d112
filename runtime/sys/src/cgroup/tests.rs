//! Groups of the running host: each test has an instance of its own and removes it.
//!
//! A member of a group is a forked child that makes system calls on ready data and nothing else.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::*;
use crate::in_child::skip;

/// How long a test waits for what the kernel does sooner or later; never a measure.
const PATIENCE: Duration = Duration::from_secs(20);

const MIB: u64 = 1024 * 1024;
const LIMITS: Limits = Limits {
    memory_bytes_max: 16 * MIB,
    swap_bytes_max: 0,
    pids_max: 8,
    cpu_quota_us_per_100ms: Some(50_000),
    io_weight: None,
};

/// The facts of this host, if it lets us limit memory and processes.
fn facts() -> Option<Facts> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let rootful = crate::caps::has_sys_admin().unwrap() && nix::unistd::geteuid().is_root();
    let facts = discover(Path::new("/sys/fs/cgroup"), &own, rootful);
    if ["memory", "pids"].iter().all(|name| facts.controllers.contains(*name)) {
        return Some(facts);
    }
    skip(&format!("needs groups with memory and pids: {facts:?}"));
    None
}

/// Runs a test in an instance of its own and checks that nothing is left of it.
fn with_instance(name: &str, test: impl FnOnce(&Instance)) {
    let Some(facts) = facts() else { return };
    let name = format!("test-{}-{name}", std::process::id());
    let instance = Instance::open(&facts, &name).unwrap();
    // A test that fails must not leave groups on the host.
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&instance))) {
        clear(&facts, &name);
        std::panic::resume_unwind(panic);
    }
    instance.remove().unwrap();
    let left: Vec<_> = facts.instance_directories(&name).into_iter().filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Kills and removes all groups of an instance, as whoever cleans up after a dead launcher does it.
fn clear(facts: &Facts, name: &str) -> usize {
    let groups = groups_of(facts, name).unwrap();
    for group in &groups {
        until("nobody in it", || {
            kill_group(&group.path).unwrap();
            processes(&group.path).unwrap().is_empty()
        });
    }
    for group in &groups {
        until("its removal", || remove_group(&group.path).is_ok());
    }
    groups.len()
}

/// The files through which a process joins a group in every tree, the one that children are otherwise cloned into included.
fn joining(group: &JobGroup) -> Vec<OwnedFd> {
    let procs = group.clone_into().map(|directory| {
        let path = format!("/proc/self/fd/{}/cgroup.procs", directory.as_raw_fd());
        OwnedFd::from(std::fs::OpenOptions::new().write(true).open(path).unwrap())
    });
    let tasks = group.attach_files().iter().map(|file| file.try_clone().unwrap());
    tasks.chain(procs).collect()
}

/// Forks a member: it attaches itself, then acts, then ends with the answer.
fn spawn(group: &JobGroup, act: impl FnOnce() -> i32) -> Pid {
    let files = joining(group);
    let files: Vec<i32> = files.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: the child writes to open files, calls `act`, which makes system calls only, and _exit.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let attached = files.iter().all(|file| {
                // SAFETY: writes one byte from a static string to a descriptor that is open.
                unsafe { libc::write(*file, c"0".as_ptr().cast(), 1) == 1 }
            });
            let code = if attached { act() } else { 99 };
            // SAFETY: ends the child without running what its parent's threads left half done.
            unsafe { libc::_exit(code) }
        }
        nix::unistd::ForkResult::Parent { child } => child,
    }
}

fn sleep_for_ever() -> i32 {
    loop {
        // SAFETY: waits for a signal; no memory is touched.
        unsafe { libc::pause() };
    }
}

/// Takes memory page by page until the kernel says no more.
fn eat_memory() -> i32 {
    const CHUNK: usize = 1 << 20;
    loop {
        // SAFETY: a new private mapping, whose pages are then written within its bounds.
        unsafe {
            let start = libc::mmap(
                std::ptr::null_mut(),
                CHUNK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if start == libc::MAP_FAILED {
                return 98;
            }
            for offset in (0..CHUNK).step_by(4096) {
                start.cast::<u8>().add(offset).write_volatile(1);
            }
        }
    }
}

/// Waits until a look at the events satisfies; between looks it waits on the descriptors alone.
fn wait_for(group: &JobGroup, fds: &[OwnedFd], enough: impl Fn(&Events) -> bool) -> Events {
    let start = Instant::now();
    loop {
        let events = group.events().unwrap();
        if enough(&events) {
            return events;
        }
        assert!(start.elapsed() < PATIENCE, "{events:?}");
        let mut polled: Vec<PollFd> =
            fds.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
        let ready = poll(&mut polled, PollTimeout::try_from(PATIENCE).unwrap()).unwrap();
        assert!(ready > 0, "no event came: {events:?}");
    }
}

fn is_silent(fds: &[OwnedFd]) -> bool {
    let mut polled: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    poll(&mut polled, PollTimeout::from(200_u8)).unwrap() == 0
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_group_carries_its_limits_and_goes_without_trace() {
    with_instance("limits", |instance| {
        let job = instance.create_job("job", &LIMITS).unwrap();
        let applied = job.applied();
        assert!(applied.memory && applied.pids, "{applied:?}");
        assert_eq!(applied.swap, instance.controllers().contains("swap"));
        assert_eq!(applied.cpu, instance.controllers().contains("cpu"));
        assert_eq!(applied.devices, instance.controllers().contains("devices"));
        assert_eq!(job.events().unwrap(), Events::default());
        assert!(!job.populated().unwrap());
        assert_eq!(instance.create_job("job", &LIMITS).unwrap_err().errno, Errno::EEXIST);
        job.remove().unwrap();
        job.remove().unwrap();
        assert_eq!(job.events().unwrap_err().errno, Errno::ENOENT);
        assert_eq!(job.usage().unwrap_err().errno, Errno::ENOENT);
    });
}

#[test]
fn a_limit_that_the_kernel_does_not_take_leaves_nothing_behind() {
    with_instance("refused", |instance| {
        if !instance.controllers().contains("cpu") {
            return skip("needs the cpu controller");
        }
        let limits = Limits { cpu_quota_us_per_100ms: Some(10), ..LIMITS };
        assert_eq!(instance.create_job("job", &limits).unwrap_err().errno, Errno::EINVAL);
        instance.create_job("job", &LIMITS).unwrap().remove().unwrap();
    });
}

#[test]
fn a_job_that_eats_too_much_memory_is_killed_and_seen() {
    with_instance("oom", |instance| {
        let job = instance.create_job("job", &LIMITS).unwrap();
        let fds = job.event_fds().unwrap();
        assert!(is_silent(&fds));
        let child = spawn(&job, eat_memory);
        let events = wait_for(&job, &fds, |events| events.oom_kills > 0);
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Signaled(child, Signal::SIGKILL, false));
        // v2 counts the victim once more for the kill of its group.
        assert!((1..=2).contains(&events.oom_kills), "{events:?}");
        let peak = job.usage().unwrap().memory_peak_bytes;
        // v1 may count no hit: then the peak tells.
        assert!(events.memory_max_hits > 0 || peak.is_some(), "{events:?}");
        if let Some(peak) = peak {
            assert!((15 * MIB..=16 * MIB).contains(&peak), "{peak}");
        }
        // What has been seen is not shown again.
        until("silence", || {
            job.events().unwrap();
            is_silent(&fds)
        });
        job.remove().unwrap();
    });
}

#[test]
fn a_child_of_another_uid_and_user_namespace_can_attach_itself() {
    if !crate::in_child::need_root("a change of uid") {
        return;
    }
    with_instance("attach", |instance| {
        let job = instance.create_job("job", &LIMITS).unwrap();
        let files = joining(&job);
        let files: Vec<i32> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let elsewhere = Instance::create_job(instance, "elsewhere", &LIMITS).unwrap();
        let child = spawn(&elsewhere, || {
            // SAFETY: takes numbers only; this child has one thread.
            let stranger = unsafe {
                libc::seteuid(libc::uid_t::MAX - 7) == 0 && libc::unshare(libc::CLONE_NEWUSER) == 0
            };
            // SAFETY: writes one byte from a static string to a descriptor that is open.
            let attached =
                files.iter().all(|file| unsafe { libc::write(*file, c"0".as_ptr().cast(), 1) == 1 });
            if stranger && attached { sleep_for_ever() } else { 98 }
        });
        until("the move", || job.pids_current().unwrap() == 1 && elsewhere.pids_current().unwrap() == 0);
        assert!(job.populated().unwrap() && !elsewhere.populated().unwrap());
        kill(child, Signal::SIGKILL).unwrap();
        waitpid(child, None).unwrap();
        job.remove().unwrap();
        elsewhere.remove().unwrap();
    });
}

#[test]
fn a_v2_group_that_was_handed_to_us_is_emptied_and_used() {
    // The mark that a service manager sets.
    if !crate::in_child::need_root("the extended attribute trusted.delegate") {
        return;
    }
    with_instance("handed", |instance| {
        if facts().unwrap().version != Some(Version::V2) {
            return skip("needs a host with v2 alone");
        }
        let unit = instance.create_job("unit", &LIMITS).unwrap();
        let place = instance.trees.directories()[0].join("unit");
        rustix::fs::setxattr(&place, "trusted.delegate", b"1", rustix::fs::XattrFlags::empty()).unwrap();
        let dweller = spawn(&unit, sleep_for_ever);
        until("the dweller", || unit.populated().unwrap());

        let own = format!("0::/{}", place.strip_prefix("/sys/fs/cgroup").unwrap().display());
        let ours = discover(Path::new("/sys/fs/cgroup"), &own, true);
        assert_eq!((ours.root.as_path(), ours.delegated), (place.as_path(), true));
        let inner = Instance::open(&ours, "inner").unwrap();
        let leaf = std::fs::read_to_string(place.join("supervisor/cgroup.procs")).unwrap();
        assert_eq!(leaf.trim(), dweller.to_string());
        assert_eq!(discover(Path::new("/sys/fs/cgroup"), &format!("{own}/supervisor"), true), ours);
        let job = inner.create_job("job", &LIMITS).unwrap();
        assert!(job.applied().memory && job.applied().pids, "{:?}", job.applied());
        let child = spawn(&job, eat_memory);
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Signaled(child, Signal::SIGKILL, false));

        job.remove().unwrap();
        inner.remove().unwrap();
        kill(dweller, Signal::SIGKILL).unwrap();
        waitpid(dweller, None).unwrap();
        directory::remove(&place.join("supervisor")).unwrap();
        unit.remove().unwrap();
    });
}

#[test]
fn a_job_that_forks_too_much_is_refused_and_seen() {
    with_instance("pids", |instance| {
        let job = instance.create_job("job", &LIMITS).unwrap();
        let fds = job.event_fds().unwrap();
        let child = spawn(&job, || {
            for made in 0..20 {
                // SAFETY: a child of the member only waits; no lock of ours is taken in either.
                match unsafe { libc::fork() } {
                    0 => {
                        sleep_for_ever();
                    }
                    -1 => return made,
                    _ => {}
                }
            }
            97
        });
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 7));
        let events = wait_for(&job, &fds, |events| events.pids_max_hits > 0);
        assert_eq!(events.oom_kills, 0);
        assert_eq!(job.pids_current().unwrap(), 7);
        if let Some(peak) = job.usage().unwrap().pids_peak {
            assert_eq!(peak, 8);
        }
        assert!(job.kill().unwrap() || skip_kill(&job));
        until("the orphans' end", || !job.populated().unwrap());
        job.remove().unwrap();
    });
}

/// Without `cgroup.kill` the test itself must clear the group away.
fn skip_kill(job: &JobGroup) -> bool {
    skip("needs cgroup.kill");
    let path = std::fs::read_link(format!("/proc/self/fd/{}", joining(job)[0].as_raw_fd())).unwrap();
    for pid in std::fs::read_to_string(path).unwrap().lines() {
        kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    true
}

#[test]
fn a_frozen_group_uses_no_time_and_can_be_killed() {
    with_instance("freeze", |instance| {
        let job = instance.create_job("job", &LIMITS).unwrap();
        let child = spawn(&job, || {
            loop {
                std::hint::spin_loop();
            }
        });
        until("some processor time", || job.cpu_used().unwrap().is_none_or(|used| !used.is_zero()));
        match job.set_frozen(true) {
            Ok(()) => {
                // The state letter behind the name; a frozen task is in interruptible sleep.
                let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
                until("the freeze", || state().contains(") S"));
                let used = job.cpu_used().unwrap();
                std::thread::sleep(Duration::from_millis(50));
                assert_eq!(job.cpu_used().unwrap(), used);
                assert!(job.kill().unwrap());
            }
            Err(error) => {
                assert_eq!(error.errno, Errno::EOPNOTSUPP);
                assert!(!job.kill().unwrap());
                kill(child, Signal::SIGKILL).unwrap();
            }
        }
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Signaled(child, Signal::SIGKILL, false));
        job.remove().unwrap();
    });
}

#[test]
fn a_job_over_its_quota_is_throttled_and_its_time_is_counted() {
    with_instance("cpu", |instance| {
        if !instance.controllers().contains("cpu") {
            return skip("needs the cpu controller");
        }
        let job =
            instance.create_job("job", &Limits { cpu_quota_us_per_100ms: Some(5_000), ..LIMITS }).unwrap();
        let child = spawn(&job, || {
            loop {
                std::hint::spin_loop();
            }
        });
        until("throttling", || job.usage().unwrap().cpu_throttled.is_some_and(|time| !time.is_zero()));
        kill(child, Signal::SIGKILL).unwrap();
        waitpid(child, None).unwrap();
        let (usage, used) = (job.usage().unwrap(), job.cpu_used().unwrap());
        let sum = usage.cpu_user.zip(usage.cpu_system).map(|(user, system)| user + system);
        assert!(sum.is_some_and(|sum| !sum.is_zero()), "{usage:?}");
        // The two are read one after the other, in files of their own, in microseconds.
        assert!(
            sum.zip(used).is_some_and(|(sum, used)| sum.abs_diff(used) < Duration::from_millis(2)),
            "{usage:?}"
        );
        job.remove().unwrap();
    });
}

#[test]
fn a_job_cannot_open_a_device_that_is_not_in_its_dev() {
    with_instance("devices", |instance| {
        if !instance.controllers().contains("devices") {
            return skip("needs the v1 devices controller");
        }
        let job = instance.create_job("job", &LIMITS).unwrap();
        let open = |path: &'static std::ffi::CStr| {
            // SAFETY: opens a path that is a static string.
            move || match unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK) } {
                -1 => Errno::last().0,
                _ => 0,
            }
        };
        for (path, expected) in [(c"/dev/null", 0), (c"/dev/urandom", 0), (c"/dev/kmsg", libc::EPERM)] {
            let child = spawn(&job, open(path));
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, expected), "{path:?}");
        }
        assert_eq!(open(c"/dev/kmsg")(), 0, "outside of the group it must open");
        job.remove().unwrap();
    });
}

#[test]
fn what_a_dead_instance_left_is_found_killed_and_removed() {
    let Some(facts) = facts() else { return };
    let name = format!("test-{}-left", std::process::id());
    let instance = Instance::open(&facts, &name).unwrap();
    let job = instance.create_job("job-1", &LIMITS).unwrap();
    assert!(instances(&facts).unwrap().contains(&name));
    assert!(is_held(&facts, &name).unwrap());
    // Before there is a child, which would have a copy of the lock.
    drop(instance);
    assert!(!is_held(&facts, &name).unwrap(), "its holder is gone");
    let child = spawn(&job, sleep_for_ever);
    until("the member", || job.populated().unwrap());
    drop(job);
    let groups = groups_of(&facts, &name).unwrap();
    let trees = groups.len() / 2;
    assert!(
        trees > 0 && groups.iter().filter(|group| group.job.as_deref() == Some("job-1")).count() == trees
    );
    assert!(groups.iter().any(|group| processes(&group.path).unwrap() == [child.as_raw()]));
    let busy = groups.iter().find(|group| !processes(&group.path).unwrap().is_empty()).unwrap();
    assert_eq!(remove_group(&busy.path).unwrap_err().errno, Errno::EBUSY);
    // The child's wait status must be taken for its process to go away.
    let reaper = std::thread::spawn(move || waitpid(child, None).unwrap());
    assert_eq!(clear(&facts, &name), groups.len());
    assert_eq!(reaper.join().unwrap(), WaitStatus::Signaled(child, Signal::SIGKILL, false));
    assert!(groups_of(&facts, &name).unwrap().is_empty());
    tidy(&facts).unwrap();
}

#[test]
fn an_instance_with_a_job_is_taken_over_and_cannot_be_removed() {
    with_instance("busy", |instance| {
        let job = instance.create_job("job", &LIMITS).unwrap();
        let name = instance.trees.directories()[0].file_name().unwrap().to_str().unwrap().to_owned();
        let again = Instance::open(&facts().unwrap(), &name).unwrap();
        assert_eq!(again.create_job("job", &LIMITS).unwrap_err().errno, Errno::EEXIST);
        assert!(job.events().is_ok(), "a refused name must not take away the group that has it");
        assert_eq!(again.remove().unwrap_err().errno, Errno::EBUSY);
        job.remove().unwrap();
    });
}

#[test]
fn a_group_that_is_there_is_taken_over_with_its_counters() {
    with_instance("over", |instance| {
        assert_eq!(instance.open_job("job", Applied::default()).unwrap_err().errno, Errno::ENOENT);
        let job = instance.create_job("job", &LIMITS).unwrap();
        let child = spawn(&job, sleep_for_ever);
        until("the member", || job.populated().unwrap());
        let applied = job.applied();
        assert_eq!(job.name(), "job");
        drop(job);
        let taken = instance.open_job("job", applied).unwrap();
        assert_eq!(taken.applied(), applied);
        assert!(taken.populated().unwrap() && taken.pids_current().unwrap() == 1);
        assert!(taken.attach_files().is_empty());
        assert_eq!(taken.event_fds().unwrap().len(), 1);
        assert_eq!(taken.events().unwrap(), Events::default());
        if !taken.kill().unwrap() {
            kill(child, Signal::SIGKILL).unwrap();
        }
        waitpid(child, None).unwrap();
        until("its removal", || taken.remove().is_ok());
    });
}

#[test]
fn names_that_would_leave_their_place_are_refused() {
    let nowhere = discover(Path::new("/nonexistent"), "", true);
    let long = "x".repeat(65);
    for name in ["", ".", "..", "a/b", "cgroup.procs", "a b", long.as_str()] {
        assert_eq!(Instance::open(&nowhere, name).unwrap_err().errno, Errno::EINVAL, "{name:?}");
        assert_eq!(groups_of(&nowhere, name).unwrap_err().errno, Errno::EINVAL, "{name:?}");
    }
    assert_eq!(Instance::open(&nowhere, "fine").unwrap_err().errno, Errno::EOPNOTSUPP);
}

#[test]
fn a_lower_memory_limit_takes_effect_on_a_group_that_is_in_use() {
    with_instance("lower", |instance| {
        let job = instance.create_job("job", &LIMITS).unwrap();
        let child = spawn(&job, sleep_for_ever);
        until("it is in", || job.processes().unwrap().contains(&child.as_raw()));
        assert!(job.memory_current().unwrap().is_some());
        assert!(job.set_memory_max(4 * MIB).unwrap());
        kill(child, Signal::SIGKILL).unwrap();
        waitpid(child, None).unwrap();
        until("nobody in it", || job.processes().unwrap().is_empty());
        job.remove().unwrap();
    });
}
