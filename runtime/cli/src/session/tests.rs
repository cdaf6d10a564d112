//! Sessions with a daemon that says what a script tells it to say.

#[path = "tests/daemon.rs"]
pub mod daemon;

use super::*;
use crate::stdio::{Input, Writer};
use daemon::{Daemon, Scene, accepted, exited, gap, job, output};
use runtime_proto::v1::*;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex};

/// Plays one session and gives the record; `stdout` takes the job's output, `input` is its stdin.
fn play(daemon: Daemon, stdout: File, input: Vec<Input>) -> Record {
    play_typed(daemon, stdout, input, false)
}

fn play_typed(daemon: Daemon, stdout: File, input: Vec<Input>, typed: bool) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (send, stdin) = mpsc::channel(8);
        for piece in input {
            send.send(piece).await.unwrap();
        }
        // Stdin stays open: only the pieces say that it ends.
        let feed = Feed::new(
            Box::new(move || {
                std::mem::forget(send);
                Ok(stdin)
            }),
            typed,
            typed,
        );
        let writer = Writer::start_with(stdout, null()).unwrap();
        let screen = Screen::with(writer, Look::default(), [false; 2]).at_the_start();
        let line = daemon.line().await;
        let call = Call::Run(Box::new(RunStart { idempotency_key: "key".into(), ..Default::default() }));
        Session::new(line, call, feed, screen, None).follow(&mut Signals::none()).await
    })
}

fn null() -> File {
    File::options().write(true).open("/dev/null").unwrap()
}

fn contents(mut file: File) -> Vec<u8> {
    let mut all = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut all).unwrap();
    all
}

fn out(offset: u64, data: &'static [u8]) -> run_response::Event {
    output(OutputStream::Stdout, offset, data)
}

fn stdin(bytes: &'static str) -> job_input::Input {
    job_input::Input::Stdin(bytes.into())
}

fn code(record: &Record) -> Option<&str> {
    record.error.as_ref().map(Error::code)
}

#[test]
fn a_job_runs_to_its_end_and_its_bytes_arrive() {
    let file = tempfile::tempfile().unwrap();
    let heartbeat = run_response::Event::Heartbeat(Heartbeat {});
    let scene = Scene::of(vec![accepted(), heartbeat, out(0, b"one\xff"), out(4, b"two"), exited()]);
    let record = play(Daemon::new(vec![scene]), file.try_clone().unwrap(), Vec::new());
    assert!(record.error.is_none() && !record.reader_gone, "{record:?}");
    assert_eq!(record.job_id.as_deref(), Some("job-1"));
    assert_eq!(contents(file), b"one\xfftwo");
}

#[test]
fn stdin_arrives_in_order_and_its_end_is_told() {
    let daemon = Daemon::new(vec![Scene::of(vec![accepted()]).waits_for_stdin()]);
    let seen = daemon.stdin.clone();
    let input = vec![Input::Bytes("a".into()), Input::Bytes("b".into()), Input::End];
    let record = play(daemon, null(), input);
    assert!(record.error.is_none(), "{record:?}");
    assert_eq!(*seen.lock().unwrap(), [stdin("a"), stdin("b"), job_input::Input::CloseStdin(CloseStdin {})]);
}

#[test]
fn a_hole_in_the_output_is_never_passed_over() {
    let scene = Scene::of(vec![accepted(), out(0, b"abc"), out(5, b"x"), exited()]);
    let record = play(Daemon::new(vec![scene]), null(), Vec::new());
    assert_eq!(code(&record), Some("PROTOCOL"), "{record:?}");
    assert!(record.finished.is_some(), "the end is still waited for");
}

#[test]
fn a_gap_that_is_told_is_no_hole() {
    let scene = Scene::of(vec![accepted(), out(0, b"abc"), gap(3, 5), out(8, b"x"), exited()]);
    let file = tempfile::tempfile().unwrap();
    let record = play(Daemon::new(vec![scene]), file.try_clone().unwrap(), Vec::new());
    assert!(record.error.is_none(), "{record:?}");
    assert_eq!(contents(file), b"abcx");
}

#[test]
fn a_refusal_keeps_the_daemons_words() {
    let daemon = Daemon::new(vec![Scene::refused(Status::invalid_argument("no such profile"))]);
    let record = play(daemon, null(), Vec::new());
    assert_eq!(record.error.unwrap().to_string(), "no such profile");
    assert!(record.job_id.is_none());
}

#[test]
fn a_private_launcher_that_goes_away_is_told_by_how_far_it_came() {
    let broken = |scene: Scene| play(Daemon::new(vec![scene]).once(), null(), Vec::new());
    assert_eq!(code(&broken(Scene::of(vec![accepted()]))), Some("PROTOCOL"));
    let lost = broken(Scene::of(vec![accepted()]).breaks());
    assert_eq!(code(&lost), Some("CONNECTION_LOST"));
    let refused = broken(Scene::refused(Status::resource_exhausted("full")));
    assert_eq!(code(&refused), Some("RESOURCE_EXHAUSTED"));
}

#[test]
fn a_reader_that_goes_away_cancels_the_job() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let daemon = Daemon::new(vec![Scene::of(vec![accepted(), out(0, b"x")]).waits_for_cancel()]);
    let record = play(daemon, File::from(std::os::fd::OwnedFd::from(writer)), Vec::new());
    assert!(record.reader_gone && record.finished.is_some(), "{record:?}");
}

