//! The attempts of the host's examination, made for real. A child may only be made by a process with one
//! thread, which the usual test harness is not: this file is its own, and speaks as much of the harness's
//! language as cargo and nextest need (`--list`, `--ignored`, `--exact`, names).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

use runtime_plan::doctor::FindingState;
use runtime_plan::wall::{Requirement, Wall};
use runtime_sandbox::doctor::{Context, Needs, UidRange, examine};
use runtime_sandbox::host::attempt::{Attempt, Step, try_namespaces};
use runtime_sandbox::host::{self, Directory, identity::Identity, idmap, root::HostRoot};
use runtime_sys::clone::{CloneRequest, Cloned, Namespaces, Pid, SingleThreaded, clone_process};
use runtime_sys::pidfd::{WaitStatus, reap_blocking};
use runtime_sys::userns::{IdMap, write_maps};
use runtime_sys::{Errno, cgroup, file, mount, pipe, process};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A host id that is nobody's: the first of the jobs' default range.
const SLOT: u32 = 0x7000_0000;

/// A name and what it runs.
type Case = (&'static str, fn() -> Outcome);

const TESTS: [Case; 5] = [
    ("a_job_could_start_here", a_job_could_start_here),
    ("a_masked_proc_is_refused_at_its_step", a_masked_proc_is_refused_at_its_step),
    ("a_limit_of_namespaces_is_refused_at_the_clone", a_limit_of_namespaces_is_refused_at_the_clone),
    ("proc_takes_no_id_map", proc_takes_no_id_map),
    ("the_doctor_agrees_with_the_attempt", the_doctor_agrees_with_the_attempt),
];

fn rootful() -> bool {
    Identity::read(&HostRoot::default()).is_some_and(|identity| identity.rootful())
}

fn same<T: PartialEq + Debug>(what: &str, seen: T, expected: T) -> Outcome {
    if seen == expected { Ok(()) } else { Err(format!("{what}: {seen:?} instead of {expected:?}").into()) }
}

/// A test that this host cannot run. Where tests must run, only one that is listed as expected may say so.
fn skip(name: &str, why: &str) -> Outcome {
    println!("SKIP: {why}");
    if std::env::var("RUNTIME_TESTS_MUST_RUN").as_deref() != Ok("1") {
        return Ok(());
    }
    let listed =
        std::env::var("RUNTIME_TESTS_EXPECTED_SKIPS").ok().and_then(|path| fs::read_to_string(path).ok());
    let listed = listed.unwrap_or_default();
    let expected = listed.lines().any(|line| line.split('\t').next() == Some(name));
    same("an expected skip", expected, true)
}

fn attempt() -> Result<Attempt, Box<dyn std::error::Error>> {
    Ok(try_namespaces(&SingleThreaded::prove()?, rootful().then_some(SLOT))?)
}

fn a_job_could_start_here() -> Outcome {
    if let Attempt::Refused { step, errno } = attempt()? {
        return skip(
            "a_job_could_start_here",
            &format!("this host cannot run a job: {} answers {errno}", step.name()),
        );
    }
    let left = runtime_sys::pidfd::reap_any().map_err(|error| error.errno);
    same("children left", left.err(), Some(Errno::ECHILD))
}

/// Runs `body` in a child with namespaces and full rights over them; what it answers decides.
fn in_namespaces(
    namespaces: Namespaces,
    body: fn() -> Result<Attempt, Box<dyn std::error::Error>>,
) -> Outcome {
    let (wait, release) = pipe::pipe()?;
    let request = CloneRequest { namespaces, ..CloneRequest::default() };
    let Cloned::Parent { pid, pidfd } = clone_process(&SingleThreaded::prove()?, &request)? else {
        drop(release);
        let released = matches!(file::read_fd(wait.as_fd(), &mut [0; 1]), Ok(0));
        let answer =
            if released { body().map_err(|error| error.to_string()) } else { Err("not released".into()) };
        let code = match answer {
            Ok(Attempt::Refused { step: Step::Proc, errno: Errno::EPERM }) => 41,
            Ok(Attempt::Refused { step: Step::Clone, errno: Errno::ENOSPC }) => 42,
            other => {
                println!("in the child: {other:?}");
                1
            }
        };
        process::exit_now(code);
    };
    let maps = map_own_ids(pid, namespaces.user);
    drop(release);
    let status = reap_blocking(pidfd.as_fd())?.status;
    maps?;
    let expected = if namespaces.mount { 41 } else { 42 };
    same("the child's end", status, WaitStatus::Exited { code: expected })
}

fn map_own_ids(pid: Pid, user: bool) -> runtime_sys::Result<()> {
    let one = |outside| [IdMap { inside: outside, outside, count: 1 }];
    if user {
        write_maps(pid, &one(process::effective_uid()), &one(process::effective_gid()), true)
    } else {
        Ok(())
    }
}

fn a_masked_proc_is_refused_at_its_step() -> Outcome {
    in_namespaces(Namespaces { user: true, mount: true, ..Namespaces::default() }, || {
        mount::set_private_recursive_root()?;
        let (null, version) = (File::open("/dev/null")?, File::open("/proc/version")?);
        let tree = mount::clone_tree(null.as_fd(), c"", false)?;
        mount::attach(tree.as_fd(), version.as_fd(), c"")?;
        // Our own ids are the only ones that are mapped here.
        Ok(try_namespaces(&SingleThreaded::prove()?, None)?)
    })
}

fn a_limit_of_namespaces_is_refused_at_the_clone() -> Outcome {
    in_namespaces(Namespaces { user: true, ..Namespaces::default() }, || {
        fs::write("/proc/sys/user/max_net_namespaces", "0")?;
        Ok(try_namespaces(&SingleThreaded::prove()?, None)?)
    })
}

fn proc_takes_no_id_map() -> Outcome {
    let proc = File::open("/proc")?;
    if rootful() {
        same("id map of /proc", idmap::works(&SingleThreaded::prove()?, proc.as_fd(), 0, SLOT)?, false)?;
    }
    // The fact of a directory is that same answer, with the caller as the owner; without root it is not tried.
    let directory = Directory { fd: proc.as_fd(), path: Path::new("/proc"), read_only: true };
    let groups = cgroup::discover(Path::new("/sys/fs/cgroup"), "", rootful());
    let facts = host::gather(&HostRoot::default(), &[], Some(directory), &groups, SLOT)?;
    let fact = facts.host_directory.ok_or("no fact of the directory")?;
    same("fact", (fact.idmap, fact.read_only, fact.uid), (false, true, process::real_uid()))
}

fn the_doctor_agrees_with_the_attempt() -> Outcome {
    let root = HostRoot::default();
    let groups = cgroup::discover(Path::new("/sys/fs/cgroup"), "", rootful());
    let facts = host::gather(&root, &["/usr".to_owned()], None, &groups, SLOT)?;
    let optional = [Wall::Cgroup, Wall::UidPerJob].map(|wall| (wall, Requirement::Optional));
    let needs = Needs { walls: BTreeMap::from(optional), landlock_abi_min: 1, paths: vec!["/usr".into()] };
    let proof = SingleThreaded::prove()?;
    let context = Context {
        needs: &needs,
        uids: UidRange { first: SLOT, count: 16 },
        state_dir: Path::new("/var/lib/runtime"),
        attempts: Some(&proof),
    };
    let (findings, runs) = examine(&root, &facts, &context)?;
    let state =
        |name: &str| findings.iter().find(|finding| finding.name == name).map(|finding| finding.state);
    let works = attempt()? == Attempt::Works;
    let namespaces = (state("user_namespaces"), state("proc_mount"));
    same("findings", namespaces == (Some(FindingState::Ok), Some(FindingState::Ok)), works)?;
    same("verdict", runs, findings.iter().all(|finding| finding.state != FindingState::Broken))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    // A word after an option with a value is no name.
    let valued = |at: usize| at > 0 && ["--format", "--test-threads"].contains(&arguments[at - 1].as_str());
    let names: Vec<&String> = arguments
        .iter()
        .enumerate()
        .filter(|(at, argument)| !argument.starts_with('-') && !valued(*at))
        .map(|(_, argument)| argument)
        .collect();
    let wanted = |name: &str| {
        let hit = |pattern: &&String| {
            if has("--exact") { *pattern == name } else { name.contains(pattern.as_str()) }
        };
        !has("--ignored") && (names.is_empty() || names.iter().any(hit))
    };
    let tests = TESTS.iter().filter(|(name, _)| wanted(name));
    if has("--list") {
        tests.for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests {
        match test() {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(error) => {
                failed += 1;
                println!("test {name} ... FAILED\n{error}");
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    std::process::exit(i32::from(failed != 0));
}
