//! Terminals through a daemon: typed into, resized, left and taken up again.

use crate::start;
use runtime_tests::{Daemon, Stage, Typist, skip, stories};

stories!(
    a_run_with_a_terminal_at_a_daemon_is_typed_into_and_resized,
    a_terminal_that_was_left_goes_on_and_is_taken_up_again,
    a_terminal_outlives_the_server,
);

/// Somebody at a terminal of 24 lines and 80 columns who asks this daemon, or a skip of the story on a host that has none.
fn sit_down(stage: &Stage, story: &str, daemon: &Daemon<'_>, args: &[&str]) -> Option<Typist> {
    let endpoint = format!("unix:{}", daemon.socket().display());
    let typist = Typist::call(stage, (24, 80), &[&["--endpoint", &endpoint], args].concat());
    let who = if stage.who() == runtime_tests::Who::Root { "rootful" } else { "rootless" };
    typist.map_err(|reason| skip(&format!("verbs::terminal::{who}::{story}"), &reason)).ok()
}

fn a_run_with_a_terminal_at_a_daemon_is_typed_into_and_resized(stage: &Stage) {
    let story = "a_run_with_a_terminal_at_a_daemon_is_typed_into_and_resized";
    let daemon = start(stage);
    let script = "stty size; trap 'stty size' WINCH; trap 'echo inter''rupted; exit 3' INT; \
                  echo rea''dy; while :; do sleep 0.05; done";
    let Some(mut typist) = sit_down(stage, story, &daemon, &["run", "-i", "-t", "--", "sh", "-c", script])
    else {
        return;
    };
    typist.until("24 80");
    typist.until("ready");
    typist.resize((50, 132));
    typist.until("50 132");
    // The key goes to the job, not to the client.
    typist.keys("\x03");
    typist.until("interrupted");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(3), "{printed}");
}

fn a_terminal_that_was_left_goes_on_and_is_taken_up_again(stage: &Stage) {
    let story = "a_terminal_that_was_left_goes_on_and_is_taken_up_again";
    let daemon = start(stage);
    let script = "while read line; do echo \"got:$line\"; test \"$line\" = end && exit 5; done";
    let job = daemon.submit(&["-i", "-t", "--", "sh", "-c", script]);
    let attach = ["attach", "-i", "-t", &job];
    let Some(mut first) = sit_down(stage, story, &daemon, &attach) else { return };
    first.keys("one\r");
    first.until("got:one");
    first.keys("\x10\x11");
    let (printed, status) = first.end();
    assert_eq!(status, Some(0), "{printed}");
    assert!(printed.contains("goes on"), "{printed}");
    assert_eq!(daemon.inspect(&job)["state"], "running");
    let Some(mut second) = sit_down(stage, story, &daemon, &attach) else { return };
    // What was printed before comes first.
    second.until("got:one");
    second.keys("end\r");
    second.until("got:end");
    let (printed, status) = second.end();
    assert_eq!(status, Some(5), "{printed}");
    assert_eq!(daemon.inspect(&job)["terminal"], true);
    assert_eq!(daemon.ask(&["logs", &job]), "one\r\ngot:one\r\nend\r\ngot:end\r\n");
}

fn a_terminal_outlives_the_server(stage: &Stage) {
    let story = "a_terminal_outlives_the_server";
    let daemon = start(stage);
    let script = "trap 'stty size' WINCH; echo rea''dy; while :; do read line && echo \"got:$line\"; done";
    let job = daemon.submit(&["-i", "-t", "--", "sh", "-c", script]);
    daemon.until_says(&job, "ready");
    daemon.replace_server();
    let Some(mut typist) = sit_down(stage, story, &daemon, &["attach", "-i", "-t", &job]) else { return };
    typist.until("ready");
    typist.keys("after\r");
    typist.until("got:after");
    daemon.ask(&["cancel", "--kill", &job]);
    let (printed, status) = typist.end();
    assert_eq!(status, Some(143), "{printed}");
    assert!(printed.contains("cancelled"), "{printed}");
}
