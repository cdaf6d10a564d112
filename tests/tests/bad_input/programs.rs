//! Commands that cannot be executed: 127 for what is not there, 126 for what is no program.

use crate::assert_refused;
use runtime_tests::{Stage, stories};
use std::path::PathBuf;

stories!(
    a_missing_program_is_127,
    what_is_no_program_is_126,
    a_program_that_its_owner_keeps_to_himself_still_runs_for_him,
    nothing_written_runs_under_a_profile_that_forbids_it,
);

/// A directory of the actor's with files that are no programs.
fn directory(stage: &Stage) -> PathBuf {
    let directory = stage.home().join("data");
    let script = r#"
mkdir "$1" && cd "$1"
printf 'echo ran\n' >no_interpreter && printf '#!/no/such/interpreter\n' >missing_interpreter && printf 'echo ran\n' >plain
printf '#!/bin/sh\necho ran\n' >own && printf '\177ELFbroken' >broken && printf '#!' >empty_line && : >empty && mkdir directory
chmod 755 no_interpreter missing_interpreter broken empty_line empty && chmod 700 own && chmod 644 plain
"#;
    let mut command = stage.command("/bin/sh");
    assert!(command.args(["-c", script, "sh"]).arg(&directory).status().unwrap().success());
    directory
}

fn a_missing_program_is_127(stage: &Stage) {
    for (command, words) in [
        (
            "nosuch",
            ["nosuch was not found in the sandbox's PATH", "/usr/local/bin:/usr/bin:/bin", "give its path"],
        ),
        (
            "/no/such/program",
            ["/no/such/program was not found in the sandbox", "runtime profile show default", "ls"],
        ),
        (
            "/etc/passwd/x",
            ["/etc/passwd/x was not found in the sandbox", "runtime profile show default", "ls"],
        ),
        ("./here", ["./here was not found in the sandbox", "runtime profile show default", "ls"]),
        // It is there on the host, and not inside.
        (
            "/root/.bashrc",
            ["/root/.bashrc was not found in the sandbox", "runtime profile show default", "ls"],
        ),
    ] {
        assert_refused(stage, &["run", "--embedded", "--", command], 127, &words);
    }
}

fn what_is_no_program_is_126(stage: &Stage) {
    let directory = directory(stage);
    for (command, words) in [
        ("./no_interpreter", ["no #! line", "sh ./no_interpreter"]),
        ("./missing_interpreter", ["interpreter", "correct its first line"]),
        ("./plain", ["permission denied", "chmod +x"]),
        ("./directory", ["permission denied", "cannot be executed"]),
        ("./broken", ["cannot be executed", "runtime: "]),
        ("./empty", ["cannot be executed", "runtime: "]),
        ("./empty_line", ["cannot be executed", "runtime: "]),
        ("/etc/passwd", ["permission denied", "chmod +x"]),
    ] {
        let args = ["run", "--embedded", "--dir", directory.to_str().unwrap(), "--", command];
        assert_refused(stage, &args, 126, &words);
    }
}

fn a_program_that_its_owner_keeps_to_himself_still_runs_for_him(stage: &Stage) {
    let directory = directory(stage);
    let args = ["run", "--embedded", "--dir", directory.to_str().unwrap(), "--", "./own"];
    let output = crate::call(stage, &args);
    assert_eq!(output.stdout, b"ran\n", "{}", String::from_utf8_lossy(&output.stderr));
}

fn nothing_written_runs_under_a_profile_that_forbids_it(stage: &Stage) {
    let directory = directory(stage);
    let args =
        ["run", "--embedded", "--profile", "strict", "--dir", directory.to_str().unwrap(), "--", "./own"];
    assert_refused(stage, &args, 126, &["./own cannot be executed: permission denied"]);
}
