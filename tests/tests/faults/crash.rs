//! Servers that kill themselves, and launches that fail.

use crate::start;
use runtime_plan::fault::CrashStep;
use runtime_tests::{Stage, Who, eventually, stories};

stories!(
    a_crash_at_each_step_is_noticed_by_nobody,
    servers_that_crash_again_and_again_lose_nothing,
    a_start_that_fails_says_where,
    a_job_that_is_to_be_out_of_memory_ends_by_that_limit,
);

fn a_crash_at_each_step_is_noticed_by_nobody(stage: &Stage) {
    for step in CrashStep::ALL.map(CrashStep::name) {
        let daemon = start(stage, &format!("crash-at={step}"));
        let before = daemon.server();
        let job = daemon.submit(&[
            "--label",
            &format!("at={step}"),
            "--",
            "sh",
            "-c",
            "echo a; sleep 0.2; echo b; exit 4",
        ]);
        assert_eq!(daemon.say(&["wait", &job]).status, 4, "{step}");
        assert_eq!(daemon.ask(&["logs", &job]), "a\nb\n", "{step}");
        let all = daemon.ps(&["--label", &format!("at={step}")]);
        assert_eq!(all.len(), 1, "{step}: {all:?}");
        eventually(&format!("the server has crashed at {step}"), || {
            let now = daemon.server();
            now.is_some() && now != before
        });
        let run = daemon.say(&["run", "--", "sh", "-c", "echo c; exit 5"]);
        assert_eq!(
            (run.status, run.out.as_str()),
            (5, "c\n"),
            "{step}: the next server does not crash: {}",
            run.err
        );
    }
}

fn servers_that_crash_again_and_again_lose_nothing(stage: &Stage) {
    let daemon = start(stage, "crash-every=400ms");
    let before = daemon.server();
    let script = "for i in $(seq 1 20); do echo $i; sleep 0.1; done; exit 6";
    let run = daemon.say(&["run", "--", "sh", "-c", script]);
    let whole: String = (1..=20).map(|number| format!("{number}\n")).collect();
    assert_eq!((run.status, run.out), (6, whole), "{}", run.err);
    assert_ne!(daemon.server(), before);
}

fn a_start_that_fails_says_where(stage: &Stage) {
    let daemon = start(stage, "launch-fails-at=10");
    let run = daemon.say(&["run", "--", "true"]);
    assert_eq!(run.status, 125);
    assert!(run.err.contains("EIO") && run.err.contains("step 10 of 35"), "{}", run.err);
    let failed = daemon.ps(&[])[0]["outcome"]["spawn_failed"].clone();
    assert_eq!((failed["errno"].as_i64(), failed["index"].as_i64()), (Some(5), Some(10)), "{failed}");
}

fn a_job_that_is_to_be_out_of_memory_ends_by_that_limit(stage: &Stage) {
    let daemon = start(stage, "oom=2");
    let take = ["run", "--", "python3", "-c", "x = bytearray(32 << 20); print(len(x))"];
    assert_eq!(daemon.ask(&take), "33554432\n", "the first job is not the second");
    let second = daemon.say(&take);
    // It is a limit of the job's control group, which an ordinary user has only where one was delegated.
    if stage.who() == Who::Root {
        assert_eq!(second.status, 124, "{second:?}");
        assert_eq!(daemon.ps(&[])[0]["outcome"]["limit"]["limit"], "memory", "{second:?}");
    }
    assert_eq!(daemon.ask(&take), "33554432\n", "the third job is not the second");
}
