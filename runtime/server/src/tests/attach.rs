//! Attach, Get, List and Cancel.

use super::harness::{PATIENCE, World, reason, spec, world};
use runtime_plan::link::ToLauncher;
use runtime_plan::outcome::Outcome;
use runtime_proto::v1::{self, attach_response::Event};
use std::io::Write;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

struct Attached {
    requests: mpsc::Sender<v1::AttachRequest>,
    responses: Streaming<v1::AttachResponse>,
}

async fn attach(world: &World, job: &str, stdout_offset_bytes: u64) -> Result<Attached, Status> {
    let start = v1::AttachStart { job_id: job.to_owned(), stdout_offset_bytes, stderr_offset_bytes: 0 };
    let (requests, outgoing) = mpsc::channel(4);
    let first = v1::AttachRequest { request: Some(v1::attach_request::Request::Start(start)) };
    requests.send(first).await.unwrap();
    let responses = world.client.clone().attach(ReceiverStream::new(outgoing)).await?.into_inner();
    Ok(Attached { requests, responses })
}

impl Attached {
    async fn next(&mut self) -> Event {
        let message = tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("in time");
        message.unwrap().expect("one more").event.expect("an event")
    }

    async fn record(&mut self) -> v1::Job {
        match self.next().await {
            Event::Job(job) => job,
            other => panic!("no record: {other:?}"),
        }
    }

