//! Values of variables: in no file of the state, and in nothing that other users see of the daemon's processes.

use crate::{end, start};
use runtime_tests::{Daemon, Stage, descendants, stories};
use std::{fs, path::Path};

stories!(a_value_is_in_no_file_and_in_no_command_line);

/// Nothing else has these bytes. They are given by name, so that the client's command line has them neither.
const CANARY: &str = "canary-7Hq2vXw9ZpLk";
/// What is looked for too, and is to be found: the search works.
const MARK: &str = "mark-3Fd8sQn1TyRb";

/// Every file below a directory whose bytes have the text.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if path.is_file() && has(&fs::read(&path).unwrap_or_default(), text) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The launcher's and the server's command lines and environments that have it, as far as we may look.
fn processes_with(daemon: &Daemon<'_>, text: &str) -> Vec<String> {
    let ours = descendants(daemon.pid()).into_iter().filter(|process| process.name.starts_with("runtime"));
    let pids = ours.map(|process| process.pid).chain([daemon.pid()]);
    let files = pids.flat_map(|pid| ["cmdline", "environ"].map(|name| format!("/proc/{pid}/{name}")));
    files.filter(|path| fs::read(path).is_ok_and(|bytes| has(&bytes, text))).collect()
}

fn assert_unseen(stage: &Stage, daemon: &Daemon<'_>, when: &str) {
    let state = stage.home().join("state");
    assert_eq!(files_with(&state, CANARY), Vec::<String>::new(), "{when}");
    assert!(!files_with(&state, MARK).is_empty(), "the search finds nothing at all");
    assert_eq!(processes_with(daemon, CANARY), Vec::<String>::new(), "{when}");
    for job in daemon.ps(&[]) {
        assert!(!job.to_string().contains(CANARY), "{when}: {job}");
    }
}

fn submit(daemon: &Daemon<'_>, script: &str) -> String {
    let output = daemon
        .client(&["submit", "--label", &format!("name={MARK}"), "--env", "TOKEN", "--", "sh", "-c", script])
        .env("TOKEN", CANARY)
        .output()
        .unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(id.starts_with("job-"), "{}", String::from_utf8_lossy(&output.stderr));
    id.trim().to_owned()
}

fn a_value_is_in_no_file_and_in_no_command_line(stage: &Stage) {
    let daemon = Daemon::start(stage, &["--jobs-per-org", "1"], "");
    let running = submit(&daemon, "echo ${#TOKEN}; while test ! -e /tmp/end; do sleep 0.05; done");
    daemon.until_says(&running, &format!("{}\n", CANARY.len()));
    let queued = submit(&daemon, "echo ${#TOKEN}; exit 3");
    assert_eq!(daemon.inspect(&queued)["state"], "queued");
    assert_unseen(stage, &daemon, "while one runs and one waits");
    daemon.replace_server();
    assert_eq!(daemon.inspect(&queued)["state"], "queued");
    assert_unseen(stage, &daemon, "after a crash");
    daemon.ask(&["cancel", "--kill", &running]);
    assert_eq!(daemon.outcome(&queued)["exited"]["code"], 3, "the next server could open what it had sealed");
    assert_eq!(daemon.ask(&["logs", &queued]), format!("{}\n", CANARY.len()));
    assert_unseen(stage, &daemon, "when they are over");
    // The key dies with the launcher: what waits then never runs, and that is said.
    let blocker = submit(&daemon, "sleep 1000");
    daemon.until_state(&blocker, "running");
    let orphan = submit(&daemon, "exit 4");
    assert_eq!(daemon.inspect(&orphan)["state"], "queued");
    end(daemon);
    let daemon = start(stage);
    assert_eq!(daemon.outcome(&orphan)["lost"]["why"], "env_not_kept");
    assert_unseen(stage, &daemon, "after another start");
}
