//! What a run says about itself: the report, and the plan.

use runtime_plan::wall::Wall;
use runtime_tests::{Request, Stage, Who, stories};
use std::fs;

stories!(
    a_report_names_every_wall_once,
    a_report_on_stderr_is_one_line,
    a_report_that_cannot_be_written_is_said_before_the_command_runs,
    a_plan_runs_nothing,
    a_plan_tells_names_of_variables_and_no_values,
);

fn a_report_names_every_wall_once(stage: &Stage) {
    let output = stage.run(&Request::new(["--", "true"]));
    let walls = output.report["enforcement"]["walls"].as_array().unwrap();
    let names: Vec<&str> = walls.iter().map(|wall| wall["wall"].as_str().unwrap()).collect();
    assert_eq!(names, Wall::ALL.map(Wall::name));
    for wall in walls {
        let detail = wall["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.contains("not in the plan"), "{wall}");
    }
    for wall in Wall::ALL {
        let expected = match (stage.who(), wall) {
            // Scratch needs no id map.
            (_, Wall::Idmap) | (Who::User, Wall::UidPerJob) => "down",
            // With a delegated group it is up.
            (Who::User, Wall::Cgroup) if output.report["enforcement"]["cgroup_version"] == "none" => {
                "fallback"
            }
            _ => "up",
        };
        assert_eq!(output.wall_state(wall.name()), expected, "{}", wall.name());
    }
    for name in ["cpu_user_us", "cpu_system_us", "memory_peak_bytes", "run_time_us", "spawn_time_us"] {
        // What the host cannot measure is absent, and never 0 instead.
        let measured = &output.report["outcome"]["usage"][name];
        let may_be_absent = stage.who() == Who::User && name == "memory_peak_bytes";
        assert!(measured.is_u64() || (may_be_absent && measured.is_null()), "{name}: {measured}");
    }
    assert_eq!(output.report["enforcement"]["profile"], "default");
    assert_eq!(output.report["enforcement"]["plan_digest"].as_str().unwrap().len(), 64);
    assert_eq!(output.report["outcome"]["cleanup_errors"].as_array().unwrap().len(), 0);
}

fn a_report_on_stderr_is_one_line(stage: &Stage) {
    let mut command = stage.command(stage.program("runtime"));
    let output =
        command.args(["run", "--embedded", "--report", "-", "--", "sh", "-c", "exit 9"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["exit_status"], 9);
    assert!(report["job_id"].as_str().unwrap().starts_with("job-"));
}

fn a_report_that_cannot_be_written_is_said_before_the_command_runs(stage: &Stage) {
    let mut command = stage.command(stage.program("runtime"));
    command.args(["run", "--embedded", "--report", "/no/such/directory/report", "--", "echo", "ran"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("runtime: failed to make the report /no/such/directory/report"), "{text}");
}

fn a_plan_runs_nothing(stage: &Stage) {
    let directory = stage.home().join("data");
    let mut command = stage.command("/bin/mkdir");
    assert!(command.arg(&directory).status().unwrap().success());
    let mut command = stage.command(stage.program("runtime"));
    command.args(["run", "--embedded", "--plan", "--dir"]).arg(&directory).args([
        "--",
        "touch",
        "/workspace/ran",
    ]);
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for wall in ["user", "mount", "pid", "net", "seccomp", "landlock"] {
        assert_eq!(plan["walls"][wall], "required", "{wall}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

fn a_plan_tells_names_of_variables_and_no_values(stage: &Stage) {
    let mut command = stage.command(stage.program("runtime"));
    command.args(["run", "--embedded", "--plan", "--env", "TOKEN=hidden-value", "--", "true"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.contains("TOKEN"));
    assert!(!text.contains("hidden-value"), "{text}");
}
