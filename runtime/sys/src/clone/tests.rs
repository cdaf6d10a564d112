//! Tests in forked children; a cgroup that they make is removed again.

use std::os::fd::AsFd;

use super::*;
use crate::in_child::{self, need_root};
use crate::pidfd::{WaitStatus, reap_blocking};
use crate::process::exit_now;

#[test]
fn threads_are_counted_or_not_at_all() {
    assert_eq!(thread_count(b"Name:\tx\nThreads:\t1\nSigQ:\t0\n"), Some(1));
    assert_eq!(thread_count(b"Threads:\t12\n"), Some(12));
    assert_eq!(thread_count(b"Name:\tThreads:\n"), None);
    assert_eq!(thread_count(b"Threads:\tmany\n"), None);
}

#[test]
fn a_process_with_two_threads_gets_no_proof() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let second = std::thread::spawn(move || stopped.recv());
    let refused = SingleThreaded::prove().expect_err("there are two threads");
    assert_eq!(refused.errno, Errno::EBUSY);
    drop(stop);
    assert!(second.join().expect("thread").is_err());
}

#[test]
fn a_forked_child_ends_with_its_own_code() {
    in_child::run(|| {
        let proof = SingleThreaded::prove()?;
        match fork(&proof)? {
            Cloned::Child => exit_now(7),
            Cloned::Parent { pidfd, .. } => {
                let reaped = reap_blocking(pidfd.as_fd())?;
                in_child::expect("status", reaped.status == WaitStatus::Exited { code: 7 })
            }
        }
    });
}

#[test]
fn new_namespaces_are_new_and_the_child_is_pid_1() {
    if !need_root("namespaces") {
        return;
    }
    in_child::run(|| {
        let proof = SingleThreaded::prove()?;
        let all = Namespaces { user: true, mount: true, pid: true, net: true, ipc: true, uts: true };
        let request = CloneRequest { namespaces: all, ..CloneRequest::default() };
        match clone_process(&proof, &request)? {
            Cloned::Child => exit_now(std::process::id().cast_signed()),
            Cloned::Parent { pidfd, .. } => {
                let reaped = reap_blocking(pidfd.as_fd())?;
                in_child::expect("pid 1 inside", reaped.status == WaitStatus::Exited { code: 1 })
            }
        }
    });
}

#[test]
fn the_parent_of_the_caller_reaps_a_sibling() {
    if !need_root("namespaces") {
        return;
    }
    in_child::run(|| {
        let proof = SingleThreaded::prove()?;
        // A child that makes a sibling of its own, in new user and pid namespaces, and ends at once.
        if let Cloned::Child = fork(&proof)? {
            let namespaces = Namespaces { user: true, pid: true, ..Namespaces::default() };
            let request = CloneRequest { namespaces, parent_of_caller: true, cgroup: None };
            match clone_process(&proof, &request) {
                Ok(Cloned::Child) => exit_now(9),
                Ok(Cloned::Parent { .. }) => exit_now(8),
                Err(_) => exit_now(1),
            }
        }
        let mut codes = Vec::new();
        for _ in 0..2 {
            if let WaitStatus::Exited { code } = crate::pidfd::reap_any_blocking()?.1.status {
                codes.push(code);
            }
        }
        codes.sort_unstable();
        in_child::expect("both are our children", codes == [8, 9])
    });
}

/// Where a version 2 hierarchy may be mounted: alone, or beside version 1.
const VERSION_2_PLACES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

fn version_2_place() -> Option<std::path::PathBuf> {
    let version_2 =
        |place: &&&str| crate::file::statfs_type(place.as_ref()) == Ok(crate::file::CGROUP2_MAGIC);
    VERSION_2_PLACES.iter().find(version_2).map(std::path::PathBuf::from)
}

#[test]
fn a_child_starts_in_the_cgroup_and_a_new_namespace_hides_its_path() {
    if !need_root("a cgroup") {
        return;
    }
    if version_2_place().is_none() {
        return in_child::skip("no version 2 cgroup hierarchy");
    }
    in_child::run(|| {
        let place = version_2_place().ok_or("no hierarchy")?;
        let name = format!("runtime-sys-test-{}", std::process::id());
        let path = place.join(&name);
        std::fs::create_dir(&path)?;
        let outcome = clone_into(&path, &name);
        std::fs::remove_dir(&path)?;
        outcome
    });
}

/// The child tells by its code whether it sees the cgroup before, and the root of a namespace after.
fn clone_into(path: &std::path::Path, name: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let directory = std::fs::File::open(path)?;
    let request = CloneRequest { cgroup: Some(directory.as_fd()), ..CloneRequest::default() };
    let Cloned::Parent { pidfd, .. } = clone_process(&SingleThreaded::prove()?, &request)? else {
        let own = || std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let before = own().lines().any(|line| line == format!("0::/{name}"));
        let unshared = unshare_cgroup_namespace().is_ok();
        let after = own().lines().any(|line| line == "0::/");
        exit_now(if before && unshared && after { 5 } else { 6 });
    };
    let status = reap_blocking(pidfd.as_fd())?.status;
    in_child::expect("before and after", status == WaitStatus::Exited { code: 5 })
}
