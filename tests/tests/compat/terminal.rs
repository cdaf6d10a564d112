//! Jobs with a terminal, called from a terminal: a caller types, a program prints, and both are what they are on a host.

use crate::{need, skip_story};
use runtime_tests::{Stage, Typist, stories};

stories!(
    a_command_has_a_terminal_of_its_own,
    keys_and_jobs_of_an_interactive_shell,
    a_new_size_reaches_the_command,
    a_python_prompt_answers_and_ends,
    programs_make_terminals_of_their_own,
    what_is_printed_last_arrives,
    the_end_of_the_time_hangs_the_terminal_up,
);

/// Somebody at a terminal of 24 lines and 80 columns, or a skip of the story on a host that has none.
fn start(stage: &Stage, story: &str, args: &[&str]) -> Option<Typist> {
    let started = Typist::start(stage, (24, 80), args);
    started.map_err(|reason| skip_story(stage, &format!("terminal::{story}"), &reason)).ok()
}

fn a_command_has_a_terminal_of_its_own(stage: &Stage) {
    let script = "tty; stty size; echo $TERM; echo one >/dev/tty; echo two >/dev/stdout; test -t 0 -a -t 1 -a -t 2 && \
                  echo all; echo $(ls /dev/pts); stat -c %U:%a /dev/pts/0";
    let story = "a_command_has_a_terminal_of_its_own";
    let Some(typist) = start(stage, story, &["--", "sh", "-c", script]) else { return };
    let (printed, status) = typist.end();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines,
        ["/dev/pts/0", "24 80", "vt100", "one", "two", "all", "0 ptmx", "job:620"],
        "{printed}"
    );
    assert_eq!(status, Some(0));
}

fn keys_and_jobs_of_an_interactive_shell(stage: &Stage) {
    let story = "keys_and_jobs_of_an_interactive_shell";
    let Some(bash) = need(stage, &format!("terminal::{story}"), "bash") else { return };
    let args = ["--env", "PS1=ready> ", "--", &bash, "--norc", "--noediting", "-i"];
    let Some(mut typist) = start(stage, story, &args) else { return };
    typist.until("ready> ");
    // What is typed is echoed: what is waited for must not be in it. With exec there is no moment at which a shell waits for a
    // child of vfork(2), in which no key ends it.
    typist.keys("sh -c 'echo wo''rks; exec sleep 1000'\r");
    typist.until("works");
    typist.keys("\x03");
    typist.until("ready> ");
    typist.keys("echo status=$?\r");
    typist.until("status=130");
    typist.until("ready> ");
    // Stopped by a key, and back in the foreground: what is typed meanwhile waits for the one who reads.
    typist.keys("cat\rfirst\r");
    typist.until("first\r\nfirst\r\n");
    typist.keys("\x1a");
    typist.until("Stopped");
    typist.until("ready> ");
    typist.keys("fg\r");
    typist.until("\ncat");
    typist.keys("second\r");
    typist.until("second\r\nsecond\r\n");
    typist.keys("\x04");
    typist.until("ready> ");
    typist.keys("sleep 1000 &\r");
    typist.until("ready> ");
    typist.keys("jobs\r");
    typist.until("Running");
    typist.until("ready> ");
    typist.keys("exit 7\r");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(7), "{printed}");
    assert!(!printed.contains("job control"), "the shell complains: {printed}");
}

fn a_new_size_reaches_the_command(stage: &Stage) {
    let story = "a_new_size_reaches_the_command";
    let script = "trap 'stty size; exit 3' WINCH; echo wait''ing; while :; do sleep 0.1; done";
    let Some(mut typist) = start(stage, story, &["--", "sh", "-c", script]) else { return };
    typist.until("waiting");
    typist.resize((55, 155));
    typist.until("55 155");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(3), "{printed}");
}

fn a_python_prompt_answers_and_ends(stage: &Stage) {
    let story = "a_python_prompt_answers_and_ends";
    let Some(python) = need(stage, &format!("terminal::{story}"), "python3") else { return };
    let Some(mut typist) = start(stage, story, &["--profile", "python", "--", &python, "-q"]) else {
        return;
    };
    typist.until(">>> ");
    typist.keys("import os; print(os.get_terminal_size(), os.ttyname(0), os.ctermid())\r");
    typist.until("os.terminal_size(columns=80, lines=24) /dev/pts/0 /dev/tty");
    typist.until(">>> ");
    typist.keys("\x04");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(0), "{printed}");
}

fn programs_make_terminals_of_their_own(stage: &Stage) {
    let story = "programs_make_terminals_of_their_own";
    let Some(script) = need(stage, &format!("terminal::{story}"), "script") else { return };
    let Some(typist) = start(stage, story, &["--", &script, "-qec", "tty; stty size; exit 4", "/dev/null"])
    else {
        return;
    };
    let (printed, status) = typist.end();
    assert_eq!((printed.lines().collect::<Vec<_>>(), status), (vec!["/dev/pts/1", "24 80"], Some(4)));
}

fn what_is_printed_last_arrives(stage: &Stage) {
    let story = "what_is_printed_last_arrives";
    // More than one read takes, and the writer is gone at once.
    let script = "head -c 100000 /dev/zero | tr '\\0' x; printf the-end";
    let Some(typist) = start(stage, story, &["--", "sh", "-c", script]) else { return };
    let (printed, status) = typist.end();
    assert_eq!(printed.bytes().filter(|byte| *byte == b'x').count(), 100_000);
    assert!(printed.ends_with("the-end"), "{}", &printed[printed.len().saturating_sub(80)..]);
    assert_eq!(status, Some(0));
}

fn the_end_of_the_time_hangs_the_terminal_up(stage: &Stage) {
    let story = "the_end_of_the_time_hangs_the_terminal_up";
    // Interactive shells ignore TERM; what tells them to leave is the hang-up.
    let script = "trap '' TERM; trap 'echo hung up; exit 5' HUP; echo wait''ing; while :; do sleep 0.1; done";
    let Some(mut typist) = start(stage, story, &["--timeout", "2s", "--", "sh", "-c", script]) else {
        return;
    };
    typist.until("waiting");
    typist.until("hung up");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(124), "{printed}");
}
