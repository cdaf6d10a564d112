//! A file inside as stdin: opened with the job's rights, behind its walls, and never waited for.

use runtime_sys::process;
use runtime_tests::{Request, Stage, stories};
use std::{fs, os::unix::fs::chown, path::PathBuf, process::Command};

stories!(
    a_command_reads_the_file_that_was_named,
    a_file_that_cannot_be_opened_is_told_by_its_name,
    a_file_that_the_job_may_not_read_is_refused,
    a_pipe_without_a_writer_does_not_hold_up_the_start,
);

fn directory(stage: &Stage) -> PathBuf {
    let directory = stage.open_directory().join("data");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("input"), "first\nsecond\n").unwrap();
    assert!(Command::new("mkfifo").arg(directory.join("pipe")).status().unwrap().success());
    if stage.uid() != process::effective_uid() {
        for path in [directory.clone(), directory.join("input"), directory.join("pipe")] {
            chown(path, Some(stage.uid()), Some(stage.uid())).unwrap();
        }
    }
    directory
}

fn a_command_reads_the_file_that_was_named(stage: &Stage) {
    let directory = directory(stage).to_string_lossy().into_owned();
    let script = "read line; echo got $line; cat; readlink /proc/self/fd/0; echo more >&0 || echo read-only";
    let args = ["--dir", &directory, "--stdin-file", "/workspace/input", "--", "sh", "-c", script];
    let output = stage.run(&Request::new(args));
    assert_eq!(output.text(), "got first\nsecond\n/workspace/input\nread-only\n", "{}", output.errors());
    let output = stage.run(&Request::new(["--stdin-file", "/etc/hostname", "--", "cat"]));
    assert_eq!(output.text(), "sandbox\n", "the file is the sandbox's own: {}", output.errors());
}

fn a_file_that_cannot_be_opened_is_told_by_its_name(stage: &Stage) {
    for (path, errno) in
        [("/workspace/no-such", "ENOENT"), ("/workspace", "EISDIR"), ("/root/.profile", "ENOENT")]
    {
        let output = stage.run(&Request::new(["--stdin-file", path, "--", "cat"]));
        assert_eq!(output.status.code(), Some(125), "{path}");
        let said = output.errors();
        assert!(said.contains("open stdin") && said.contains(path) && said.contains(errno), "{path}: {said}");
        assert!(said.contains("of 35"), "the step has its place: {said}");
    }
}

fn a_file_that_the_job_may_not_read_is_refused(stage: &Stage) {
    // Of init, which a job cannot see; and the job's own memory map, which it can.
    let output = stage.run(&Request::new(["--stdin-file", "/proc/1/environ", "--", "cat"]));
    assert_eq!((output.status.code(), output.text().as_str()), (Some(125), ""), "{}", output.errors());
    let output = stage.run(&Request::new(["--stdin-file", "/proc/self/status", "--", "grep", "-c", "^Name"]));
    assert_eq!(output.text(), "1\n", "{}", output.errors());
}

fn a_pipe_without_a_writer_does_not_hold_up_the_start(stage: &Stage) {
    let directory = directory(stage).to_string_lossy().into_owned();
    let args =
        ["--dir", &directory, "--stdin-file", "/workspace/pipe", "--", "sh", "-c", "cat; echo at its end"];
    let output = stage.run(&Request::new(args));
    assert_eq!(output.text(), "at its end\n", "{}", output.errors());
}