    async fn output(&mut self) -> (u64, Vec<u8>) {
        match self.next().await {
            Event::Output(chunk) => (chunk.offset_bytes, chunk.data.to_vec()),
            other => panic!("no output: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_client_joins_midway_and_follows() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("talk"), u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(b"0123456789").unwrap();
    assert_eq!(run.output().await.data.len(), 10);
    let mut attached = attach(&world, job.as_str(), 4).await.unwrap();
    assert_eq!(attached.record().await.state(), v1::JobState::Running);
    assert_eq!(attached.output().await, (4, b"456789".to_vec()));
    ends.stdout.as_mut().unwrap().write_all(b"abc").unwrap();
    assert_eq!(attached.output().await, (10, b"abc".to_vec()));
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    assert!(matches!(attached.next().await, Event::Finished(_)));
    assert!(attached.responses.message().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_has_ended_is_replayed_in_order() {
    let world = world().await;
    let (mut run, job, mut ends) = world.running(spec("talk"), u64::MAX).await;
    for (index, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let to = if index % 2 == 0 { ends.stdout.as_mut() } else { ends.stderr.as_mut() };
        to.unwrap().write_all(text.as_bytes()).unwrap();
        run.output().await;
    }
    world.launcher.say_finished(&job, Outcome::Exited { code: 7 });
    drop(ends);
    run.until_end().await;
    let prefix = &job.as_str()[..20];
    let mut attached = attach(&world, prefix, 0).await.unwrap();
    let record = attached.record().await;
    assert_eq!((record.state(), record.outcome.unwrap().exit_status), (v1::JobState::Finished, 7));
    let mut text = Vec::new();
    for _ in 0..4 {
        text.extend(attached.output().await.1);
    }
    assert_eq!(text, b"abcd");
    assert!(matches!(attached.next().await, Event::Finished(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attached_client_keeps_a_job_from_being_cancelled_and_may_signal_it() {
    let world = world().await;
    let now = v1::JobSpec { on_disconnect: v1::OnDisconnect::CancelNow.into(), ..spec("sleep") };
    let (run, job, _ends) = world.running(now, 1).await;
    let mut attached = attach(&world, job.as_str(), 0).await.unwrap();
    attached.record().await;
    drop(run);
    let signal = v1::job_input::Input::Signal(v1::SignalInput { signal: 12 });
    let signal = v1::AttachRequest {
        request: Some(v1::attach_request::Request::Input(v1::JobInput { input: Some(signal) })),
    };
    attached.requests.send(signal).await.unwrap();
    // A cancel, had there been one, would have come first.
    assert!(matches!(world.launcher.recv().await, ToLauncher::Signal { signal: 12, .. }));
    drop(attached);
    assert!(
        matches!(world.launcher.recv().await, ToLauncher::Cancel { by, .. } if by == "client disconnected")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_and_cancel_take_a_prefix_and_say_what_is_wrong_with_one() {
    let world = world().await;
    let (mut run, job, ends) = world.running(spec("sleep"), 1).await;
    let (_other_run, _other, _other_ends) = world.running(spec("sleep"), 1).await;
    let mut client = world.client.clone();
    let get = |id: &str| v1::GetRequest { job_id: id.to_owned() };
    let got = client.get(get(&job.as_str().to_uppercase())).await.unwrap().into_inner().job.unwrap();
    assert_eq!(
        (got.job_id.as_str(), &got.argv[0][..], got.state()),
        (job.as_str(), &b"sleep"[..], v1::JobState::Running)
    );
    let ambiguous = client.get(get("job-0")).await.unwrap_err();
    assert_eq!((ambiguous.code(), reason(&ambiguous).as_str()), (Code::InvalidArgument, "JOB_AMBIGUOUS"));
    assert!(ambiguous.message().contains(job.as_str()));
    for id in ["job-zzz", "", "job-"] {
        assert_eq!(client.get(get(id)).await.unwrap_err().code(), Code::NotFound);
    }
    let cancel = v1::CancelRequest { job_id: job.to_string(), reason: "enough".to_owned(), kill: true };
    client.cancel(cancel.clone()).await.unwrap();
    match world.launcher.recv().await {
        ToLauncher::Cancel { by, reason, kill, .. } => {
            assert_eq!((by.as_str(), reason.as_str(), kill), ("uid 1000", "enough", true));
        }
        other => panic!("no cancel: {other:?}"),
    }
    let long = v1::CancelRequest { reason: "x".repeat(1_025), ..cancel.clone() };
    assert_eq!(reason(&client.cancel(long).await.unwrap_err()), "REASON_TOO_LONG");
    world.launcher.say_finished(&job, Outcome::Cancelled { by: "uid 1000".into(), reason: "enough".into() });
    drop(ends);
    assert_eq!(run.until_end().await.2.outcome.unwrap().exit_status, 143);
    // A job that has ended is no error.
    client.cancel(cancel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_newest_first_and_survive_what_comes_between() {
    let world = world().await;
    let mut ids = Vec::new();
    let mut finish = async || {
        let (mut run, job, ends) = world.running(spec("true"), 1).await;
        drop(ends);
        world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
        run.until_end().await;
        assert!(matches!(world.launcher.recv().await, ToLauncher::Acknowledge { .. }));
        ids.push(job.to_string());
    };
    for _ in 0..5 {
        finish().await;
    }
    let mut client = world.client.clone();
    let page = |page_token: &str| v1::ListRequest {
        page_size: 2,
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    let first = client.list(page("")).await.unwrap().into_inner();
    finish().await;
    let second = client.list(page(&first.next_page_token)).await.unwrap().into_inner();
    let third = client.list(page(&second.next_page_token)).await.unwrap().into_inner();
    assert_eq!(third.next_page_token, "");
    let listed: Vec<String> =
        [first.jobs, second.jobs, third.jobs].concat().into_iter().map(|job| job.job_id).collect();
    let expected: Vec<String> = ids.iter().take(5).rev().cloned().collect();
    assert_eq!(listed, expected);
    let running = v1::ListRequest { state: v1::JobState::Running.into(), ..Default::default() };
    assert!(client.list(running).await.unwrap().into_inner().jobs.is_empty());
    for wrong in
        [v1::ListRequest { page_size: 1_001, ..Default::default() }, page("job-x"), page("../../etc/passwd")]
    {
        assert_eq!(reason(&client.list(wrong).await.unwrap_err()), "BAD_PAGE");
    }
    let unknown = v1::ListRequest { state: 99, ..Default::default() };
    assert_eq!(reason(&client.list(unknown).await.unwrap_err()), "BAD_ENUM");
}
