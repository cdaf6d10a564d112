//! The id map of a directory: what a job makes there belongs to the directory's owner, and to nobody else.

use crate::probes::PROGRAMS;
use runtime_tests::{Request, Stage, USER_ID, Who, skip};
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

/// The one probe of this wall is a story of its own.
pub const PROBES: &[&[&str]] = &[];

fn directory(stage: &Stage) -> PathBuf {
    let directory = stage.home().join("project");
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::chown(&directory, Some(stage.uid()), Some(stage.uid())).unwrap();
    directory
}

fn a_file_belongs_to_the_caller(test: &str, who: Who) {
    if let Some(reason) = who.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(who, PROGRAMS);
    let directory = directory(&stage);
    let script = "id -u; echo made > made && stat -c %u made";
    let output = stage.run(&Request::new(["--dir", directory.to_str().unwrap(), "--", "sh", "-c", script]));
    if who == Who::Root && output.errors().contains("takes no id map") {
        // Refused by name: a job never gets host uid 0 instead.
        assert_eq!(output.status.code(), Some(125), "{}", output.errors());
        return skip(test, "the directory's file system takes no id map");
    }
    assert!(output.status.success(), "{}", output.errors());
    assert_eq!(output.text(), "1000\n1000\n", "inside the job owns what it makes");
    let made = fs::metadata(directory.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (stage.uid(), stage.uid()), "on disk the caller does");
}

#[test]
fn a_job_cannot_leave_a_file_that_is_not_the_callers_rootful() {
    a_file_belongs_to_the_caller(
        concat!(module_path!(), "::a_job_cannot_leave_a_file_that_is_not_the_callers_rootful"),
        Who::Root,
    );
}

#[test]
fn a_job_cannot_leave_a_file_that_is_not_the_callers_rootless() {
    a_file_belongs_to_the_caller(
        concat!(module_path!(), "::a_job_cannot_leave_a_file_that_is_not_the_callers_rootless"),
        Who::User,
    );
}

/// The host uid that is the job's 1000, for a job on a directory of an ordinary user.
fn host_uid(stage: &Stage, directory: &std::path::Path, walls_off: &str) -> u32 {
    let args = ["--dir", directory.to_str().unwrap(), "--", "cat", "/proc/self/uid_map"];
    let output = stage.run(&Request::new(args).without(walls_off));
    assert!(output.status.success(), "{}", output.errors());
    let text = output.text();
    let maps = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    maps.filter(|fields| fields[0] == "1000")
        .map(|fields| fields[1].parse().unwrap())
        .next()
        .expect("1000 is mapped")
}

#[test]
fn a_job_cannot_run_as_the_owner_of_its_directory() {
    let test = concat!(module_path!(), "::a_job_cannot_run_as_the_owner_of_its_directory");
    if let Some(reason) = Who::Root.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(Who::Root, PROGRAMS);
    let directory = directory(&stage);
    std::os::unix::fs::chown(&directory, Some(USER_ID), Some(USER_ID)).unwrap();
    let probe = stage.run(&Request::new(["--dir", directory.to_str().unwrap(), "--", "true"]));
    if probe.errors().contains("takes no id map") {
        return skip(test, "the directory's file system takes no id map");
    }
    assert_ne!(host_uid(&stage, &directory, ""), USER_ID);
    // Without the id map only the owner could write there, so the job is given the owner's id.
    assert_eq!(host_uid(&stage, &directory, "idmap,uid_per_job"), USER_ID);
}
