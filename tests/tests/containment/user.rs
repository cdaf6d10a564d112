//! The user namespace: host uid 0 is in no map, groups are fixed, and pools of the kernel are the job's own.

use crate::probes::PROGRAMS;
use runtime_tests::{Stage, Who, skip};

crate::stories! {
    a_job_cannot_have_ids_of_the_host => ["E15.uid_map", "E15.gid_map", "E44.setgroups_deny", "P01.user"],
    a_job_cannot_use_up_inotify => ["R13.inotify"],
}

/// Groups are denied to jobs, so whatever the launcher still had would stay theirs: root's `disk` opens every disk.
#[test]
fn a_job_cannot_keep_the_groups_of_its_launcher_rootful() {
    let test = concat!(module_path!(), "::a_job_cannot_keep_the_groups_of_its_launcher_rootful");
    if let Some(reason) = Who::Root.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(Who::Root, PROGRAMS);
    let mut command = stage.command("setpriv");
    command.args(["--groups", "6,27"]).arg(stage.program("runtime"));
    command.args(["run", "--embedded", "--", "grep", "Groups:", "/proc/self/status"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "Groups:");
}
