//! Waiting for ends and making them: `wait`, `signal`, `cancel`.

use crate::start;
use runtime_tests::{Stage, stories};
use serde_json::Value;

stories!(
    of_several_the_first_bad_status_is_the_one,
    a_wait_gives_up_when_its_time_is_over,
    a_signal_is_given_by_name_or_number,
    a_cancel_is_told_with_its_words,
);

fn of_several_the_first_bad_status_is_the_one(stage: &Stage) {
    let daemon = start(stage);
    let [well, four, nine] = ["exit 0", "exit 4", "kill -9 $$"].map(|script| daemon.submit_script(script));
    let said = daemon.say(&["wait", &well, &four, &nine]);
    assert_eq!((said.status, said.err.as_str()), (4, ""));
    assert_eq!(said.out, format!("{well}  exited 0\n{four}  exited 4\n{nine}  signal 9 (KILL)\n"));
    assert_eq!(daemon.say(&["wait", &nine, &four]).status, 137);
    assert_eq!(daemon.say(&["wait", &well]).status, 0);
    let alone = daemon.say(&["wait", &nine]);
    assert_eq!((alone.status, alone.out.as_str()), (137, ""));
    assert!(alone.err.starts_with("runtime: ") && alone.err.lines().count() == 1, "{}", alone.err);
    let json = daemon.say(&["wait", "--json", &well, &four]);
    let jobs: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((json.status, jobs.len()), (4, 2));
    assert_eq!(jobs[1]["outcome"]["exited"]["code"], 4);
}

fn a_wait_gives_up_when_its_time_is_over(stage: &Stage) {
    let daemon = start(stage);
    let over = daemon.submit_script("exit 0");
    let running = daemon.submit(&["--", "sleep", "1000"]);
    assert_eq!(daemon.say(&["wait", &over]).status, 0);
    let said = daemon.say(&["wait", "--timeout", "200ms", &over, &running]);
    assert_eq!(said.status, 125, "{}", said.err);
    assert!(said.err.contains(&running) && said.err.contains("goes on"), "{}", said.err);
    assert_eq!(daemon.inspect(&running)["state"], "running");
}

fn a_signal_is_given_by_name_or_number(stage: &Stage) {
    let daemon = start(stage);
    let script = "trap 'echo one' USR1; trap 'echo two; exit 7' USR2; echo up; while :; do sleep 0.05; done";
    let job = daemon.submit_script(script);
    daemon.until_says(&job, "up");
    assert_eq!(daemon.ask(&["signal", &job, "USR1"]), format!("{job}\n"));
    daemon.until_says(&job, "one");
    let told: Value =
        serde_json::from_str(&daemon.ask(&["signal", "--json", "--all", &job[..29], "12"])).unwrap();
    assert_eq!((told["job_id"].as_str(), told["signal"].as_i64()), (Some(job.as_str()), Some(12)));
    // `sleep` has no trap and was killed, the shell has one and ends by itself.
    assert_eq!(daemon.say(&["wait", &job]).status, 7);
    assert!(daemon.ask(&["logs", &job]).ends_with("two\n"));
    daemon.refuses(&["signal", &job, "SIGUSR1"], 1, &["does not run"]);
    daemon.refuses(&["signal", &job, "NOSIG"], 2, &["NOSIG"]);
    daemon.refuses(&["signal", &job, "65"], 2, &["65"]);
}

fn a_cancel_is_told_with_its_words(stage: &Stage) {
    let daemon = start(stage);
    let deaf = "trap '' TERM; echo up; while :; do sleep 1; done";
    let [polite, killed] = [("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"), deaf]
        .map(|script| daemon.submit_script(script));
    daemon.until_says(&polite, "up");
    daemon.until_says(&killed, "up");
    let said = daemon.say(&["cancel", "--reason", "no need", &polite, "job-nosuch"]);
    assert_eq!((said.status, said.out), (1, format!("{polite}\n")), "{}", said.err);
    let ended = daemon.say(&["wait", &polite]);
    assert_eq!(ended.status, 143);
    assert!(ended.err.contains("cancelled by uid") && ended.err.contains("no need"), "{}", ended.err);
    assert_eq!(daemon.ask(&["logs", &polite]), "up\nbye\n");
    daemon.ask(&["cancel", "--kill", &killed]);
    let outcome = daemon.outcome(&killed);
    assert_eq!(
        (outcome["exit_status"].as_i64(), outcome["cancelled"]["reason"].as_str()),
        (Some(143), Some(""))
    );
    assert_eq!(daemon.ask(&["cancel", &killed]), format!("{killed} had ended already\n"));
}
