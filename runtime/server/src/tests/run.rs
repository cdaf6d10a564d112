//! Run: output, stdin, limits, and first messages that are wrong.

use super::harness::{PATIENCE, input, reason, spec, start_message, world};
use crate::logs::place::Place;
use runtime_plan::link::{MeasuredLimit, Pipes, PipesKind, RefusalReason, ToLauncher, ToServer};
use runtime_plan::outcome::Outcome;
use runtime_proto::v1::{self, job_input::Input, run_response};
use std::io::{Read, Write};
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_and_its_output_and_outcome_come_back() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("echo"), u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(b"hello ").unwrap();
    let chunk = run.output().await;
    assert_eq!(
        (&chunk.data[..], chunk.offset_bytes, chunk.stream()),
        (&b"hello "[..], 0, v1::OutputStream::Stdout)
    );
    assert!(chunk.time.is_some());
    ends.stderr.as_mut().unwrap().write_all(b"oops").unwrap();
    assert_eq!(&run.output().await.data[..], b"oops");
    ends.stdout.as_mut().unwrap().write_all(b"world").unwrap();
    // The end is told before the last output is read, and yet comes after it.
    world.launcher.say_finished(&job, Outcome::Exited { code: 3 });
    drop(ends);
    let chunk = run.output().await;
    assert_eq!((&chunk.data[..], chunk.offset_bytes), (&b"world"[..], 6));
    let (_, _, finished) = run.until_end().await;
    let outcome = finished.outcome.unwrap();
    assert_eq!(outcome.cause, Some(v1::outcome::Cause::Exited(v1::ExitedOutcome { code: 3 })));
    assert_eq!((outcome.exit_status, outcome.stdout_bytes, outcome.stderr_bytes), (3, 11, 4));
    assert!(outcome.usage.unwrap().queue_time.is_some());
    let enforcement = finished.enforcement.unwrap();
    assert_eq!((enforcement.kernel.as_str(), enforcement.profile_digest.as_str()), ("6.18", "d1"));
    assert!(matches!(world.launcher.recv().await, ToLauncher::Acknowledge { job: done } if done == job));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_start_has_an_outcome_and_no_start() {
    let world = world().await;
    let mut run = world.run(spec("missing")).await;
    let (job, _) = world.launcher.started().await;
    drop(world.launcher.accept(&job, false, 1));
    world.launcher.say_finished(&job, Outcome::Lost { why: "init_vanished".to_owned() });
    run.accepted().await;
    let (out, err, finished) = run.until_end().await;
    assert!(out.is_empty() && err.is_empty());
    assert_eq!(finished.outcome.unwrap().exit_status, 125);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_a_status_and_leaves_nothing() {
    let world = world().await;
    let mut run = world.run(spec("true")).await;
    let (job, _) = world.launcher.started().await;
    world.launcher.refuse(&job, RefusalReason::UnknownProfile, "no profile");
    let status = run.try_next().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "UNKNOWN_PROFILE"));
    assert_eq!(status.message(), "no profile");
    // The record is gone once the place for the next job is free again.
    let (_run, _, _ends) = world.running(spec("true"), 1).await;
    let got = world.client.clone().get(v1::GetRequest { job_id: job.to_string() }).await.unwrap_err();
    assert_eq!(reason(&got), "JOB_NOT_FOUND");
    assert_eq!(
        Place::new(world.place.path()).jobs().unwrap().iter().filter(|log| *log == job.as_str()).count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdin_is_byte_exact_and_half_close_is_its_end() {
    let world = world().await;
    let (run, _job, mut ends) = world.running(v1::JobSpec { stdin: true, ..spec("cat") }, u64::MAX).await;
    let sent: Vec<u8> = (0..400_000_u32).map(|index| (index * 7) as u8).collect();
    let mut pipe = ends.stdin.take().unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    for piece in sent.chunks(65_536) {
        run.requests.send(input(Input::Stdin(piece.to_vec().into()))).await.unwrap();
    }
    drop(run.requests);
    // The launcher has a copy of the pipe: it must be told, behind the last byte.
    assert!(matches!(world.launcher.recv().await, ToLauncher::CloseStdin { .. }));
    let read = tokio::time::timeout(PATIENCE, reading).await.expect("the end of stdin").unwrap().unwrap();
    assert_eq!(read, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdin_that_the_job_closed_is_dropped_and_the_job_goes_on() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(v1::JobSpec { stdin: true, ..spec("head") }, u64::MAX).await;
    ends.stdin = None;
    for _ in 0..20 {
        run.requests.send(input(Input::Stdin(vec![0; 65_536].into()))).await.unwrap();
    }
    run.requests.send(input(Input::Signal(v1::SignalInput { signal: 10 }))).await.unwrap();
    assert!(matches!(world.launcher.recv().await, ToLauncher::CloseStdin { .. }));
    assert!(matches!(world.launcher.recv().await, ToLauncher::Signal { signal: 10, all: false, .. }));
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    assert_eq!(run.until_end().await.2.outcome.unwrap().exit_status, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_slows_nobody() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("flood"), u64::MAX).await;
    let bytes = 32 << 20;
    let mut out = ends.stdout.take().unwrap();
    // The client reads nothing meanwhile: far more than all buffers on the way hold.
    let flood = tokio::task::spawn_blocking(move || out.write_all(&vec![b'y'; bytes]));
    tokio::time::timeout(PATIENCE, flood).await.expect("the job is not slowed").unwrap().unwrap();
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    assert!(matches!(world.launcher.recv().await, ToLauncher::Acknowledge { .. }));
    let (out, _, finished) = run.until_end().await;
    assert_eq!(out.len(), bytes);
    assert_eq!(finished.outcome.unwrap().stdout_bytes, bytes as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_over_the_limit_is_told_to_the_launcher_once() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("flood"), 5).await;
    let mut out = ends.stdout.take().unwrap();
    let flood = tokio::task::spawn_blocking(move || out.write_all(&vec![b'y'; 1 << 20]));
    match world.launcher.recv().await {
        ToLauncher::LimitReached { job: over, limit: MeasuredLimit::Output, used } => {
            assert_eq!(over, job);
            assert!(used > 5);
        }
        other => panic!("no limit: {other:?}"),
    }
    flood.await.unwrap().unwrap();
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    assert_eq!(run.until_end().await.0, b"yyyyy");
    assert!(matches!(world.launcher.recv().await, ToLauncher::Acknowledge { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_first_message_is_a_status() {
    let world = world().await;
    let empty = v1::RunRequest { request: None };
    let no_spec = v1::RunStart::default();
    let no_spec = v1::RunRequest { request: Some(v1::run_request::Request::Start(no_spec)) };
    for (first, expected) in [
        (empty, "MISSING_START"),
        (no_spec, "MISSING_START"),
        (input(Input::Stdin("early".into())), "MISSING_START"),
        (start_message(v1::JobSpec::default()), "NO_COMMAND"),
    ] {
        let status = world.call(first).await.expect_err("a status");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_bound_is_refused_before_it_is_read() {
    let world = world().await;
    let status = world.call(start_message(spec(&"x".repeat(5 << 20)))).await.expect_err("a status");
    assert_eq!(status.code(), Code::OutOfRange);
    // And one at the bound of the kernel is a spec like any other.
    let mut run = world.run(spec(&"x".repeat(131_071))).await;
    let (job, spec) = world.launcher.started().await;
    assert_eq!(spec.argv[0].len(), 131_071);
    drop(world.launcher.accept(&job, false, 1));
    run.accepted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_later_message_ends_the_stream_and_counts_as_a_disconnect() {
    let world = world().await;
    let now = v1::JobSpec { on_disconnect: v1::OnDisconnect::CancelNow.into(), ..spec("sleep") };
    for (message, expected) in [
        (start_message(spec("again")), "UNEXPECTED_START"),
        (input(Input::Stdin("x".into())), "NO_STDIN"),
        (input(Input::Signal(v1::SignalInput { signal: 65 })), "BAD_SIGNAL"),
        (v1::RunRequest { request: None }, "EMPTY_INPUT"),
    ] {
        let (mut run, job, ends) = world.running(now.clone(), 1).await;
        run.requests.send(message).await.unwrap();
        assert_eq!(reason(&run.try_next().await.unwrap_err()), expected);
        assert!(matches!(world.launcher.recv().await, ToLauncher::Cancel { job: gone, .. } if gone == job));
        drop(ends);
        world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
        assert!(matches!(world.launcher.recv().await, ToLauncher::Acknowledge { .. }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_answered_without_a_job() {
    let world = world().await;
    let start = v1::RunStart { spec: Some(spec("true")), validate_only: true, ..Default::default() };
    let start = v1::RunRequest { request: Some(v1::run_request::Request::Start(start)) };
    let answer = async {
        match world.launcher.recv().await {
            ToLauncher::Plan { request, .. } => {
                world.launcher.send(&ToServer::Planned { request, result: Ok("{}".to_owned()) }, &[]);
            }
            other => panic!("no question: {other:?}"),
        }
    };
    let (run, ()) = tokio::join!(world.call(start), answer);
    let mut run = run.unwrap();
    assert!(matches!(run.next().await, run_response::Event::Planned(planned) if planned.plan_json == "{}"));
    assert!(run.try_next().await.unwrap().is_none());
    let list = world.client.clone().list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert!(list.jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_silent_too_long_is_told_to_the_launcher_and_input_counts() {
    let world = world().await;
    let mut run = world.run(v1::JobSpec { stdin: true, ..spec("cat") }).await;
    let (job, _) = world.launcher.started().await;
    let kind = PipesKind::Streams { stdin: true };
    let pipes = Pipes { kind, output_bytes_max: u64::MAX, idle_ms_max: Some(600) };
    let _ends = world.launcher.accept_with(&job, pipes);
    run.accepted().await;
    world.launcher.say_started(&job);
    assert!(matches!(run.next().await, run_response::Event::Started(_)));
    let begun = std::time::Instant::now();
    for _ in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        run.requests.send(input(Input::Stdin("x".into()))).await.unwrap();
    }
    match world.launcher.recv().await {
        ToLauncher::LimitReached { job: over, limit: MeasuredLimit::IdleTime, used } => {
            assert_eq!(over, job);
            assert!(used >= 600 && begun.elapsed().as_millis() >= 1_600, "{used} ms");
        }
        other => panic!("no limit: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_read_typed_into_and_resized() {
    let world = world().await;
    let terminal = Some(v1::Terminal { rows: 24, columns: 80, term: "xterm".to_owned() });
    let mut run = world.run(v1::JobSpec { terminal, ..spec("sh") }).await;
    let (job, _) = world.launcher.started().await;
    world.launcher.accept_terminal(&job);
    run.accepted().await;
    // A size from before the terminal is there is not forgotten.
    run.requests.send(input(Input::Resize(v1::Resize { rows: 30, columns: 90 }))).await.unwrap();
    let master = runtime_sys::terminal::open_master(c"/dev/ptmx").unwrap();
    let slave = runtime_sys::terminal::open_slave(std::os::fd::AsFd::as_fd(&master)).unwrap();
    world.launcher.say_started_with(&job, Some(master));
    assert!(matches!(run.next().await, run_response::Event::Started(_)));
    let mut slave = std::fs::File::from(slave);
    slave.write_all(b"hello\n").unwrap();
    assert_eq!(&run.output().await.data[..], b"hello\r\n");
    run.requests.send(input(Input::Stdin("typed\n".into()))).await.unwrap();
    let mut line = [0; 16];
    let (bytes, mut slave) =
        tokio::task::spawn_blocking(move || (slave.read(&mut line).map(|n| line[..n].to_vec()), slave))
            .await
            .unwrap();
    assert_eq!(bytes.unwrap(), b"typed\n");
    // The echo is output like any other.
    assert_eq!(&run.output().await.data[..], b"typed\r\n");
    slave.write_all(b"bye").unwrap();
    drop(slave);
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    let (out, ..) = run.until_rest(14).await;
    assert_eq!(out, b"bye");
    world.launcher.acknowledged(&job).await;
}
