//! Where a daemon listens, and to whom.

use crate::{NO_ARGS, ask, assert_refused, start, text};
use runtime_tests::{Daemon, Stage, USER_ID, Who, skip, stories, wait};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
        process::CommandExt,
    },
    process::{Command, Stdio},
    time::Duration,
};

stories!(
    a_socket_is_its_owners_alone,
    another_user_is_refused_even_when_the_mode_lets_him_in,
    members_of_the_group_may_use_it,
    a_stale_socket_is_replaced_and_a_living_one_is_not,
    what_is_no_socket_stays,
    tcp_works_on_loopback_when_it_is_asked_for,
    a_state_directory_has_one_daemon,
    a_daemon_is_found_by_the_environment_and_at_its_default_place,
);

fn a_socket_is_its_owners_alone(stage: &Stage) {
    let daemon = start(stage);
    let socket = fs::symlink_metadata(daemon.socket()).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!((socket.mode() & 0o7777, socket.uid()), (0o600, stage.uid()));
}

/// A client command under another uid than the daemon's owner: its first argument is the program.
fn as_other(stage: &Stage, daemon: &Daemon<'_>, groups: &str) -> Option<Command> {
    if runtime_sys::process::effective_uid() != 0 {
        return None;
    }
    let other = (USER_ID + 1).to_string();
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid", &other, "--regid", &other]);
    if groups.is_empty() {
        command.arg("--clear-groups")
    } else {
        command.args(["--groups", groups])
    };
    command.env_clear().arg(stage.program("runtime")).arg("--endpoint");
    command.arg(format!("unix:{}", daemon.socket().display()));
    Some(command)
}

/// Opens the way to the socket, which the home of its owner closes.
fn open_the_way(stage: &Stage) {
    fs::set_permissions(stage.home(), fs::Permissions::from_mode(0o711)).unwrap();
}

const NEEDS_ROOT: &str = "needs root for another user";

