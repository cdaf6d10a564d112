//! The three streams of a command are its caller's, byte for byte.

use runtime_tests::{Request, Stage, eventually, stories, wait};
use std::{process::Stdio, time::Duration};

stories!(
    every_byte_value_arrives_on_both_streams,
    ten_mebibytes_arrive_in_order_while_stderr_is_busy,
    five_mebibytes_of_stdin_come_back,
    the_end_of_stdin_is_a_half_close,
    a_command_may_close_its_stdin_early,
    without_i_stdin_is_empty,
    a_caller_whose_stdin_stays_open_does_not_keep_the_run,
    output_arrives_while_the_command_runs,
    stdout_can_be_opened_again,
);

fn every_byte_value_arrives_on_both_streams(stage: &Stage) {
    let code = "import sys\nsys.stdout.buffer.write(bytes(range(256)))\nsys.stderr.buffer.write(bytes(reversed(range(256))))";
    let output = stage.run(&Request::new(["--", "/usr/bin/python3", "-c", code]));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, (0..=255).collect::<Vec<u8>>());
    assert_eq!(output.stderr, (0..=255).rev().collect::<Vec<u8>>());
    assert_eq!(output.report["outcome"]["stdout_bytes"], 256);
    assert_eq!(output.report["outcome"]["stderr_bytes"], 256);
}

/// Bytes that show at once where something is missing: each block of 64 KiB starts with its number.
fn pattern(blocks: u64) -> Vec<u8> {
    let block: Vec<u8> = (0..65_536_u64).map(|j| ((j * j) ^ (j >> 8)) as u8).collect();
    (0..blocks).flat_map(|number| [&number.to_le_bytes(), &block[8..]].concat()).collect()
}

fn ten_mebibytes_arrive_in_order_while_stderr_is_busy(stage: &Stage) {
    let code = r"
import sys
block = bytes((j * j ^ (j >> 8)) & 255 for j in range(65536))
for number in range(160):
    sys.stdout.buffer.write(number.to_bytes(8, 'little') + block[8:])
    sys.stderr.buffer.write(b'e' * 4096)
    sys.stderr.flush()
";
    let output = stage.run(&Request::new(["--", "/usr/bin/python3", "-c", code]));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == pattern(160), "{} bytes came, or others than were written", output.stdout.len());
    assert!(output.stderr == vec![b'e'; 160 * 4096], "{} bytes came", output.stderr.len());
}

fn five_mebibytes_of_stdin_come_back(stage: &Stage) {
    let stdin = pattern(80);
    let output = stage.run(&Request { stdin: stdin.clone(), ..Request::new(["-i", "--", "cat"]) });
    assert_eq!(output.status.code(), Some(0), "{}", output.errors());
    assert!(output.stdout == stdin, "{} of {} bytes came, or others", output.stdout.len(), stdin.len());
}

fn the_end_of_stdin_is_a_half_close(stage: &Stage) {
    let script = "wc -c; echo after the end; echo and here >&2; exit 7";
    let request = Request { stdin: vec![0; 100_000], ..Request::new(["-i", "--", "sh", "-c", script]) };
    let output = stage.run(&request);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.text(), "100000\nafter the end\n");
    assert_eq!(output.errors(), "and here\n");
}

fn a_command_may_close_its_stdin_early(stage: &Stage) {
    let request = Request {
        stdin: vec![b'x'; 5 << 20],
        ..Request::new(["-i", "--", "sh", "-c", "head -c 3; exec <&-; echo; echo done"])
    };
    let output = stage.run(&request);
    assert_eq!(
        (output.status.code(), output.text().as_str()),
        (Some(0), "xxx\ndone\n"),
        "{}",
        output.errors()
    );
    assert_eq!(output.errors(), "");
}

fn without_i_stdin_is_empty(stage: &Stage) {
    let request = Request {
        stdin: b"secret".to_vec(),
        ..Request::new(["--", "sh", "-c", "wc -c; readlink /proc/self/fd/0"])
    };
    assert_eq!(stage.run(&request).text(), "0\n/dev/null\n");
}

fn a_caller_whose_stdin_stays_open_does_not_keep_the_run(stage: &Stage) {
    let mut command = stage.command(stage.program("runtime"));
    command.args(["run", "--embedded", "-i", "--", "true"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let status = wait(&mut child, Duration::from_secs(20));
    drop(stdin);
    assert_eq!(status.expect("it ends although its stdin does not").code(), Some(0));
}

fn output_arrives_while_the_command_runs(stage: &Stage) {
    let seen = stage.open_directory().join("seen");
    let mut command = stage.command("/bin/sh");
    // The command waits for a line of ours, which is sent after its first line was seen.
    let script = r#"mkfifo "$1.in" && exec 9<>"$1.in" && "$2" run --embedded -i -- sh -c 'echo first; read word; echo "$word"' <"$1.in" >"$1""#;
    command.args(["-c", script, "sh"]).arg(&seen).arg(stage.program("runtime"));
    let mut child = command.spawn().unwrap();
    let read = || std::fs::read_to_string(&seen).unwrap_or_default();
    eventually("the first line has arrived", || read() == "first\n");
    let fifo = seen.with_extension("in");
    std::fs::write(fifo, "second\n").unwrap();
    eventually("the second line has arrived", || read() == "first\nsecond\n");
    assert_eq!(wait(&mut child, Duration::from_secs(20)).unwrap().code(), Some(0));
}

fn stdout_can_be_opened_again(stage: &Stage) {
    let script = "echo one >/dev/stdout; echo two >/dev/stderr; echo three >/proc/self/fd/1";
    let output = stage.run(&Request::new(["--", "sh", "-c", script]));
    assert_eq!((output.text().as_str(), output.errors().as_str()), ("one\nthree\n", "two\n"));
}
