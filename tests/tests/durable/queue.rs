//! Jobs that wait, over the end of a server and of a daemon.

use crate::{end, start};
use runtime_tests::{Daemon, Stage, stories};

stories!(
    jobs_that_wait_keep_their_order_over_servers_and_daemons,
    jobs_that_run_may_end_while_a_daemon_drains,
    wall_time_counts_from_exec_and_not_from_the_request,
);

fn jobs_that_wait_keep_their_order_over_servers_and_daemons(stage: &Stage) {
    const ONE: [&str; 2] = ["--jobs-per-org", "1"];
    let daemon = Daemon::start(stage, &ONE, "");
    let blocker = daemon.submit(&["--", "sleep", "1000"]);
    daemon.until_state(&blocker, "running");
    let [old, first, young] =
        ["0", "5", "0"].map(|priority| daemon.submit(&["--priority", priority, "--", "sh", "-c", "exit 3"]));
    let waits = |daemon: &Daemon<'_>| {
        for job in [&old, &first, &young] {
            assert_eq!(daemon.inspect(job)["state"], "queued");
        }
    };
    waits(&daemon);
    daemon.replace_server();
    waits(&daemon);
    end(daemon);
    let daemon = Daemon::start(stage, &ONE, "");
    let started = [&first, &old, &young].map(|job| {
        assert_eq!(daemon.outcome(job)["exited"]["code"], 3);
        daemon.inspect(job)["start_time"].as_str().unwrap().to_owned()
    });
    assert!(started.is_sorted(), "by priority, then by age: {started:?}");
    assert_eq!(daemon.outcome(&blocker)["exit_status"], 143);
    assert_eq!(daemon.ps(&[]).len(), 4);
}

fn jobs_that_run_may_end_while_a_daemon_drains(stage: &Stage) {
    let mut daemon = Daemon::start(stage, &["--drain-timeout", "60s"], "");
    let job = daemon.submit(&["-i", "--", "sh", "-c", "echo up; read line; echo \"$line\"; exit 7"]);
    daemon.until_says(&job, "up");
    daemon.signal(crate::SIGTERM);
    runtime_tests::eventually("new jobs are refused", || daemon.say(&["submit", "--", "true"]).status == 1);
    // It is still there for those who have a job with it.
    let mut attach = daemon.client(&["attach", "-i", &job]);
    let mut attach =
        attach.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut attach.stdin.take().unwrap(), b"typed\n").unwrap();
    assert_eq!(attach.wait().unwrap().code(), Some(7));
    assert_eq!(daemon.wait().code(), Some(0));
    drop(daemon);
    let daemon = start(stage);
    assert_eq!(daemon.outcome(&job)["exited"]["code"], 7);
    assert_eq!(daemon.ask(&["logs", &job]), "up\ntyped\n");
    assert_eq!(daemon.ps(&["--state", "queued"]).len(), 0);
}

fn wall_time_counts_from_exec_and_not_from_the_request(stage: &Stage) {
    let daemon = Daemon::start(stage, &["--jobs-per-org", "1"], "");
    let blocker = daemon.submit(&["--", "sleep", "3"]);
    let waiting = daemon.submit(&["--timeout", "2s", "--", "sh", "-c", "exit 3"]);
    let outcome = daemon.outcome(&waiting);
    assert_eq!(outcome["exited"]["code"], 3, "{outcome}");
    let waited = outcome["usage"]["queue_time_us"].as_u64().unwrap();
    assert!(waited > 2_000_000, "it waited longer than it may run, or this shows nothing: {waited} us");
    assert_eq!(daemon.outcome(&blocker)["exited"]["code"], 0);
}
