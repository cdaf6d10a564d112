//! Nothing stays on the host, however a run ends: no process, cgroup, namespace, mount, loop device or file of ours. And while
//! it runs, each process holds its own descriptors and nobody else's.

use runtime_sys::pidfd;
use runtime_tests::{
    Daemon, Process, Request, Stage, Traces, Who, children, descendants, eventually, fds_of,
    orphaned_cgroups, orphaned_instances, skip, sockets_of, wait,
};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// The programs on the stage.
const PROGRAMS: &[(&str, &str)] = &[("runtime", env!("CARGO_BIN_EXE_runtime-under-test"))];
/// signal(7).
const SIGHUP: i32 = 1;
/// signal(7).
const SIGINT: i32 = 2;
/// signal(7).
const SIGKILL: i32 = 9;
/// signal(7).
const SIGTERM: i32 = 15;
/// A grace of 5 s twice, and room for a busy machine.
const END_TIMEOUT: Duration = Duration::from_secs(40);
/// A job that says when it runs, leaves a process of its own session behind, and stays.
const BUSY: [&str; 3] =
    ["sh", "-c", "setsid sleep 600 & touch /tmp/file /dev/shm/file; echo ready; exec sleep 600"];

/// A command line with a job that runs, and everything of it noted.
struct Running {
    child: Child,
    traces: Traces,
}

impl Running {
    fn embedded(stage: &Stage, args: &[&str]) -> Running {
        let mut command = stage.command(stage.program("runtime"));
        command.args(["run", "--embedded"]).args(args).arg("--").args(BUSY);
        Running::start(command)
    }

    fn start(mut command: Command) -> Running {
        let mut traces = Traces::before();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        traces.note(child.id());
        Running { child, traces }
    }

    /// The launcher of an embedded run.
    fn launcher(&self) -> Process {
        children(self.child.id()).into_iter().next().expect("the launcher runs")
    }

    fn end(&mut self) -> ExitStatus {
        wait(&mut self.child, END_TIMEOUT).expect("it ends")
    }

    fn assert_gone(&self) {
        let (processes, launchers, namespaces) = self.traces.counts();
        assert!(
            processes >= 6,
            "command line, launcher, zygote, server, init and job were noted, not {processes}"
        );
        assert!(launchers == 1 && namespaces >= 6, "{launchers} launchers, {namespaces} namespaces");
        assert_gone(&self.traces);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn assert_gone(traces: &Traces) {
    let mut remaining = traces.remaining();
    eventually("nothing of the run is left", || {
        if !remaining.is_empty() {
            remaining = traces.remaining();
            println!("still there: {remaining:?}");
        }
        remaining.is_empty()
    });
}

fn signal(pid: u32, number: i32) {
    let pidfd = pidfd::open(runtime_sys::clone::Pid(pid.cast_signed())).unwrap();
    pidfd::send_signal(pidfd.as_fd(), number).unwrap();
}

fn child_named(parent: u32, name: &str) -> Process {
    let found =
        children(parent).into_iter().find(|process| process.name == name && children(process.pid).is_empty());
    found.unwrap_or_else(|| panic!("no {name} among {:?}", children(parent)))
}

/// The inits below a launcher: those of its children that have a child.
fn inits(launcher: u32) -> Vec<Process> {
    children(launcher).into_iter().filter(|child| !children(child.pid).is_empty()).collect()
}

macro_rules! stories {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[test]
            fn rootful() {
                super::as_whom(concat!(module_path!(), "::rootful"), runtime_tests::Who::Root, super::$name);
            }
            #[test]
            fn rootless() {
                super::as_whom(concat!(module_path!(), "::rootless"), runtime_tests::Who::User, super::$name);
            }
        })+
    };
}

fn as_whom(test: &str, who: Who, story: fn(&Stage)) {
    match who.missing() {
        Some(reason) => skip(test, reason),
        None => story(&Stage::new(who, PROGRAMS)),
    }
}

stories!(
    short_runs_leave_nothing,
    a_command_line_that_is_told_to_end_leaves_nothing,
    a_command_line_killed_leaves_nothing,
    a_launcher_killed_takes_everything_along_and_the_next_one_sweeps,
    a_zygote_killed_ends_everything,
    an_init_killed_ends_its_job,
    a_daemon_told_to_end_leaves_nothing,
);

