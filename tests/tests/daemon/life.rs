//! How a daemon starts, what its processes may do, and how it ends.

use crate::{ask, inspect, newest_in_state, start, text};
use runtime_tests::{Daemon, Stage, Traces, Who, children, cmdline, eventually, stories, wait};
use std::{
    fs,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

stories!(
    the_server_is_confined,
    a_crash_writes_no_memory_to_the_disk,
    term_ends_jobs_and_leaves_nothing,
    a_killed_daemon_takes_its_jobs_with_it,
    a_killed_server_is_followed_by_another_and_nobody_notices,
    a_daemon_may_die_with_its_parent,
    a_daemon_starts_again_where_it_was,
);

/// signal(7).
const SIGTERM: i32 = 15;
/// signal(7).
const SIGKILL: i32 = 9;

const STUBBORN: &str = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & while :; do sleep 1; done";

fn job(daemon: &Daemon<'_>, script: &str) -> (Child, String) {
    let mut command = daemon.client(&["run", "--profile", "strict", "--", "sh", "-c", script]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let id = newest_in_state(daemon, "running");
    (child, id)
}

fn server_of(daemon: &Daemon<'_>) -> u32 {
    let server = children(daemon.pid())
        .into_iter()
        .find(|process| cmdline(process.pid).iter().any(|word| word == "__server"));
    server.unwrap().pid
}

fn status_of(pid: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("{field} is not in {status}")).trim().to_owned()
}

fn the_server_is_confined(stage: &Stage) {
    let daemon = start(stage);
    let server = server_of(&daemon);
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status_of(server, set), "0000000000000000", "{set}");
    }
    assert_eq!(status_of(server, "NoNewPrivs"), "1");
    assert_eq!(status_of(server, "Seccomp"), "2");
    let uids: Vec<u32> =
        status_of(server, "Uid").split_whitespace().map(|uid| uid.parse().unwrap()).collect();
    let gids: Vec<u32> =
        status_of(server, "Gid").split_whitespace().map(|gid| gid.parse().unwrap()).collect();
    match stage.who() {
        Who::Root => {
            assert_eq!(status_of(server, "CapBnd"), "0000000000000000");
            assert!(
                uids.iter().chain(&gids).all(|id| (0x7000_0000..0x8000_0000).contains(id)),
                "{uids:?} {gids:?}"
            );
            assert_eq!(status_of(server, "Groups"), "");
        }
        Who::User => assert_eq!(uids, [stage.uid(); 4]),
    }
    // Of the launcher's environment it has nothing that says who started it.
    if stage.uid() == runtime_sys::process::effective_uid() || runtime_sys::process::effective_uid() == 0 {
        let environment = text(&fs::read(format!("/proc/{server}/environ")).unwrap());
        assert!(!environment.contains("HOME="), "{environment}");
    }
}

/// The memory of launcher and server has values of variables and the key that seals them.
fn a_crash_writes_no_memory_to_the_disk(stage: &Stage) {
    let daemon = start(stage);
    for pid in children(daemon.pid()).iter().map(|child| child.pid).chain([daemon.pid()]) {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        let soft: u64 = core.split_whitespace().next().unwrap().parse().unwrap();
        assert!(soft <= 1, "{:?}: {core}", cmdline(pid));
    }
}

fn term_ends_jobs_and_leaves_nothing(stage: &Stage) {
    let mut traces = Traces::before();
    let mut daemon = start(stage);
    let (mut client, _) = job(&daemon, STUBBORN);
    traces.note(daemon.pid());
    let before = Instant::now();
    daemon.signal(SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    // The grace of the job's profile is 1 s.
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    assert_eq!(wait(&mut client, Duration::from_secs(10)).unwrap().code(), Some(143));
    let errors = text(&client.wait_with_output().unwrap().stderr);
    assert!(errors.contains("cancelled by") && errors.contains("shutting down"), "{errors}");
    eventually("nothing is left", || traces.remaining().is_empty());
    assert!(!daemon.socket().exists(), "the socket goes with the daemon");
}

fn a_killed_daemon_takes_its_jobs_with_it(stage: &Stage) {
    let mut traces = Traces::before();
    let mut daemon = start(stage);
    let (mut client, id) = job(&daemon, STUBBORN);
    traces.note(daemon.pid());
    daemon.signal(SIGKILL);
    daemon.wait();
    eventually("no process of it is left", || {
        traces.remaining().iter().all(|thing| !thing.starts_with("process"))
    });
    // Directory and cgroups are for the next one to sweep; it may get the numbers of the namespaces.
    traces.without_namespaces();
    let next = start(stage);
    eventually("nothing of the first is left", || traces.remaining().is_empty());
    // The client has waited for a daemon to come back, and hears the truth from it.
    assert_eq!(wait(&mut client, Duration::from_secs(30)).unwrap().code(), Some(125));
    let errors = text(&client.wait_with_output().unwrap().stderr);
    assert!(errors.contains("launcher_died"), "{errors}");
    assert!(inspect(&next, &id)["outcome"]["lost"]["why"] == "launcher_died");
    assert_eq!(ask(&next, &["run", "--", "echo", "ran"]), "ran\n");
}

fn a_killed_server_is_followed_by_another_and_nobody_notices(stage: &Stage) {
    let daemon = start(stage);
    let script = "for i in $(seq 1 20); do echo $i; sleep 0.1; done; exit 9";
    let mut command = daemon.client(&["run", "--", "sh", "-c", script]);
    let client = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = newest_in_state(&daemon, "running");
    let before = server_of(&daemon);
    let pidfd = runtime_sys::pidfd::open(runtime_sys::clone::Pid(before.try_into().unwrap())).unwrap();
    runtime_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&pidfd), SIGKILL).unwrap();
    let output = client.wait_with_output().unwrap();
    let whole: String = (1..=20).map(|number| format!("{number}\n")).collect();
    assert_eq!((text(&output.stdout), output.status.code()), (whole, Some(9)), "{}", text(&output.stderr));
    assert_ne!(server_of(&daemon), before);
    assert_eq!(inspect(&daemon, &id)["outcome"]["exited"]["code"], 9);
}

fn a_daemon_may_die_with_its_parent(stage: &Stage) {
    let mut traces = Traces::before();
    let mut command = stage.command("/bin/sh");
    // The shell is the parent: it stays, and is killed.
    let script = r#""$1" serve --die-with-parent --ready-fd 3 --listen "unix:$2/api.sock" --state-dir "$2/state" 3>&1 >/dev/null & wait"#;
    command.args(["-c", script, "sh"]).arg(stage.program("runtime")).arg(stage.home());
    let mut parent = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert!(line.contains("api.sock"), "{line}");
    traces.note(parent.id());
    assert!(traces.counts().0 >= 4, "{:?}", traces.counts());
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the daemon is gone", || traces.remaining().iter().all(|thing| !thing.starts_with("process")));
}

fn a_daemon_starts_again_where_it_was(stage: &Stage) {
    let mut first = start(stage);
    assert_eq!(ask(&first, &["run", "--", "echo", "first"]), "first\n");
    first.signal(SIGTERM);
    assert_eq!(first.wait().code(), Some(0));
    let second = start(stage);
    assert_eq!(ask(&second, &["run", "--", "echo", "second"]), "second\n");
    let id = newest_in_state(&second, "finished");
    assert_eq!(inspect(&second, &id)["outcome"]["exited"]["code"], 0);
}
