//! Handing jobs over, listing them, looking at one, removing them.

use crate::{ids, start};
use runtime_tests::{Said, Stage, stories};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

stories!(
    a_submitted_job_runs_without_its_client,
    a_key_names_one_job_for_submit_and_run,
    a_list_is_filtered,
    a_list_goes_on_with_each_change,
    a_job_is_shown_whole,
    what_is_removed_is_gone_and_what_runs_stays,
    a_job_that_nobody_knows_is_said_to_be_unknown,
);

fn a_submitted_job_runs_without_its_client(stage: &Stage) {
    let daemon = start(stage);
    let submitted = daemon.submit_script("echo out; echo err >&2; exit 3");
    let detached = daemon.ask(&["run", "--detach", "--", "sh", "-c", "exit 4"]);
    let as_json: Value = serde_json::from_str(&daemon.ask(&["submit", "--json", "--", "true"])).unwrap();
    assert_eq!(as_json["known"], false, "{as_json}");
    for (job, code) in
        [(submitted.as_str(), 3), (detached.trim(), 4), (as_json["job_id"].as_str().unwrap(), 0)]
    {
        assert_eq!(daemon.say(&["wait", job]), Said { status: code, out: String::new(), err: String::new() });
        assert_eq!(daemon.inspect(job)["outcome"]["exited"]["code"], code);
    }
    let logs = daemon.say(&["logs", &submitted]);
    assert_eq!((logs.status, logs.out.as_str(), logs.err.as_str()), (0, "out\n", "err\n"));
}

fn a_key_names_one_job_for_submit_and_run(stage: &Stage) {
    let daemon = start(stage);
    let command = ["--idempotency-key", "the key", "--", "sh", "-c", "echo once; exit 5"];
    let first = daemon.submit(&command);
    assert_eq!(daemon.submit(&command), first);
    let again: Value =
        serde_json::from_str(&daemon.ask(&[&["submit", "--json"], &command[..]].concat())).unwrap();
    assert_eq!((again["job_id"].as_str(), again["known"].as_bool()), (Some(first.as_str()), Some(true)));
    let run = daemon.say(&[&["run"], &command[..]].concat());
    assert_eq!((run.status, run.out.as_str()), (5, "once\n"), "{}", run.err);
    let other = ["submit", "--idempotency-key", "the key", "--", "echo", "twice"];
    daemon.refuses(&other, 1, &[&first]);
    assert_eq!(ids(&daemon.ps(&[])), [first]);
}

