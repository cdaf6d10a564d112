//! StreamLogs.

use super::{finished, next, some, world};
use crate::tests::harness::{World, reason, spec};
use runtime_plan::outcome::Outcome;
use runtime_proto::v1::{self, stream_logs_response::Event};
use std::io::Write;
use tonic::{Status, Streaming};

type Logs = Streaming<v1::StreamLogsResponse>;

async fn logs(world: &World, request: v1::StreamLogsRequest) -> Result<Logs, Status> {
    Ok(world.client.clone().stream_logs(request).await?.into_inner())
}

fn of(job: &str) -> v1::StreamLogsRequest {
    v1::StreamLogsRequest { job_id: job.to_owned(), ..Default::default() }
}

async fn event(logs: &mut Logs) -> Event {
    some(logs).await.event.expect("an event")
}

async fn output(logs: &mut Logs) -> (u64, Vec<u8>) {
    match event(logs).await {
        Event::Output(chunk) => (chunk.offset_bytes, chunk.data.to_vec()),
        other => panic!("no output: {other:?}"),
    }
}

async fn end(logs: &mut Logs) -> (u64, u64, bool) {
    let Event::End(end) = event(logs).await else { panic!("not the end") };
    assert!(next(logs).await.is_none(), "nothing comes after the end");
    (end.stdout_offset_bytes, end.stderr_offset_bytes, end.finished)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_follow_it_ends_at_what_is_there_and_goes_on_from_the_cursors() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("talk"), u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(b"abc").unwrap();
    run.output().await;
    let mut first = logs(&world, of(job.as_str())).await.unwrap();
    assert_eq!(output(&mut first).await, (0, b"abc".to_vec()));
    assert_eq!(end(&mut first).await, (3, 0, false));
    ends.stderr.as_mut().unwrap().write_all(b"oh").unwrap();
    run.output().await;
    let on = v1::StreamLogsRequest { stdout_offset_bytes: 3, ..of(job.as_str()) };
    let mut second = logs(&world, on).await.unwrap();
    assert_eq!(output(&mut second).await, (0, b"oh".to_vec()));
    assert_eq!(end(&mut second).await, (3, 2, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_follow_it_ends_with_the_job_and_several_readers_read_the_same() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("talk"), u64::MAX).await;
    let follow = v1::StreamLogsRequest { follow: true, ..of(job.as_str()) };
    let mut readers = [logs(&world, follow.clone()).await.unwrap(), logs(&world, follow).await.unwrap()];
    for text in [b"one".as_slice(), b"two"] {
        ends.stdout.as_mut().unwrap().write_all(text).unwrap();
        run.output().await;
        for reader in &mut readers {
            assert_eq!(output(reader).await.1, text);
        }
    }
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    for reader in &mut readers {
        assert_eq!(end(reader).await, (6, 0, true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_a_tail_or_a_time_narrow_it() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("talk"), u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(b"0123456789").unwrap();
    run.output().await;
    ends.stderr.as_mut().unwrap().write_all(b"error").unwrap();
    run.output().await;
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    run.until_end().await;
    let stderr = v1::StreamLogsRequest {
        stream: v1::OutputStream::Stderr.into(),
        stdout_offset_bytes: 4,
        ..of(job.as_str())
    };
    let mut stderr = logs(&world, stderr).await.unwrap();
    assert_eq!(output(&mut stderr).await, (0, b"error".to_vec()));
    // Of the stream that was not wanted the cursor is the caller's own.
    assert_eq!(end(&mut stderr).await, (4, 5, true));
    let mut tail =
        logs(&world, v1::StreamLogsRequest { tail_bytes: Some(3), ..of(job.as_str()) }).await.unwrap();
    assert_eq!(output(&mut tail).await, (7, b"789".to_vec()));
    assert_eq!(output(&mut tail).await, (2, b"ror".to_vec()));
    assert_eq!(end(&mut tail).await, (10, 5, true));
    let since = Some(prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 });
    let mut later = logs(&world, v1::StreamLogsRequest { since, ..of(job.as_str()) }).await.unwrap();
    assert_eq!(end(&mut later).await, (10, 5, true));
    let both = v1::StreamLogsRequest { tail_bytes: Some(3), stdout_offset_bytes: 1, ..of(job.as_str()) };
    assert_eq!(reason(&logs(&world, both).await.unwrap_err()), "CONTRADICTION");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_is_told_as_a_gap_at_its_place() {
    let world = world().await;
    let kept = v1::JobSpec { keep_output_bytes: Some(64 * 1024), ..spec("talk") };
    let (run, job, mut ends) = world.running(kept, u64::MAX).await;
    let bytes: Vec<u8> = (0..2_000_000u32).map(|n| (n % 253) as u8).collect();
    let mut stdout = ends.stdout.take().unwrap();
    let written = bytes.clone();
    tokio::task::spawn_blocking(move || stdout.write_all(&written).unwrap()).await.unwrap();
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    world.launcher.acknowledged(&job).await;
    drop(run);
    let mut logs = logs(&world, of(job.as_str())).await.unwrap();
    let (mut at, mut gap_bytes) = (0u64, 0);
    loop {
        match event(&mut logs).await {
            Event::Output(chunk) => {
                assert_eq!(chunk.offset_bytes, at);
                let from = usize::try_from(at).unwrap();
                assert!(bytes[from..from + chunk.data.len()] == chunk.data[..], "other bytes at {at}");
                at += chunk.data.len() as u64;
            }
            Event::Gap(gap) => {
                assert_eq!((gap.offset_bytes, gap.reason()), (at, v1::GapReason::JobCap));
                at += gap.length_bytes;
                gap_bytes += gap.length_bytes;
            }
            Event::End(end) => {
                assert_eq!((end.stdout_offset_bytes, end.finished), (at, true));
                break;
            }
            Event::Heartbeat(_) => {}
        }
    }
    assert_eq!(at, 2_000_000);
    assert!(gap_bytes >= 2_000_000 - 128 * 1024, "{gap_bytes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_output_of_a_job_that_is_over_can_be_read_again_and_again() {
    let world = world().await;
    let job = finished(&world, spec("talk"), b"once").await;
    for _ in 0..2 {
        let mut logs = logs(&world, v1::StreamLogsRequest { follow: true, ..of(&job) }).await.unwrap();
        assert_eq!(output(&mut logs).await, (0, b"once".to_vec()));
        assert_eq!(end(&mut logs).await, (4, 0, true));
    }
}
