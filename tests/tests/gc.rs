//! `runtime gc` names what launchers that died left on the host, each thing with its job, and removes it; of launchers that
//! live it touches nothing.
//!
//! A launcher that starts sweeps, too. Root's tests have a /run of their own, so that none of another test does it first.

use runtime_sys::{file, mount, process};
use runtime_tests::{Daemon, Stage, Who, eventually, is_alive, skip};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::{
        fd::AsFd,
        unix::{fs::chown, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// signal(7).
const SIGKILL: i32 = 9;
/// A job that says when it runs, and stays.
const BUSY: [&str; 3] = ["sh", "-c", "echo ready; exec sleep 600"];
/// An instance that was never there.
const MADE_UP: &str = "00000000feedbeef";
/// The trees of the host.
const CGROUPS: &str = "/sys/fs/cgroup";

runtime_tests::stories!(
    a_killed_daemons_remains_are_named_and_removed,
    a_living_daemon_loses_nothing,
    made_up_remains_of_every_kind_are_named_and_removed,
);

/// Gives root's test a /run that nobody else sees; a user's test has a run directory of its own. Control groups everybody
/// sees, so these tests take turns: as long as the answer is held.
#[must_use]
fn set_apart(stage: &Stage) -> File {
    let turn = File::open(std::env::current_exe().unwrap()).unwrap();
    eventually("it is our turn", || file::try_lock_exclusive(turn.as_fd()).unwrap());
    if stage.who() == Who::Root {
        mount::enter_own_namespace().unwrap();
        cover_run();
    }
    turn
}

fn cover_run() {
    let tmpfs = mount::NewFilesystem::open(c"tmpfs").unwrap();
    tmpfs.set(c"mode", c"755").unwrap();
    let tree = tmpfs.create(mount::Attrs::default()).unwrap();
    mount::attach(tree.as_fd(), file::open_dir_path(Path::new("/run")).unwrap().as_fd(), c"").unwrap();
}

/// What `runtime gc --json` with these flags says of an instance, and of things without one. Other tests of root have dead
/// launchers of their own, whose control groups everybody sees.
fn gc(stage: &Stage, flags: &[&str], instance: &str) -> Vec<Value> {
    let output = stage.command(stage.program("runtime")).args(["gc", "--json"]).args(flags).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = match flags {
        ["--dry-run"] => false,
        ["--check"] => !values.is_empty(),
        _ => values.iter().any(|value| value["state"] != "removed"),
    };
    assert_eq!(output.status.code(), Some(i32::from(expected)), "{flags:?}: {values:?}");
    values.retain(|value| value["instance"].is_null() || value["instance"] == instance);
    values
}

/// Without processes, which come to their end by themselves: kind, job, path or the like.
fn things(values: &[Value]) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("-").to_owned();
    let stay = values.iter().filter(|value| value["kind"] != "process");
    stay.map(|value| (text(value, "kind"), text(value, "job"), text(value, "what"))).collect()
}

fn kinds(things: &BTreeSet<(String, String, String)>) -> BTreeSet<&str> {
    things.iter().map(|(kind, ..)| kind.as_str()).collect()
}

fn assert_removed(values: &[Value]) {
    for value in values {
        assert_eq!(value["state"], "removed", "{value}");
    }
}

/// A job of a daemon, and the client that waits for it.
struct Busy {
    client: Child,
    job: String,
}

impl Busy {
    fn start(daemon: &Daemon<'_>) -> Busy {
        let mut command = daemon.client(&["run", "--"]);
        command.args(BUSY).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let job = jobs(daemon)[0]["job_id"].as_str().unwrap().to_owned();
        Busy { client, job }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.client.kill().ok();
        self.client.wait().unwrap();
    }
}

fn jobs(daemon: &Daemon<'_>) -> Vec<Value> {
    let output = daemon.client(&["ps", "--json"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one instance of a run directory.
fn instance(stage: &Stage) -> String {
    let mut names = fs::read_dir(stage.run_dir().join("instances")).unwrap();
    let name = names.next().unwrap().unwrap().file_name().into_string().unwrap();
    assert!(names.next().is_none(), "one launcher");
    name
}

/// Kills the launcher and waits until all of its processes are gone.
fn kill(daemon: &mut Daemon<'_>) {
    let processes = runtime_tests::descendants(daemon.pid());
    daemon.signal(SIGKILL);
    assert!(!daemon.wait().success());
    for process in processes {
        eventually("the launcher took it along", || !is_alive(process.pid));
    }
}

fn a_killed_daemons_remains_are_named_and_removed(stage: &Stage) {
    let _turn = set_apart(stage);
    let mut daemon = Daemon::start(stage, &[] as &[&str], "");
    let busy = Busy::start(&daemon);
    let name = instance(stage);
    kill(&mut daemon);
    let left = things(&gc(stage, &["--check"], &name));
    let socket = ("socket".to_owned(), "-".to_owned(), daemon.socket().display().to_string());
    let directory = stage.run_dir().join("instances").join(&name);
    let directory_seen = ("directory".to_owned(), "-".to_owned(), directory.display().to_string());
    assert!(left.contains(&socket) && left.contains(&directory_seen), "{left:?}");
    if stage.who() == Who::Root {
        assert_eq!(kinds(&left), BTreeSet::from(["cgroup", "directory", "lease", "socket"]));
        let leases = left.iter().filter(|(kind, ..)| kind == "lease").count();
        assert_eq!(leases, 2, "host ids of jobs, and the server's: {left:?}");
        let groups = left.iter().filter(|(kind, job, what)| {
            kind == "cgroup" && *job == busy.job && what.ends_with(&format!("/{name}/{job}"))
        });
        assert!(groups.count() > 0, "{left:?}");
    } else {
        assert!(kinds(&left).is_superset(&BTreeSet::from(["directory", "socket"])), "{left:?}");
    }
    assert_eq!(things(&gc(stage, &["--dry-run"], &name)), left, "looking removes nothing");
    let removed = gc(stage, &[], &name);
    assert_eq!(things(&removed), left);
    assert_removed(&removed);
    assert_eq!(gc(stage, &["--check"], &name), [] as [Value; 0]);
    assert!(!daemon.socket().exists() && !directory.exists() && !stage.run_dir().exists());
    assert!(stage.home().join("state").exists(), "what a daemon keeps is no leftover");
}

fn a_living_daemon_loses_nothing(stage: &Stage) {
    let _turn = set_apart(stage);
    let daemon = Daemon::start(stage, &[] as &[&str], "");
    let _busy = Busy::start(&daemon);
    let name = instance(stage);
    for flags in [&["--check"][..], &["--dry-run"], &[]] {
        assert_eq!(gc(stage, flags, &name), [] as [Value; 0]);
    }
    if stage.who() == Who::Root {
        // Nor when its lease cannot be seen: it holds its groups.
        mount::enter_own_namespace().unwrap();
        cover_run();
        assert_eq!(gc(stage, &[], &name), [] as [Value; 0]);
    }
    assert_eq!(jobs(&daemon)[0]["state"], "running");
}

/// Groups of an instance and a job of it, in every tree that there is.
fn make_groups(job: &str) -> Vec<PathBuf> {
    let trees = ["unified", "pids", "memory", "cpu", "devices"].map(|tree| Path::new(CGROUPS).join(tree));
    let mut trees: Vec<PathBuf> =
        trees.into_iter().filter(|tree| tree.join("cgroup.procs").exists()).collect();
    if trees.is_empty() {
        trees.push(PathBuf::from(CGROUPS));
    }
    let groups = trees.into_iter().map(|tree| tree.join("runtime").join(MADE_UP).join(job));
    groups.inspect(|group| fs::create_dir_all(group).unwrap()).collect()
}

/// The kinds that only root can leave: a process in groups, a mount, a network namespace, a loop device.
fn leave_as_root(directory: &Path, leftovers: &mut BTreeSet<&'static str>) -> Child {
    let process = Command::new("sleep").arg("600").spawn().unwrap();
    for group in make_groups("job-of-the-past") {
        fs::write(group.join("cgroup.procs"), process.id().to_string()).unwrap();
    }
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let path = |name: &str| directory.join(name).display().to_string();
    fs::create_dir(directory.join("work")).unwrap();
    fs::write(directory.join("net"), "").unwrap();
    fs::write(directory.join("image"), vec![0; 1 << 20]).unwrap();
    run("mount", &["-t", "tmpfs", "tmpfs", &path("work")]);
    run("mount", &["--bind", "/proc/self/ns/net", &path("net")]);
    run("losetup", &["--find", &path("image")]);
    leftovers.extend(["process", "mount", "network_namespace", "loop_device", "cgroup"]);
    process
}

fn made_up_remains_of_every_kind_are_named_and_removed(stage: &Stage) {
    let _turn = set_apart(stage);
    let run_dir = stage.run_dir();
    let directory = run_dir.join("instances").join(MADE_UP);
    fs::create_dir_all(directory.join("state/logs/7z/job-7z")).unwrap();
    fs::write(directory.join("lock"), "").unwrap();
    let socket = run_dir.join("api.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let slots = run_dir.join("slots");
    fs::create_dir(&slots).unwrap();
    fs::write(slots.join("3"), "").unwrap();
    // What a user's launcher leaves is the user's.
    let made = [&run_dir, &run_dir.join("instances"), &directory, &directory.join("lock"), &socket, &slots];
    let below =
        ["state", "state/logs", "state/logs/7z", "state/logs/7z/job-7z"].map(|path| directory.join(path));
    if process::effective_uid() == 0 {
        for path in made.into_iter().chain(&below).chain([&slots.join("3")]) {
            chown(path, Some(stage.uid()), Some(stage.uid())).unwrap();
        }
    }
    let mut expected = BTreeSet::from(["directory", "lease", "socket"]);
    let process = (stage.who() == Who::Root).then(|| leave_as_root(&directory, &mut expected));
    let kinds = |values: &[Value]| -> BTreeSet<String> {
        values.iter().map(|value| value["kind"].as_str().unwrap().to_owned()).collect()
    };
    let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
    let seen = gc(stage, &["--check"], MADE_UP);
    assert_eq!(kinds(&seen), expected, "{seen:?}");
    let job_of = |kind: &str| seen.iter().find(|value| value["kind"] == kind && value["job"].is_string());
    assert_eq!(job_of("directory").unwrap()["job"], "job-7z");
    if process.is_some() {
        assert_eq!(job_of("process").unwrap()["job"], "job-of-the-past");
        assert_eq!(job_of("cgroup").unwrap()["job"], "job-of-the-past");
    }
    let reaper = process.map(|mut process| std::thread::spawn(move || process.wait().unwrap()));
    let removed = gc(stage, &[], MADE_UP);
    assert_eq!(kinds(&removed), expected, "{removed:?}");
    assert_removed(&removed);
    if let Some(reaper) = reaper {
        assert!(!reaper.join().unwrap().success());
    }
    assert_eq!(gc(stage, &["--check"], MADE_UP), [] as [Value; 0]);
    assert!(!run_dir.exists());
}

/// The text that people read.
#[test]
fn a_person_reads_what_became_of_each_thing() {
    let stage = Stage::new(Who::User, &[("runtime", env!("CARGO_BIN_EXE_runtime-under-test"))]);
    let run_dir = stage.run_dir();
    let slots = run_dir.join("slots");
    fs::create_dir_all(&slots).unwrap();
    fs::write(slots.join("3"), "").unwrap();
    if process::effective_uid() == 0 {
        for path in [&run_dir, &slots, &slots.join("3")] {
            chown(path, Some(stage.uid()), Some(stage.uid())).unwrap();
        }
    }
    let gc = |flags: &[&str]| {
        let output = stage.command(stage.program("runtime")).arg("gc").args(flags).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let lease = format!("{} (uids 1879060480 to 1879064575)", slots.join("3").display());
    let left = format!("STATE  KIND   INSTANCE  JOB  WHAT\nleft   lease  -         -    {lease}\n");
    assert_eq!(gc(&["--dry-run"]), left);
    let removed = format!("STATE    KIND   INSTANCE  JOB  WHAT\nremoved  lease  -         -    {lease}\n");
    assert_eq!(gc(&[]), removed);
    assert_eq!(gc(&[]), "Nothing is left of launchers that died.\n");
}

/// A process that the v1 freezer holds ignores SIGKILL: it stands for one that hangs in the kernel.
struct Frozen(PathBuf);

impl Frozen {
    fn freeze(pid: u32) -> Frozen {
        let group = Path::new(CGROUPS).join("freezer").join(format!("runtime-tests-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        fs::write(group.join("cgroup.procs"), pid.to_string()).unwrap();
        let frozen = Frozen(group);
        fs::write(frozen.0.join("freezer.state"), "FROZEN").unwrap();
        eventually("it is frozen", || {
            fs::read_to_string(frozen.0.join("freezer.state")).unwrap() == "FROZEN\n"
        });
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
        eventually("the group is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn a_process_that_cannot_die_is_named_and_the_next_daemon_starts_all_the_same() {
    let test = concat!(
        module_path!(),
        "::a_process_that_cannot_die_is_named_and_the_next_daemon_starts_all_the_same"
    );
    if let Some(reason) = Who::Root.missing() {
        return skip(test, reason);
    }
    if !Path::new(CGROUPS).join("freezer").exists() {
        return skip(test, "needs the v1 freezer");
    }
    let stage = Stage::new(Who::Root, &[("runtime", env!("CARGO_BIN_EXE_runtime-under-test"))]);
    let _turn = set_apart(&stage);
    let mut daemon = Daemon::start(&stage, &[] as &[&str], "");
    let busy = Busy::start(&daemon);
    let name = instance(&stage);
    let processes = runtime_tests::descendants(daemon.pid());
    let sleeper = processes.iter().find(|process| process.name == "sleep").unwrap().pid;
    let frozen = Frozen::freeze(sleeper);
    daemon.signal(SIGKILL);
    daemon.wait();
    let seen = gc(&stage, &[], &name);
    let stuck = seen.iter().find(|value| {
        value["kind"] == "process" && value["what"].as_str().unwrap().starts_with(&format!("{sleeper} "))
    });
    let stuck = stuck.unwrap_or_else(|| panic!("{sleeper} is not in {seen:?}"));
    assert_eq!((stuck["state"].as_str(), stuck["job"].as_str()), (Some("stuck"), Some(busy.job.as_str())));
    assert!(stuck["why"].as_str().unwrap().contains("state is D"), "{stuck}");
    // The next daemon starts, works, and uses none of the ids that the process still has.
    let next = Daemon::start(&stage, &[] as &[&str], "");
    let run = next.client(&["run", "--", "true"]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let blocks: Vec<_> = fs::read_dir(stage.run_dir().join("slots")).unwrap().collect();
    assert_eq!(blocks.len(), 2, "the dead launcher's block and the living one's");
    drop((next, busy, frozen));
    eventually("it is dead", || !is_alive(sleeper));
    let removed = gc(&stage, &[], &name);
    assert!(kinds(&things(&removed)).contains("cgroup"), "{removed:?}");
    assert_removed(&removed);
}
