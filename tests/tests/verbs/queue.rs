//! `drain` and its undoing, and what it means for the other verbs.

use crate::start;
use runtime_tests::{Stage, stories};
use serde_json::Value;

stories!(a_drain_refuses_what_is_new_and_can_be_undone, the_deadline_of_a_drain_cancels_what_is_left);

fn a_drain_refuses_what_is_new_and_can_be_undone(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit(&["-i", "--", "sh", "-c", "read line; exit 8"]);
    daemon.until_state(&job, "running");
    assert_eq!(daemon.ask(&["drain"]), "draining: 1 running, 0 waiting\n");
    daemon.refuses(&["run", "--", "true"], 125, &["takes no new jobs"]);
    daemon.refuses(&["submit", "--", "true"], 1, &["takes no new jobs"]);
    daemon.refuses(&["submit", "--json", "--", "true"], 1, &["DRAINING"]);
    // What runs goes on and may be asked for.
    let typed = daemon.client(&["attach", "-i", &job]).stdin(std::process::Stdio::null()).status().unwrap();
    assert_eq!(typed.code(), Some(8));
    assert_eq!(daemon.say(&["wait", &job]).status, 8);
    let json: Value = serde_json::from_str(&daemon.ask(&["drain", "--undo", "--json"])).unwrap();
    assert_eq!((json["jobs_running"].as_i64(), json["jobs_queued"].as_i64()), (Some(0), Some(0)));
    assert_eq!(daemon.ask(&["run", "--", "echo", "again"]), "again\n");
    daemon.refuses(&["drain", "--undo", "--deadline", "1s"], 2, &["--undo"]);
}

fn the_deadline_of_a_drain_cancels_what_is_left(stage: &Stage) {
    let daemon = start(stage);
    let short = daemon.submit_script("sleep 0.3; exit 4");
    let long = daemon.submit(&["--", "sleep", "1000"]);
    daemon.until_state(&long, "running");
    daemon.ask(&["drain", "--deadline", "2s"]);
    assert_eq!(daemon.outcome(&short)["exited"]["code"], 4);
    let outcome = daemon.outcome(&long);
    assert!(outcome["cancelled"]["reason"].as_str().unwrap().contains("drain"), "{outcome}");
}
