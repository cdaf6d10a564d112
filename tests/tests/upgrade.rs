//! `runtime upgrade` puts the program on disk in the place of a daemon's: same process, same jobs, nothing lost. A program that
//! will not do changes nothing.

use runtime_sys::process;
use runtime_tests::{Daemon, Stage, Who, children, eventually, wait};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

/// Far above what a job of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Says where it is, and goes on until it reads a line; then it ends with a status of its own.
const COUNTS: &str = "echo ready; i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep 0.01; done; read line; echo $line; exit 7";

runtime_tests::stories!(
    jobs_run_on_under_the_next_program,
    limits_and_deadlines_hold_under_the_next_program,
    a_program_that_refuses_changes_nothing,
    a_program_that_cannot_be_executed_changes_nothing,
);

/// A client of `runtime run -i`.
struct Client {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    fn start(daemon: &Daemon<'_>, flags: &[&str], script: &str) -> Client {
        let mut command = daemon.client(&["run", "-i"]);
        command.args(flags).args(["--", "sh", "-c", script]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Client { child, stdout }
    }

    fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Its status, the rest of its stdout, its stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        let status = wait(&mut self.child, PATIENCE).expect("it ends");
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (status.code(), text, errors)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

/// The program of the daemon, which its user may replace.
fn program(stage: &Stage) -> PathBuf {
    let program = stage.program("runtime");
    if process::effective_uid() == 0 {
        chown(program.parent().unwrap(), Some(stage.uid()), Some(stage.uid())).unwrap();
    }
    program
}

/// Puts a file in the place of the program, as a package manager does it: another file, by rename.
fn replace(program: &Path, make: impl FnOnce(&Path)) {
    let new = program.with_extension("new");
    make(&new);
    fs::rename(&new, program).unwrap();
}

/// A copy that was never open for writing in this process: another test that forks meanwhile would keep it busy.
fn copy(from: &Path) -> impl FnOnce(&Path) {
    move |to| assert!(Command::new("cp").arg("--preserve=mode").arg(from).arg(to).status().unwrap().success())
}

fn script(text: &str) -> impl FnOnce(&Path) {
    move |path| {
        let source = path.with_extension("source");
        fs::write(&source, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
        copy(&source)(path);
        fs::remove_file(&source).unwrap();
    }
}

fn upgrade(stage: &Stage, daemon: &Daemon<'_>, client: &Path) -> Output {
    let mut command = stage.command(client);
    command.arg("--endpoint").arg(format!("unix:{}", daemon.socket().display()));
    command.args(["upgrade", "--json"]).output().unwrap()
}

/// A client program that stays when the daemon's is replaced.
fn keep_client(stage: &Stage) -> PathBuf {
    let client = stage.program("client");
    copy(&stage.program("runtime"))(&client);
    client
}

/// The daemon's answer in JSON of an upgrade that must work.
fn upgraded(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn executed_inode(pid: u32) -> u64 {
    fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino()
}

/// The numbers that [`COUNTS`] writes, and the line that it read.
fn counted(line: &str) -> String {
    (1..=200).map(|number| format!("{number}\n")).collect::<String>() + line + "\n"
}

fn jobs_run_on_under_the_next_program(stage: &Stage) {
    let daemon = Daemon::start(stage, &[] as &[&str], "");
    let (program, client) = (program(stage), keep_client(stage));
    let mut jobs: Vec<Client> = (0..3).map(|_| Client::start(&daemon, &[], COUNTS)).collect();
    let mut generation = 1;
    for _ in 0..3 {
        let (before, processes) = (executed_inode(daemon.pid()), inits(daemon.pid()));
        replace(&program, copy(&client));
        let answer = upgraded(&upgrade(stage, &daemon, &client));
        assert_eq!(answer["launcher_pid"].as_u64(), Some(u64::from(daemon.pid())));
        assert!(answer["server_generation"].as_u64().unwrap() > generation, "{answer}");
        generation = answer["server_generation"].as_u64().unwrap();
        assert_eq!(answer["jobs_running"], 3, "{answer}");
        assert_ne!(executed_inode(daemon.pid()), before, "another program runs");
        assert_eq!(executed_inode(daemon.pid()), fs::metadata(&program).unwrap().ino());
        assert_eq!(inits(daemon.pid()), processes, "the jobs are the same processes");
    }
    // The next program starts jobs, too.
    let output = daemon.client(&["run", "--", "sh", "-c", "echo new; exit 3"]).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b"new\n"[..]));
    for (number, mut job) in jobs.drain(..).enumerate() {
        job.say(&format!("job {number}\n"));
        let (status, text, errors) = job.end();
        assert_eq!((status, text), (Some(7), counted(&format!("job {number}"))), "{errors}");
    }
    // One zygote and one server: those of the programs before are gone, zombies included.
    eventually("nothing is left of the programs before", || children(daemon.pid()).len() == 2);
}

/// The inits below a launcher: those of its children that have a child.
fn inits(launcher: u32) -> Vec<u32> {
    let mut pids: Vec<u32> = children(launcher).iter().map(|child| child.pid).collect();
    pids.retain(|pid| !children(*pid).is_empty());
    pids.sort_unstable();
    pids
}

fn limits_and_deadlines_hold_under_the_next_program(stage: &Stage) {
    let daemon = Daemon::start(stage, &[] as &[&str], "");
    let (program, client) = (program(stage), keep_client(stage));
    let eats = "echo ready; read line; head -c 400000000 /dev/zero | tail -c 400000000 >/dev/null; echo done";
    let mut eater = Client::start(&daemon, &["--limit", "memory=64MiB"], eats);
    let sleeper = Client::start(&daemon, &["--timeout", "3s"], "echo ready; exec sleep 600");
    let mut ignorer = Client::start(&daemon, &[], "trap '' TERM; echo ready; read line; kill -9 $$");
    replace(&program, copy(&client));
    upgraded(&upgrade(stage, &daemon, &client));
    let (status, text, errors) = sleeper.end();
    assert_eq!((status, text.as_str()), (Some(124), ""), "{errors}");
    eater.say("go\n");
    let (status, text, errors) = eater.end();
    assert_eq!((status, text.as_str()), (Some(124), ""), "{errors}");
    assert!(errors.contains("memory"), "{errors}");
    ignorer.say("go\n");
    assert_eq!(ignorer.end().0, Some(128 + 9));
}

fn a_program_that_refuses_changes_nothing(stage: &Stage) {
    let daemon = Daemon::start(stage, &[] as &[&str], "");
    let (program, client) = (program(stage), keep_client(stage));
    let mut job = Client::start(&daemon, &[], COUNTS);
    let (inode, processes) = (executed_inode(daemon.pid()), children(daemon.pid()));
    let cases = [
        ("echo 'runtime: not today' >&2; exit 1", "not today"),
        ("exit 3", "says nothing"),
        ("kill -9 $$", "says nothing"),
    ];
    for (text, why) in cases {
        replace(&program, script(text));
        let output = upgrade(stage, &daemon, &client);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("no upgrade") && errors.contains(why), "{errors}");
    }
    // No program at all, and one that is none.
    replace(&program, |new| fs::write(new, "garbage").unwrap());
    assert_eq!(upgrade(stage, &daemon, &client).status.code(), Some(1));
    fs::remove_file(&program).unwrap();
    let output = upgrade(stage, &daemon, &client);
    assert!(String::from_utf8_lossy(&output.stderr).contains("failed to execute"), "{output:?}");
    assert_eq!((executed_inode(daemon.pid()), children(daemon.pid())), (inode, processes));
    replace(&program, copy(&client));
    job.say("on\n");
    assert_eq!(job.end().1, counted("on"));
}

fn a_program_that_cannot_be_executed_changes_nothing(stage: &Stage) {
    let daemon = Daemon::start(stage, &[] as &[&str], "");
    let (program, client) = (program(stage), keep_client(stage));
    let mut job = Client::start(&daemon, &[], COUNTS);
    let (inode, processes) = (executed_inode(daemon.pid()), inits(daemon.pid()));
    // It agrees, and is gone when its turn comes.
    replace(&program, script("rm -- \"$0\""));
    let output = upgrade(stage, &daemon, &client);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("no upgrade") && errors.contains("execve"), "{errors}");
    assert_eq!((executed_inode(daemon.pid()), inits(daemon.pid())), (inode, processes));
    // Nothing that was kept for the next program stays open over an exec: the next server has what servers have.
    replace(&program, copy(&client));
    job.say("on\n");
    let (status, text, errors) = job.end();
    assert_eq!((status, text), (Some(7), counted("on")), "{errors}");
    // And what failed once works then.
    upgraded(&upgrade(stage, &daemon, &client));
}

/// Told to a user that is not the daemon's.
#[test]
fn only_who_runs_a_daemon_may_upgrade_it() {
    let test = concat!(module_path!(), "::only_who_runs_a_daemon_may_upgrade_it");
    if let Some(reason) = Who::Root.missing() {
        return runtime_tests::skip(test, reason);
    }
    let stage = Stage::new(Who::Root, &[("runtime", env!("CARGO_BIN_EXE_runtime-under-test"))]);
    let daemon = Daemon::start(&stage, &["--socket-group", "12345"], "");
    let inode = executed_inode(daemon.pid());
    let user = Stage::new(Who::User, &[("runtime", env!("CARGO_BIN_EXE_runtime-under-test"))]);
    let output = upgrade(&user, &daemon, &user.program("runtime"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("as the user that runs it"), "{output:?}");
    assert_eq!(executed_inode(daemon.pid()), inode);
}
