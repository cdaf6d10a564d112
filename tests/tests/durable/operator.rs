//! Profiles that change while a daemon runs.

use runtime_tests::{Daemon, Stage, eventually, stories};
use std::{fs, path::PathBuf};

stories!(a_hangup_reads_profiles_again_all_or_nothing);

/// signal(7).
const SIGHUP: i32 = 1;

fn a_hangup_reads_profiles_again_all_or_nothing(stage: &Stage) {
    let profiles: PathBuf = stage.open_directory().join("profiles");
    fs::create_dir(&profiles).unwrap();
    let write = |name: &str, text: &str| fs::write(profiles.join(name), text).unwrap();
    let mine =
        |value: &str| format!("description = \"x\"\nextends = \"default\"\n[env]\nVERSION = \"{value}\"\n");
    write("mine.toml", &mine("one"));
    let daemon = Daemon::start(stage, &["--profiles", profiles.to_str().unwrap()], "");
    let version = || daemon.say(&["run", "--profile", "mine", "--", "sh", "-c", "echo $VERSION"]).out;
    assert_eq!(version(), "one\n");
    let running =
        daemon.submit(&["--profile", "mine", "-i", "--", "sh", "-c", "echo up; read line; echo $VERSION"]);
    daemon.until_says(&running, "up");
    write("mine.toml", &mine("two"));
    assert_eq!(version(), "one\n", "a file alone changes nothing");
    daemon.signal(SIGHUP);
    eventually("the new profile is used", || version() == "two\n");
    // One mistake anywhere, and all stays as it was.
    write("mine.toml", &mine("three"));
    write("other.toml", "description = \"x\"\nextends = \"default\"\n[limits]\nmemory = \"much\"\n");
    daemon.signal(SIGHUP);
    for _ in 0..5 {
        assert_eq!(version(), "two\n");
    }
    // A server that starts now gets what the launcher has, not what lies on disk.
    daemon.replace_server();
    assert_eq!(version(), "two\n");
    fs::remove_file(profiles.join("other.toml")).unwrap();
    daemon.signal(SIGHUP);
    eventually("the third is used", || version() == "three\n");
    let attach =
        daemon.client(&["attach", "-i", &running]).stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(
        String::from_utf8(attach.stdout).unwrap(),
        "up\none\n",
        "what runs keeps what it started with"
    );
}
