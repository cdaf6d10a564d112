//! A state directory that is full or damaged.

use crate::{end, start};
use runtime_tests::{Daemon, Stage, eventually, skip, stories, wait};
use std::{
    fs,
    os::unix::{
        fs::{FileExt, PermissionsExt},
        process::CommandExt,
    },
    process::{Command, Stdio},
    time::Duration,
};

stories!(
    a_full_file_system_loses_nothing_and_its_space_is_noticed,
    a_damaged_store_is_refused_and_its_output_stays,
    what_is_kept_no_longer_is_told,
    a_state_directory_below_a_closed_one_works,
);

/// Runs a command in the mount namespace of a process.
fn enter(pid: u32, args: &[&str]) {
    let status =
        Command::new("nsenter").arg(format!("--mount=/proc/{pid}/ns/mnt")).args(args).status().unwrap();
    assert!(status.success(), "{args:?}: {status}");
}

fn a_full_file_system_loses_nothing_and_its_space_is_noticed(stage: &Stage) {
    const BYTES: usize = 12 << 20;
    if runtime_sys::process::effective_uid() != 0 {
        return skip(
            "durable::disk::rootless::a_full_file_system_loses_nothing_and_its_space_is_noticed",
            "needs root",
        );
    }
    let state = stage.home().join("state");
    fs::create_dir(&state).unwrap();
    // A small file system that nobody else sees, and that goes with the last process in it.
    let mut command = stage.command("unshare");
    let script = "mount -t tmpfs -o size=6m,mode=700,uid=$1,gid=$1 tmpfs \"$2\" || exit; shift 2; \
                  exec setpriv --reuid=$0 --regid=$0 --clear-groups -- \"$@\" 3>&1 >/dev/null";
    let uid = stage.uid().to_string();
    command.uid(0).gid(0).args(["--mount", "sh", "-c", script, &uid, &uid]).arg(&state);
    let daemon = Daemon::start_by(stage, command, &crate::NO_ARGS, "");
    let done = daemon.submit_script("echo before; exit 3");
    assert_eq!(daemon.say(&["wait", &done]).status, 3);
    let writer = daemon.submit_script(&format!("head -c {BYTES} /dev/zero | tr '\\0' x; exit 4"));
    eventually("the output waits for the disk", || daemon.inspect(&writer)["output_stalled"] != "");
    eventually("new jobs are refused", || {
        let said = daemon.say(&["submit", "--json", "--", "true"]);
        said.status == 1 && said.err.contains("STATE_FULL")
    });
    assert_eq!(daemon.inspect(&writer)["state"], "running");
    assert_eq!(daemon.ask(&["logs", &done]), "before\n", "what there is can be read");
    enter(daemon.pid(), &["mount", "-o", "remount,size=200m", state.to_str().unwrap()]);
    assert_eq!(daemon.say(&["wait", &writer]).status, 4);
    let output = daemon.client(&["logs", &writer]).output().unwrap().stdout;
    assert!(output.len() == BYTES && output.iter().all(|byte| *byte == b'x'), "{} bytes came", output.len());
    eventually("jobs are taken again", || daemon.say(&["submit", "--", "true"]).status == 0);
    assert_eq!(daemon.inspect(&done)["outcome"]["exited"]["code"], 3);
}

fn a_damaged_store_is_refused_and_its_output_stays(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit_script("echo kept; exit 3");
    assert_eq!(daemon.say(&["wait", &job]).status, 3);
    end(daemon);
    let state = stage.home().join("state");
    let store = fs::OpenOptions::new().read(true).write(true).open(state.join("store.sqlite")).unwrap();
    let mut head = [0; 32];
    store.read_exact_at(&mut head, 0).unwrap();
    store.write_all_at(&[b'?'; 32], 0).unwrap();
    let mut command = stage.command(stage.program("runtime"));
    command.args(["serve", "--listen"]).arg(format!("unix:{}/api.sock", stage.home().display()));
    command.arg("--state-dir").arg(&state).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut refused = command.spawn().unwrap();
    assert_eq!(wait(&mut refused, Duration::from_secs(30)).expect("it ends").code(), Some(1));
    let errors = String::from_utf8(refused.wait_with_output().unwrap().stderr).unwrap();
    assert!(errors.contains("store.sqlite is damaged") && errors.contains("put back a copy"), "{errors}");
    let log = state.join("logs").join(&job[28..]).join(&job).join("stdout.000");
    assert_eq!(fs::read(&log).unwrap(), b"kept\n", "nothing is repaired by guessing");
    store.write_all_at(&head, 0).unwrap();
    let daemon = start(stage);
    assert_eq!(daemon.ask(&["logs", &job]), "kept\n");
    assert_eq!(daemon.inspect(&job)["outcome"]["exited"]["code"], 3);
}

fn what_is_kept_no_longer_is_told(stage: &Stage) {
    let daemon = start(stage);
    let script = "yes 0123456 | head -c 1000000";
    let capped = daemon.submit(&["--keep-output", "64KiB", "--", "sh", "-c", script]);
    let whole = daemon.submit_script(script);
    for job in [&capped, &whole] {
        assert_eq!(daemon.say(&["wait", job]).status, 0);
        assert_eq!(daemon.inspect(job)["stdout_bytes"], 1_000_000);
    }
    let said = daemon.say(&["logs", &capped]);
    assert!((16 << 10..=64 << 10).contains(&said.out.len()), "{} bytes of 64 KiB are left", said.out.len());
    assert!(said.out.starts_with("0123456\n") && said.out.ends_with("0123456\n"));
    assert!(said.err.contains("of stdout from byte 16384 on are kept no longer"), "{}", said.err);
    end(daemon);
    let daemon = Daemon::start(stage, &["--keep-output", "1KiB"], "");
    eventually("the output of the org is too much", || daemon.ask(&["logs", &whole]).is_empty());
    let said = daemon.say(&["logs", &whole]);
    assert!(said.err.contains("976.5 KiB of stdout from byte 0 on are kept no longer"), "{}", said.err);
    assert_eq!(daemon.inspect(&whole)["outcome"]["exited"]["code"], 0, "the record stays");
}

fn a_state_directory_below_a_closed_one_works(stage: &Stage) {
    // The server of root's daemon has a uid of its own, which gets through no directory that is root's alone.
    fs::set_permissions(stage.home(), fs::Permissions::from_mode(0o700)).unwrap();
    let daemon = start(stage);
    let job = daemon.submit_script("echo kept; exit 3");
    assert_eq!(daemon.say(&["wait", &job]).status, 3);
    daemon.replace_server();
    assert_eq!(daemon.ask(&["logs", &job]), "kept\n");
    end(daemon);
    let daemon = start(stage);
    assert_eq!(daemon.ask(&["logs", &job]), "kept\n");
}
