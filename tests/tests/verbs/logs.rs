//! `logs`: from where, of which stream, up to when.

use crate::start;
use runtime_tests::{Stage, stories};
use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

stories!(
    what_there_is_comes_and_following_goes_on,
    one_stream_or_its_end,
    lines_have_their_times_and_a_time_is_a_place_to_begin,
    bytes_are_as_they_were_written,
);

fn what_there_is_comes_and_following_goes_on(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit(&["-i", "--", "sh", "-c", "echo first; read line; echo \"$line\"; exit 3"]);
    daemon.until_says(&job, "first");
    assert_eq!(daemon.ask(&["logs", &job]), "first\n", "without -f it does not wait");
    let mut follower = daemon.client(&["logs", "-f", &job]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    daemon.replace_server();
    let mut writer =
        daemon.client(&["attach", "-i", &job]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut writer.stdin.take().unwrap(), b"second\n").unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "second\n");
    assert_eq!(follower.wait().unwrap().code(), Some(0), "logs tell the output, not the end");
    assert_eq!(writer.wait().unwrap().code(), Some(3), "attach ends as the job does");
}

fn one_stream_or_its_end(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit_script("seq 1 1000; echo problem >&2");
    daemon.say(&["wait", &job]);
    let whole: String = (1..=1_000).map(|number| format!("{number}\n")).collect();
    let said = daemon.say(&["logs", &job]);
    assert!(said.out == whole && said.err == "problem\n", "{said:?}");
    let out = daemon.say(&["logs", "--stdout", &job]);
    assert!(out.out == whole && out.err.is_empty(), "{out:?}");
    let err = daemon.say(&["logs", "--stderr", &job]);
    assert_eq!((err.out.as_str(), err.err.as_str()), ("", "problem\n"));
    let tail = daemon.say(&["logs", "--tail", "9B", &job]);
    assert_eq!((tail.out.as_str(), tail.err.as_str()), ("999\n1000\n", "problem\n"), "{tail:?}");
    daemon.refuses(&["logs", "--tail", "9", &job], 2, &["--tail"]);
    daemon.refuses(&["logs", "--stdout", "--stderr", &job], 2, &["--stderr"]);
}

fn lines_have_their_times_and_a_time_is_a_place_to_begin(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit_script("echo early; sleep 1.2; echo late");
    daemon.say(&["wait", &job]);
    let stamped = daemon.ask(&["logs", "--timestamps", &job]);
    let lines: Vec<(&str, &str)> = stamped.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!((lines[0].1, lines[1].1, lines.len()), ("early", "late", 2), "{stamped}");
    for (stamp, _) in &lines {
        assert!(stamp.len() == 24 && stamp.ends_with('Z') && stamp.as_bytes()[10] == b'T', "{stamped}");
    }
    assert!(lines[0].0 < lines[1].0, "{stamped}");
    assert_eq!(daemon.ask(&["logs", "--since", lines[1].0, &job]), "late\n", "{stamped}");
    assert_eq!(daemon.ask(&["logs", "--since", "1h", &job]), "early\nlate\n");
    assert_eq!(daemon.ask(&["logs", "--since", "2100-01-01T00:00:00Z", &job]), "");
    daemon.refuses(&["logs", "--since", "then", &job], 2, &["--since"]);
}

fn bytes_are_as_they_were_written(stage: &Stage) {
    let daemon = start(stage);
    let job = daemon.submit_script(r"printf '\000\377\033[2Jno newline'");
    daemon.say(&["wait", &job]);
    let output = daemon.client(&["logs", &job]).output().unwrap();
    assert_eq!(output.stdout, b"\0\xff\x1b[2Jno newline");
}