fn another_user_is_refused_even_when_the_mode_lets_him_in(stage: &Stage) {
    let daemon = start(stage);
    let Some(mut closed) = as_other(stage, &daemon, "") else {
        return skip(
            "daemon::sockets::rootless::another_user_is_refused_even_when_the_mode_lets_him_in",
            NEEDS_ROOT,
        );
    };
    open_the_way(stage);
    assert_refused(
        &closed.args(["ps"]).output().unwrap(),
        1,
        &["Permission denied", "--socket-group", "run --embedded"],
    );
    fs::set_permissions(daemon.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let mut open = as_other(stage, &daemon, "").unwrap();
    let output = open.args(["run", "--", "echo", "ran"]).output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{errors}");
    assert!(errors.starts_with("runtime: "), "{errors}");
    // The owner is served as before.
    assert_eq!(ask(&daemon, &["run", "--", "echo", "ran"]), "ran\n");
}

fn members_of_the_group_may_use_it(stage: &Stage) {
    if stage.who() == Who::User {
        // An ordinary user can give a socket to a group of its own only.
        if runtime_sys::process::effective_uid() != 0 {
            return skip("daemon::sockets::rootless::members_of_the_group_may_use_it", NEEDS_ROOT);
        }
        let group = USER_ID;
        let daemon = Daemon::start(stage, &["--socket-group", &group.to_string()], "");
        let socket = fs::symlink_metadata(daemon.socket()).unwrap();
        assert_eq!((socket.mode() & 0o7777, socket.gid()), (0o660, group));
        assert_eq!(ask(&daemon, &["run", "--", "echo", "ran"]), "ran\n");
        return;
    }
    let group = (USER_ID + 77).to_string();
    let daemon = Daemon::start(stage, &["--socket-group", &group], "");
    open_the_way(stage);
    let socket = fs::symlink_metadata(daemon.socket()).unwrap();
    assert_eq!((socket.mode() & 0o7777, socket.gid()), (0o660, USER_ID + 77));
    let mut member = as_other(stage, &daemon, &group).unwrap();
    let output = member.args(["run", "--", "echo", "ran"]).output().unwrap();
    assert_eq!(text(&output.stdout), "ran\n", "{}", text(&output.stderr));
    let mut stranger = as_other(stage, &daemon, "").unwrap();
    assert_refused(&stranger.args(["ps"]).output().unwrap(), 1, &["Permission denied"]);
}

fn a_stale_socket_is_replaced_and_a_living_one_is_not(stage: &Stage) {
    let socket = stage.home().join("api.sock");
    // Made by the actor, and closed without being removed.
    let script = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";
    let made = stage.command("/usr/bin/python3").args(["-c", script]).arg(&socket).status().unwrap();
    assert!(made.success() && socket.exists());
    let daemon = Daemon::start(stage, &NO_ARGS, "");
    assert_eq!(ask(&daemon, &["run", "--", "echo", "ran"]), "ran\n");
    let mut second = stage.command(stage.program("runtime"));
    second.args(["serve", "--listen"]).arg(format!("unix:{}", socket.display()));
    second.arg("--state-dir").arg(stage.home().join("other-state"));
    assert_refused(
        &second.output().unwrap(),
        2,
        &["another daemon listens at", "stop it", "--listen unix:PATH"],
    );
    assert_eq!(ask(&daemon, &["run", "--", "echo", "still"]), "still\n");
}

fn what_is_no_socket_stays(stage: &Stage) {
    let file = stage.open_directory().join("api.sock");
    fs::write(&file, "precious").unwrap();
    let other = stage.open_directory().join("other.sock");
    let _listener = UnixListener::bind(&other).unwrap();
    let serve = |path: &std::path::Path, words: &[&str]| {
        let mut command = stage.command(stage.program("runtime"));
        command.args(["serve", "--listen"]).arg(format!("unix:{}", path.display()));
        assert_refused(
            &command.arg("--state-dir").arg(stage.home().join("state")).output().unwrap(),
            2,
            words,
        );
    };
    serve(&file, &["is no socket", "remove it"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    match stage.who() {
        Who::User if runtime_sys::process::effective_uid() == 0 => serve(&other, &["belongs to uid 0"]),
        _ => serve(&other, &["another daemon listens at"]),
    }
    assert!(other.exists());
}

fn tcp_works_on_loopback_when_it_is_asked_for(stage: &Stage) {
    let mut command = stage.command("/bin/sh");
    command.args(["-c", r#"exec "$@" 3>&1 >/dev/null"#, "sh"]).arg(stage.program("runtime"));
    command.args([
        "serve",
        "--insecure-tcp",
        "--ready-fd",
        "3",
        "--listen",
        "http://127.0.0.1:0",
        "--listen",
    ]);
    command.arg(format!("unix:{}", stage.home().join("api.sock").display()));
    command.arg("--state-dir").arg(stage.home().join("state"));
    let mut daemon = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let endpoints: Vec<&str> =
        ready["endpoints"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let tcp = endpoints.iter().find(|endpoint| endpoint.starts_with("http://127.0.0.1:")).copied().unwrap();
    assert!(!tcp.ends_with(":0"), "the port that was given: {endpoints:?}");
    assert_eq!(endpoints.len(), 2);
    for endpoint in &endpoints {
        let mut client = stage.command(stage.program("runtime"));
        let output = client.args(["run", "--endpoint", endpoint, "--", "echo", "ran"]).output().unwrap();
        assert_eq!(text(&output.stdout), "ran\n", "{endpoint}: {}", text(&output.stderr));
    }
    runtime_sys::pidfd::send_signal(
        std::os::fd::AsFd::as_fd(
            &runtime_sys::pidfd::open(runtime_sys::clone::Pid(daemon.id().try_into().unwrap())).unwrap(),
        ),
        15,
    )
    .unwrap();
    assert_eq!(wait(&mut daemon, Duration::from_secs(20)).unwrap().code(), Some(0));
}

fn a_state_directory_has_one_daemon(stage: &Stage) {
    let daemon = start(stage);
    let mut second = stage.command(stage.program("runtime"));
    second.args(["serve", "--listen"]).arg(format!("unix:{}", stage.home().join("second.sock").display()));
    let mut second = second
        .arg("--state-dir")
        .arg(stage.home().join("state"))
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let status = wait(&mut second, Duration::from_secs(20)).expect("it does not serve");
    let errors = text(&second.wait_with_output().unwrap().stderr);
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("state directory"), "{errors}");
    assert!(!stage.home().join("second.sock").exists(), "its socket goes with it");
    assert_eq!(ask(&daemon, &["run", "--", "echo", "ran"]), "ran\n");
}

fn a_daemon_is_found_by_the_environment_and_at_its_default_place(stage: &Stage) {
    let daemon = start(stage);
    let mut client = stage.command(stage.program("runtime"));
    client.env("RUNTIME_ENDPOINT", format!("unix:{}", daemon.socket().display()));
    let output = client.args(["run", "--", "echo", "by the environment"]).output().unwrap();
    assert_eq!(text(&output.stdout), "by the environment\n", "{}", text(&output.stderr));
    assert_eq!(crate::jobs(&daemon).len(), 1);
    if stage.who() == Who::Root {
        // The default place of root is the host's own.
        return;
    }
    let mut command = stage.command("/bin/sh");
    command.args(["-c", r#"exec "$@" 3>&1 >/dev/null"#, "sh"]).arg(stage.program("runtime"));
    command.args(["serve", "--ready-fd", "3", "--state-dir"]).arg(stage.home().join("other-state"));
    let mut second = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(second.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("run/runtime/api.sock"), "{line}");
    let call = |args: &[&str]| stage.command(stage.program("runtime")).args(args).output().unwrap();
    assert_eq!(text(&call(&["run", "--", "echo", "at its place"]).stdout), "at its place\n");
    assert_eq!(text(&call(&["run", "--embedded", "--", "echo", "without"]).stdout), "without\n");
    let listed = text(&call(&["ps", "--json"]).stdout);
    assert!(listed.lines().count() == 1 && listed.contains("at its place"), "{listed}");
    let pidfd = runtime_sys::pidfd::open(runtime_sys::clone::Pid(second.id().try_into().unwrap())).unwrap();
    runtime_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&pidfd), 15).unwrap();
    assert_eq!(wait(&mut second, Duration::from_secs(20)).unwrap().code(), Some(0));
    drop(daemon);
    assert!(!stage.run_dir().exists(), "nothing is left of the run directory");
}