#[test]
fn output_that_cannot_be_written_cancels_the_job_and_says_why() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let daemon = Daemon::new(vec![Scene::of(vec![accepted(), out(0, b"x")]).waits_for_cancel()]);
    let record = play(daemon, full, Vec::new());
    assert_eq!(code(&record), Some("IO_FAILED"), "{record:?}");
    assert!(record.finished.is_some());
}

#[test]
fn a_broken_stream_goes_on_where_it_stopped() {
    let file = tempfile::tempfile().unwrap();
    let running = || job(JobState::Running, true);
    let daemon = Daemon::new(vec![
        Scene::of(vec![accepted(), out(0, b"one"), output(OutputStream::Stderr, 0, b"e")]).breaks(),
        Scene::attached(running(), vec![out(3, b"two"), gap(6, 2)]).breaks(),
        Scene::attached(running(), vec![]).breaks(),
        Scene::attached(running(), vec![out(8, b"three"), exited()]),
    ]);
    let calls = daemon.calls.clone();
    let record = play(daemon, file.try_clone().unwrap(), Vec::new());
    assert!(record.error.is_none() && record.finished.is_some(), "{record:?}");
    assert_eq!(contents(file), b"onetwothree");
    assert_eq!(
        *calls.lock().unwrap(),
        ["run key", "attach job-1 3 1", "attach job-1 8 1", "attach job-1 8 1"]
    );
}

#[test]
fn a_call_whose_answer_was_lost_is_made_again_with_the_same_key() {
    let daemon = Daemon::new(vec![
        Scene::refused(Status::unavailable("gone")),
        Scene::of(vec![]).breaks(),
        Scene::of(vec![accepted(), exited()]),
    ]);
    let calls = daemon.calls.clone();
    let record = play(daemon, null(), Vec::new());
    assert!(record.error.is_none() && record.finished.is_some(), "{record:?}");
    assert_eq!(*calls.lock().unwrap(), ["run key"; 3]);
}

#[test]
fn what_never_answers_is_no_daemon_and_is_not_asked_for_a_minute() {
    let daemon = Daemon::new(vec![Scene::refused(Status::unavailable("gone"))]).deaf();
    let record = play(daemon, null(), Vec::new());
    assert_eq!(code(&record), Some("UNANSWERED"), "{record:?}");
    let words = record.error.as_ref().unwrap().to_string();
    assert!(words.contains("--idempotency-key key") && words.contains("nobody listens"), "{words}");
}

/// Sends `a`, and the end when it is told, breaks, and says at the next call that stdin is open or not.
fn cut(input: Vec<Input>, stdin_open: bool, typed: bool) -> (Record, Vec<String>) {
    let pieces = input.len();
    let daemon = Daemon::new(vec![
        Scene::of(vec![accepted()]).takes(pieces).breaks(),
        Scene::attached(job(JobState::Running, stdin_open), vec![]).waits_for_cancel(),
    ]);
    // A job that nobody cancels ends by itself.
    let daemon = if stdin_open && !typed { daemon } else { daemon.ends_alone() };
    let cancels = daemon.cancels.clone();
    let record = play_typed(daemon, null(), input, typed);
    let cancels = cancels.lock().unwrap().clone();
    (record, cancels)
}

#[test]
fn stdin_that_was_cut_cancels_the_job_and_is_told() {
    for input in [vec![Input::Bytes("a".into())], vec![Input::Bytes("a".into()), Input::End]] {
        let (record, cancels) = cut(input, true, false);
        assert_eq!(code(&record), Some("STDIN_CUT"), "{record:?}");
        assert_eq!(cancels, ["stdin was cut by a lost connection"]);
        assert_eq!(crate::verdict::of(&record).status, 125);
    }
}

#[test]
fn stdin_that_arrived_whole_survives_a_break() {
    let (record, cancels) = cut(vec![Input::Bytes("a".into()), Input::End], false, false);
    assert!(record.error.is_none() && cancels.is_empty(), "{record:?} {cancels:?}");
}

#[test]
fn what_somebody_types_goes_on_after_a_break() {
    let (record, cancels) = cut(vec![Input::Bytes("a".into())], true, true);
    assert!(record.error.is_none() && cancels.is_empty(), "{record:?} {cancels:?}");
}

#[test]
fn a_job_that_is_gone_after_a_break_is_told() {
    let daemon = Daemon::new(vec![
        Scene::of(vec![accepted()]).breaks(),
        Scene::refused(Status::not_found("no such job")),
    ]);
    let record = play(daemon, null(), Vec::new());
    assert_eq!(code(&record), Some("NOT_FOUND"), "{record:?}");
}

#[test]
fn the_keys_that_leave_leave_the_job_alone() {
    let daemon = Daemon::new(vec![Scene::of(vec![accepted()]).waits_for_cancel()]);
    let (seen, cancels): (Arc<Mutex<_>>, _) = (daemon.stdin.clone(), daemon.cancels.clone());
    let record = play_typed(daemon, null(), vec![Input::Bytes("\x10\x11ls".into())], true);
    assert!(record.detached && record.error.is_none(), "{record:?}");
    assert!(cancels.lock().unwrap().is_empty() && seen.lock().unwrap().is_empty());
}