fn a_list_is_filtered(stage: &Stage) {
    let daemon = start(stage);
    let red = daemon.submit(&["--label", "colour=red", "--label", "size=1", "--", "true"]);
    let blue = daemon.submit(&["--label", "colour=blue", "--label", "size=1", "--org", "acme", "--", "true"]);
    let strict = daemon.submit(&["--profile", "strict", "--priority", "7", "--", "sleep", "1000"]);
    daemon.say(&["wait", &red, &blue]);
    daemon.until_state(&strict, "running");
    for (filter, expected) in [
        (&[][..], vec![&strict, &blue, &red]),
        (&["--label", "colour=red"], vec![&red]),
        (&["--label", "size=1"], vec![&blue, &red]),
        (&["--label", "size=1", "--label", "colour=blue"], vec![&blue]),
        (&["--label", "size=2"], vec![]),
        (&["--profile", "strict"], vec![&strict]),
        (&["--org", "acme"], vec![&blue]),
        (&["--org", "default"], vec![&strict, &red]),
        (&["--state", "running"], vec![&strict]),
        (&["--state", "finished"], vec![&blue, &red]),
        (&["--state", "queued"], vec![]),
        (&["--since", "1h"], vec![&strict, &blue, &red]),
        (&["--since", "2100-01-01T00:00:00Z"], vec![]),
        (&["--max", "2"], vec![&strict, &blue]),
        (&["--all"], vec![&strict, &blue, &red]),
    ] {
        assert_eq!(ids(&daemon.ps(filter)), expected, "{filter:?}");
    }
    let table = daemon.ask(&["ps", "--state", "running"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("JOB ") && lines[0].ends_with("COMMAND"), "{table}");
    assert!(lines[1].starts_with(&strict) && lines[1].ends_with("sleep 1000"), "{table}");
    assert_eq!(daemon.inspect(&strict)["priority"], 7);
    daemon.refuses(&["ps", "--state", "dead"], 2, &["running"]);
    daemon.refuses(&["ps", "--since", "yesterday"], 2, &["--since"]);
    daemon.refuses(&["ps", "--label", "none"], 2, &["NAME=VALUE"]);
}

fn a_list_goes_on_with_each_change(stage: &Stage) {
    let daemon = start(stage);
    let running = daemon.submit(&["--label", "watched=1", "--", "sleep", "1000"]);
    daemon.until_state(&running, "running");
    let mut watch = daemon
        .client(&["ps", "--watch", "--json", "--label", "watched=1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    // It begins with what is not over.
    let first = next();
    assert_eq!(
        (first["job_id"].as_str(), first["state"].as_str()),
        (Some(running.as_str()), Some("running"))
    );
    daemon.submit(&["--", "true"]);
    let later = daemon.submit(&["--label", "watched=1", "--", "sh", "-c", "exit 3"]);
    let mut until_over = |job: &str| {
        loop {
            let change = next();
            if change["state"] == "finished" {
                assert_eq!(change["job_id"], job, "{change}");
                return change;
            }
            assert!([&running, &later].map(String::as_str).contains(&change["job_id"].as_str().unwrap()));
        }
    };
    assert_eq!(until_over(&later)["outcome"]["exited"]["code"], 3);
    // A server that is killed does not end it.
    daemon.replace_server();
    daemon.ask(&["cancel", &running]);
    assert_eq!(until_over(&running)["outcome"]["exit_status"], 143);
    daemon.ask(&["rm", &later]);
    loop {
        let change = next();
        if change["removed_job_id"] == later.as_str() {
            break;
        }
        assert_eq!(change["job_id"], running.as_str(), "{change}");
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
}

fn a_job_is_shown_whole(stage: &Stage) {
    let daemon = start(stage);
    let args = [
        "--label",
        "team=web",
        "--org",
        "acme",
        "--priority",
        "-3",
        "--env",
        "NAME=the-value",
        "--idempotency-key",
        "shown",
        "--",
        "sh",
        "-c",
        "echo abc; exit 6",
    ];
    let id = daemon.submit(&args);
    daemon.say(&["wait", &id]);
    let shown = daemon.ask(&["inspect", &id]);
    for words in ["finished", "team=web", "acme", "exited 6", "4 bytes stdout", "shown", &id] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
    assert!(!shown.contains("the-value"), "{shown}");
    let job = daemon.inspect(&id);
    assert_eq!(job["env_names"][0], "NAME");
    assert_eq!((job["priority"].as_i64(), job["org"].as_str()), (Some(-3), Some("acme")));
    assert_eq!(job["labels"]["team"], "web");
    assert_eq!(job["outcome"]["usage"]["output_bytes"], 4);
    assert_eq!(job["enforcement"]["walls"].as_array().unwrap().len(), 17);
    assert!(!job.to_string().contains("the-value"), "{job}");
    // A beginning of the id is enough as long as it is the only one.
    assert_eq!(daemon.inspect(&id[..29])["job_id"], id.as_str());
}

fn what_is_removed_is_gone_and_what_runs_stays(stage: &Stage) {
    let daemon = start(stage);
    let first = daemon.submit_script("echo one");
    let second = daemon.submit_script("echo two");
    let running = daemon.submit(&["--", "sleep", "1000"]);
    daemon.say(&["wait", &first, &second]);
    daemon.until_state(&running, "running");
    // One that cannot be removed does not keep the others.
    let said = daemon.say(&["rm", &first, &running, "job-nosuch", &second]);
    assert_eq!((said.status, said.out), (1, format!("{first}\n{second}\n")), "{}", said.err);
    assert_eq!(said.err.lines().count(), 2, "{}", said.err);
    assert_eq!(ids(&daemon.ps(&[])), [running.as_str()]);
    for verb in ["logs", "inspect", "rm"] {
        daemon.refuses(&[verb, &first], 1, &["runtime: there is no job", &first]);
    }
    let shard = stage.home().join("state/logs").join(&first[28..]).join(&first);
    assert!(!shard.exists(), "the output of a job that was removed is still there");
    daemon.ask(&["cancel", "--kill", &running]);
    daemon.say(&["wait", &running]);
    let removed: Value = serde_json::from_str(&daemon.ask(&["rm", "--json", &running])).unwrap();
    assert_eq!(removed["removed_job_id"], running.as_str());
    assert!(daemon.ps(&[]).is_empty());
}

fn a_job_that_nobody_knows_is_said_to_be_unknown(stage: &Stage) {
    let daemon = start(stage);
    for (verb, status) in
        [("inspect", 1), ("logs", 1), ("cancel", 1), ("rm", 1), ("wait", 125), ("attach", 125)]
    {
        daemon.refuses(&[verb, "job-nosuch"], status, &["runtime: there is no job"]);
        daemon.refuses(&[verb, "--json", "job-nosuch"], status, &["JOB_NOT_FOUND"]);
        daemon.refuses(&[verb], if status == 125 { 125 } else { 2 }, &["JOB"]);
    }
    daemon.refuses(&["signal", "job-nosuch", "TERM"], 1, &["runtime: there is no job"]);
}
