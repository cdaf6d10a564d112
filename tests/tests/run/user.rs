//! A user and a group that the caller chose: the numbers are those inside, and on the host they are what every job's are.

use runtime_tests::{Request, Stage, stories};
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

stories!(
    a_command_is_the_user_that_was_asked_for,
    a_user_without_a_group_has_the_group_of_its_number,
    what_another_user_makes_in_a_directory_belongs_to_the_caller,
    no_job_becomes_root,
);

fn a_command_is_the_user_that_was_asked_for(stage: &Stage) {
    let script = "id -u; id -g; id -G; id -un; getent passwd job; getent group job; touch file /tmp/file; stat -c %u:%g file /tmp/file; \
                  echo reopened >/dev/stdout; cat /proc/self/uid_map | wc -l";
    let output = stage.run(&Request::new(["--user", "33:44", "--", "sh", "-c", script]));
    let text = output.text();
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "33",
        "44",
        "44",
        "job",
        "job:x:33:44:job:/workspace:/bin/sh",
        "job:x:44:",
        "33:44",
        "33:44",
        "reopened",
    ];
    assert_eq!(lines[..expected.len()], expected, "{}", output.errors());
    // Root's launcher maps init's id besides.
    let maps = if stage.uid() == 0 { "2" } else { "1" };
    assert_eq!(lines[expected.len()..], [maps]);
}

fn a_user_without_a_group_has_the_group_of_its_number(stage: &Stage) {
    let output = stage.run(&Request::new(["--user", "65533", "--", "sh", "-c", "id -u; id -g"]));
    assert_eq!(output.text(), "65533\n65533\n", "{}", output.errors());
}

fn what_another_user_makes_in_a_directory_belongs_to_the_caller(stage: &Stage) {
    let directory = stage.open_directory().join("data");
    fs::create_dir(&directory).unwrap();
    if stage.uid() != runtime_sys::process::effective_uid() {
        chown(&directory, Some(stage.uid()), Some(stage.uid())).unwrap();
    }
    let directory_text = directory.to_string_lossy().into_owned();
    let args =
        ["--dir", &directory_text, "--user", "33", "--", "sh", "-c", "echo x >made; stat -c %u made ."];
    let output = stage.run(&Request::new(args));
    assert_eq!(output.text(), "33\n33\n", "{}", output.errors());
    assert_eq!(fs::metadata(directory.join("made")).unwrap().uid(), stage.uid());
}

fn no_job_becomes_root(stage: &Stage) {
    for user in ["0", "1000:0", "65534"] {
        let output = stage.run(&Request::new(["--user", user, "--", "id"]));
        assert_eq!(
            (output.status.code(), output.text().as_str()),
            (Some(125), ""),
            "{user}: {}",
            output.errors()
        );
        assert!(output.errors().contains("out of range"), "{user}: {}", output.errors());
    }
}
