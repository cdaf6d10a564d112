//! A host where a wall cannot be built: the job fails closed, and says at which step.

use crate::assert_nothing_left;
use runtime_tests::{Stage, Who, tell};

#[test]
fn a_job_does_not_run_without_a_wall_that_it_needs() {
    let path = concat!(module_path!(), "::a_job_does_not_run_without_a_wall_that_it_needs");
    tell(Who::User, path, env!("CARGO_BIN_EXE_runtime-under-test"), story);
}

/// In a user namespace of its own the user is root enough to forbid itself more namespaces of one kind.
fn story(stage: &Stage) {
    for kind in ["net", "pid", "ipc", "uts", "mnt", "cgroup"] {
        // All but the last are made at one go, with the process; the last one is a step of its own.
        let words = match kind {
            "cgroup" => {
                "runtime: failed to make the cgroup namespace: ENOSPC (No space left on device) (step "
            }
            _ => "runtime: failed to clone the sandbox: ",
        };
        let script = format!(
            r#"echo 0 >/proc/sys/user/max_{kind}_namespaces && exec unshare --user --map-user=1234 --map-group=1234 "$@""#
        );
        let mut command = stage.command("/usr/bin/unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", &script, "sh"]).arg(stage.program("runtime"));
        let output = command.args(["run", "--embedded", "--", "echo", "ran"]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{kind}: {errors}");
        assert!(errors.starts_with(words) && errors.contains("ENOSPC"), "{kind}: {errors}");
        assert!(errors.contains("`runtime doctor`") && errors.lines().count() == 1, "{kind}: {errors}");
        assert_nothing_left(stage);
    }
}