/// Runs that end well, and runs that never begin.
fn short_runs_leave_nothing(stage: &Stage) {
    let before: BTreeSet<_> = listing(stage);
    let requests = [
        (Request::new(["--", "true"]), 0),
        (Request::new(["--", "sh", "-c", "setsid sleep 600 & exit 3"]), 3),
        (Request::new(["--", "no-such-program"]), 127),
        (Request::new(["--profile", "no-such-profile", "--", "true"]), 125),
        (Request::new(["--limit", "memory=1PiB", "--", "true"]), 125),
        (Request::new(["--workdir", "/no/such/directory", "--", "true"]), 125),
        (Request::new(["--timeout", "200ms", "--", "sleep", "600"]), 124),
    ];
    for (request, status) in requests {
        let output = stage.run(&request);
        assert_eq!(output.status.code(), Some(status), "{request:?}: {}", output.errors());
        let cleanup_errors = &output.report["outcome"]["cleanup_errors"];
        assert!(cleanup_errors.as_array().is_none_or(Vec::is_empty), "{cleanup_errors}");
    }
    assert_eq!(listing(stage), before, "files on the stage");
    nothing_is_orphaned(stage);
}

/// Every file on the stage.
fn listing(stage: &Stage) -> BTreeSet<String> {
    let output = Command::new("find").arg(stage.path()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Tests that kill launchers run beside this one: what those leave goes when another launcher starts.
fn nothing_is_orphaned(stage: &Stage) {
    eventually("no launcher's directory or cgroup is without its launcher", || {
        assert!(stage.run(&Request::new(["--", "true"])).status.success());
        let mut orphans = orphaned_instances(&stage.run_dir());
        if stage.who() == Who::Root {
            orphans.extend(orphaned_cgroups());
        }
        if !orphans.is_empty() {
            println!("still there: {orphans:?}");
        }
        orphans.is_empty()
    });
}

fn a_command_line_that_is_told_to_end_leaves_nothing(stage: &Stage) {
    for number in [SIGTERM, SIGINT, SIGHUP] {
        let mut running = Running::embedded(stage, &[]);
        signal(running.child.id(), number);
        assert!(!running.end().success());
        running.assert_gone();
    }
}

fn a_command_line_killed_leaves_nothing(stage: &Stage) {
    let directory = stage.open_directory();
    for args in [vec![], vec!["--dir", directory.to_str().unwrap()]] {
        // A directory of root on a file system without id maps is refused; the other form is tried everywhere.
        if !args.is_empty() && !stage.run(&Request::new(["--dir", args[1], "--", "true"])).status.success() {
            continue;
        }
        let mut running = Running::embedded(stage, &args);
        signal(running.child.id(), SIGKILL);
        running.end();
        running.assert_gone();
    }
}

fn a_launcher_killed_takes_everything_along_and_the_next_one_sweeps(stage: &Stage) {
    let mut running = Running::embedded(stage, &[]);
    signal(running.launcher().pid, SIGKILL);
    let status = running.end();
    assert_eq!(status.code(), Some(125), "the command line says that the runtime failed");
    assert!(stage.run(&Request::new(["--", "true"])).status.success());
    running.assert_gone();
}

fn a_zygote_killed_ends_everything(stage: &Stage) {
    let mut running = Running::embedded(stage, &[]);
    signal(child_named(running.launcher().pid, "runtime-zygote").pid, SIGKILL);
    assert_eq!(running.end().code(), Some(125));
    running.assert_gone();
}

fn an_init_killed_ends_its_job(stage: &Stage) {
    let mut running = Running::embedded(stage, &[]);
    let inits = inits(running.launcher().pid);
    assert_eq!(inits.len(), 1, "{inits:?}");
    signal(inits[0].pid, SIGKILL);
    assert!(!running.end().success());
    running.assert_gone();
}

fn a_daemon_told_to_end_leaves_nothing(stage: &Stage) {
    let mut traces = Traces::before();
    let mut daemon = Daemon::start(stage, &[] as &[&str], "");
    let mut clients: Vec<Running> = Vec::new();
    for _ in 0..2 {
        let mut command = daemon.client(&["run", "--"]);
        command.args(BUSY);
        clients.push(Running::start(command));
    }
    traces.note(daemon.pid());
    let (processes, launchers, _) = traces.counts();
    assert!(processes >= 3 + 2 * 3 && launchers == 1, "{processes} processes, {launchers} launchers");
    daemon.signal(SIGTERM);
    assert!(daemon.wait().success());
    for client in &mut clients {
        assert!(!client.end().success());
    }
    assert_gone(&traces);
    assert!(!daemon.socket().exists(), "the socket is there");
}

/// What one process holds, as a multiset of kinds: descriptors of one's own are few enough to be named.
fn kinds(pid: u32) -> Vec<String> {
    let kind = |target: String| match target.split_once(':') {
        Some((kind, _)) => kind.to_owned(),
        None => target,
    };
    let mut kinds: Vec<String> = fds_of(pid).into_values().map(kind).collect();
    kinds.sort();
    kinds
}

/// Only root may look at the descriptors of an init, which is not dumpable.
#[test]
fn each_process_of_a_sandbox_holds_its_own_descriptors_and_nobody_elses() {
    let test =
        concat!(module_path!(), "::each_process_of_a_sandbox_holds_its_own_descriptors_and_nobody_elses");
    if let Some(reason) = Who::Root.missing() {
        return skip(test, reason);
    }
    for who in [Who::Root, Who::User] {
        let stage = Stage::new(who, PROGRAMS);
        let daemon = Daemon::start(&stage, &[] as &[&str], "");
        let clients: Vec<Running> = (0..3)
            .map(|_| {
                let mut command = daemon.client(&["run", "--"]);
                command.args(BUSY);
                Running::start(command)
            })
            .collect();
        let inits = inits(daemon.pid());
        assert_eq!(inits.len(), clients.len(), "{inits:?}");
        let null = "/dev/null".to_owned();
        let mut sockets = BTreeSet::new();
        for init in &inits {
            // Its socket to the launcher, and its scratch file system, which it looks at when the job ends.
            let held = kinds(init.pid);
            assert_eq!(
                held,
                ["/".to_owned(), null.clone(), null.clone(), null.clone(), "socket".to_owned()],
                "init of {who:?}"
            );
            for socket in sockets_of(init.pid) {
                assert!(sockets.insert(socket), "two inits share a socket");
            }
            for process in descendants(init.pid) {
                let held = kinds(process.pid);
                assert_eq!(
                    held,
                    [null.clone(), "pipe".to_owned(), "pipe".to_owned()],
                    "{process:?} of {who:?}"
                );
            }
        }
        let zygote = child_named(daemon.pid(), "runtime-zygote");
        assert_eq!(
            kinds(zygote.pid),
            [null.clone(), null.clone(), null, "socket".to_owned()],
            "zygote of {who:?}"
        );
    }
}

/// The environment and the arguments of the launcher's caller are in no process of a sandbox.
#[test]
fn no_process_of_a_sandbox_has_the_callers_environment() {
    let test = concat!(module_path!(), "::no_process_of_a_sandbox_has_the_callers_environment");
    if let Some(reason) = Who::Root.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(Who::Root, PROGRAMS);
    let mut command = stage.command(stage.program("runtime"));
    command.env("RUNTIME_TESTS_CANARY", "canary-7301");
    command.args(["run", "--embedded", "--"]).args(BUSY);
    let running = Running::start(command);
    let launcher = running.launcher();
    for init in inits(launcher.pid) {
        for process in descendants(init.pid) {
            let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap();
            assert!(!String::from_utf8_lossy(&environment).contains("canary-7301"), "{process:?}");
        }
    }
    let server = children(launcher.pid)
        .into_iter()
        .find(|child| runtime_tests::cmdline(child.pid).iter().any(|arg| arg == "__server"));
    let environment = fs::read(format!("/proc/{}/environ", server.expect("the server runs").pid)).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("canary-7301"));
}
