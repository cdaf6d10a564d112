//! What a command finds around itself comes from its profile and its spec, and from nowhere else.

use runtime_tests::{Request, Stage, stories};
use std::{collections::BTreeSet, ffi::OsString, os::unix::ffi::OsStringExt};

stories!(
    no_variable_is_inherited,
    variables_are_given_or_handed_on,
    a_variable_may_have_any_bytes,
    a_variable_of_the_caller_wins_over_the_profiles,
    the_command_starts_where_it_is_told,
    no_descriptor_is_inherited,
    the_job_is_a_user_called_job,
);

const OF_THE_PROFILE: [&str; 6] = [
    "HOME=/workspace",
    "TMPDIR=/tmp",
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "LANG=C.UTF-8",
    "USER=job",
    "LOGNAME=job",
];

fn environment(request: Request, stage: &Stage) -> BTreeSet<String> {
    let output = stage.run(&request);
    assert_eq!(output.status.code(), Some(0), "{}", output.errors());
    output.text().lines().map(str::to_owned).collect()
}

fn expected(more: &[&str]) -> BTreeSet<String> {
    OF_THE_PROFILE.iter().chain(more).map(|line| (*line).to_owned()).collect()
}

fn no_variable_is_inherited(stage: &Stage) {
    let mut request = Request::new(["--", "/usr/bin/env"]);
    for name in ["SECRET_TOKEN", "LD_PRELOAD", "PYTHONPATH", "TERM", "RUNTIME_LOG_LEVEL"] {
        request.env.push((name.to_owned(), "/nowhere/value".to_owned()));
    }
    assert_eq!(environment(request, stage), expected(&[]));
}

fn variables_are_given_or_handed_on(stage: &Stage) {
    let mut request =
        Request::new(["--env", "GIVEN=a=b c", "--env", "HANDED_ON", "--env", "EMPTY=", "--", "/usr/bin/env"]);
    request.env.push(("HANDED_ON".to_owned(), "from the caller".to_owned()));
    request.env.push(("NOT_NAMED".to_owned(), "stays out".to_owned()));
    assert_eq!(
        environment(request, stage),
        expected(&["GIVEN=a=b c", "HANDED_ON=from the caller", "EMPTY="])
    );
}

fn a_variable_may_have_any_bytes(stage: &Stage) {
    let bytes: Vec<u8> = (1..=255).collect();
    let assignment = OsString::from_vec([b"ODD=".as_slice(), &bytes].concat());
    let mut request = Request::new(["--env"]);
    request.args.push(assignment);
    let code = "import os, sys; sys.stdout.buffer.write(os.environb[b'ODD'])";
    request.args.extend(["--", "/usr/bin/python3", "-c", code].map(Into::into));
    assert_eq!(stage.run(&request).stdout, bytes);
}

fn a_variable_of_the_caller_wins_over_the_profiles(stage: &Stage) {
    let output = stage.run(&Request::new(["--env", "HOME=/tmp", "--", "sh", "-c", "env | grep ^HOME="]));
    assert_eq!(output.text(), "HOME=/tmp\n");
}

fn the_command_starts_where_it_is_told(stage: &Stage) {
    for (args, place) in [
        (vec![], "/workspace"),
        (vec!["--workdir", "/tmp"], "/tmp"),
        (vec!["--workdir", "/usr/lib"], "/usr/lib"),
    ] {
        let output = stage.run(&Request::new([args, vec!["--", "/bin/pwd"]].concat()));
        assert_eq!(output.text(), format!("{place}\n"), "{}", output.errors());
    }
}

fn no_descriptor_is_inherited(stage: &Stage) {
    // The shell leaves two open: one that every program would keep.
    let mut command = stage.command("/bin/sh");
    let script = r#"exec 7</etc/passwd 9</etc; exec "$@""#;
    command.args(["-c", script, "sh"]).arg(stage.program("runtime"));
    let code = "import os\nprint(sorted(os.listdir('/proc/self/fd')))";
    let output = command.args(["run", "--embedded", "--", "/usr/bin/python3", "-c", code]).output().unwrap();
    // 3 is the directory that is being listed.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "['0', '1', '2', '3']\n");
}

fn the_job_is_a_user_called_job(stage: &Stage) {
    let script = "id -un; id -u; id -G; hostname; umask; getent passwd job; cat /etc/resolv.conf; ls -A /workspace /tmp";
    let output = stage.run(&Request::new(["--", "sh", "-c", script]));
    let text = output.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..5], ["job", "1000", "1000", "sandbox", "0022"], "{}", output.errors());
    assert!(lines[5].starts_with("job:x:1000:1000:"), "{text}");
    assert_eq!(lines[6..], ["/tmp:", "", "/workspace:"], "no name server and nothing lying around");
}
