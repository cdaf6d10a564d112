//! What ends a stream that nothing else ends, and what keeps it alive.

use super::{next, some, world};
use crate::api::{ClientFaults, Context, JobApi};
use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::tests::harness::{self, PATIENCE, Plan, reason, spec};
use runtime_plan::fault::Fault;
use runtime_plan::link::{ToLauncher, ToServer};
use runtime_proto::v1::job_service_server::JobService;
use runtime_proto::v1::{self, stream_logs_response, watch_response};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::{Code, Request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_another_server_takes_over_every_stream_and_wait_ends_at_once() {
    let world = world().await;
    let now = v1::JobSpec { on_disconnect: v1::OnDisconnect::CancelNow.into(), ..spec("sleep") };
    let (mut run, job, _ends) = world.running(now, u64::MAX).await;
    let mut client = world.client.clone();
    let follow = v1::StreamLogsRequest { job_id: job.to_string(), follow: true, ..Default::default() };
    let mut logs = client.stream_logs(follow).await.unwrap().into_inner();
    let mut watch = client.watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    some(&mut watch).await;
    let mut waiter = client.clone();
    let wait = v1::WaitRequest { job_id: job.to_string(), timeout: None };
    let mut waiting = std::pin::pin!(waiter.wait(wait));
    // The wait has reached the server when a call behind it on the same connection is answered.
    tokio::select! {
        biased;
        early = &mut waiting => panic!("the job runs: {early:?}"),
        got = client.get(v1::GetRequest { job_id: job.to_string() }) => drop(got.unwrap()),
    }
    world.launcher.send(&ToServer::Retire, &[]);
    let mut statuses = vec![run.try_next().await.unwrap_err(), waiting.await.unwrap_err()];
    statuses.push(next(&mut logs).await.unwrap().unwrap_err());
    statuses.push(loop {
        if let Err(status) = next(&mut watch).await.expect("a word of the end") {
            break status;
        }
    });
    for status in statuses {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SERVER_RESTARTING"));
    }
    // No client has gone, so nobody cancels the job.
    assert!(matches!(world.launcher.recv().await, ToLauncher::Goodbye));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_way_down_a_watch_ends_after_the_last_job() {
    let world = world().await;
    let (_run, job, ends) = world.running(spec("sleep"), u64::MAX).await;
    let mut watch = world.client.clone().watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    some(&mut watch).await;
    world.launcher.send(&ToServer::ShutDown, &[]);
    let cancelled =
        runtime_plan::outcome::Outcome::Cancelled { by: "shutdown".to_owned(), reason: String::new() };
    world.launcher.say_finished(&job, cancelled);
    drop(ends);
    let mut told_end = false;
    let status = loop {
        match next(&mut watch).await.expect("a word of the end") {
            Ok(message) => {
                told_end |=
                    matches!(message.event, Some(watch_response::Event::Job(job)) if job.outcome.is_some());
            }
            Err(status) => break status,
        }
    };
    assert!(told_end, "the end of the job was not told");
    assert_eq!(reason(&status), "SHUTTING_DOWN");
}

/// The service without a connection, so that the clock of the test is its clock.
async fn api() -> (JobApi, harness::Launcher, watch::Sender<bool>, tempfile::TempDir) {
    let (launcher, registry, place) = harness::registry(Plan::default()).await;
    let (retire, retiring) = watch::channel(false);
    let welcome = Arc::new(launcher.welcome.lock().unwrap().clone());
    let (metrics, faults) = (Metrics::new(), ClientFaults::default());
    let rules = registry.rules();
    let context = Context { registry, welcome, rules, metrics, faults, retire: retiring };
    (JobApi::new(Arc::new(context)), launcher, retire, place)
}

#[tokio::test]
async fn who_hears_nothing_for_a_while_gets_a_sign_of_life() {
    let (api, _launcher, _retire, _place) = api().await;
    let submit = v1::SubmitRequest { spec: Some(spec("sleep")), ..Default::default() };
    let job = api.submit(Request::new(submit)).await.unwrap().into_inner().job.unwrap();
    let follow = v1::StreamLogsRequest { job_id: job.job_id, follow: true, ..Default::default() };
    let mut logs = api.stream_logs(Request::new(follow)).await.unwrap().into_inner();
    let mut watch = api.watch(Request::new(v1::WatchRequest::default())).await.unwrap().into_inner();
    let there = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(there.event, Some(watch_response::Event::Job(_))));
    tokio::time::pause();
    for _ in 0..2 {
        let sign = tokio::time::timeout(PATIENCE, logs.next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(sign.event, Some(stream_logs_response::Event::Heartbeat(_))), "{sign:?}");
        let sign = loop {
            let message = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
            // The record may have reached the disk a moment after it was told first.
            if !matches!(message.event, Some(watch_response::Event::Job(_))) {
                break message;
            }
        };
        assert!(matches!(sign.event, Some(watch_response::Event::Heartbeat(_))), "{sign:?}");
        assert!(!sign.resume_token.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_cut_again_and_again_reads_every_byte_once() {
    let (tell, _told) = tokio::sync::mpsc::unbounded_channel();
    let place = tempfile::tempdir().unwrap();
    let faults = Faults::telling(vec![Fault::DropConnectionAfter(20_000)], place.path(), tell);
    let world = harness::start(Plan { faults, place, ..Plan::default() }).await;
    let mut client = world.client.clone();
    let (_run, job, mut ends) = world.running(spec("talk"), u64::MAX).await;
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 249) as u8).collect();
    let (mut stdout, written) = (ends.stdout.take().unwrap(), bytes.clone());
    let writing = tokio::task::spawn_blocking(move || {
        for piece in written.chunks(7_001) {
            std::io::Write::write_all(&mut stdout, piece).unwrap();
        }
    });
    let (mut read, mut cuts, mut ended) = (Vec::new(), 0, false);
    while !ended {
        let stdout_offset_bytes = read.len() as u64;
        let follow = v1::StreamLogsRequest {
            job_id: job.to_string(),
            follow: true,
            stdout_offset_bytes,
            ..Default::default()
        };
        let mut logs = client.stream_logs(follow).await.unwrap().into_inner();
        loop {
            match next(&mut logs).await.expect("an end or an error").map(|message| message.event) {
                Ok(Some(stream_logs_response::Event::Output(chunk))) => {
                    assert_eq!(chunk.offset_bytes, read.len() as u64);
                    read.extend_from_slice(&chunk.data);
                }
                Ok(Some(stream_logs_response::Event::End(end))) => {
                    assert!(end.finished);
                    ended = true;
                    break;
                }
                Ok(other) => panic!("neither output nor end: {other:?}"),
                Err(status) => {
                    assert_eq!(reason(&status), "CONNECTION_DROPPED");
                    cuts += 1;
                    break;
                }
            }
            if read.len() == bytes.len() && world.launcher.holds() == 1 && ends.stderr.is_some() {
                world.launcher.say_finished(&job, runtime_plan::outcome::Outcome::Exited { code: 0 });
                ends.stderr = None;
            }
        }
    }
    writing.await.unwrap();
    assert!(read == bytes && cuts >= 2, "{} bytes, {cuts} cuts", read.len());
}
