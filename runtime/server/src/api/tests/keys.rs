//! Requests that have a name, and requests that only ask.

use super::{finished, some, world};
use crate::tests::harness::{Run, World, reason, spec};
use runtime_plan::link::{ToLauncher, ToServer};
use runtime_proto::v1::{self, run_response::Event};
use tonic::{Code, Status};

async fn run(world: &World, spec: v1::JobSpec, key: &str, stdout_offset_bytes: u64) -> Result<Run, Status> {
    let idempotency_key = key.to_owned();
    let start = v1::RunStart { spec: Some(spec), idempotency_key, stdout_offset_bytes, ..Default::default() };
    world.call(v1::RunRequest { request: Some(v1::run_request::Request::Start(start)) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_with_the_key_is_the_same_job_from_the_cursor_on() {
    let world = world().await;
    // The first request has a key too: only what is kept under it is known.
    let mut first = run(&world, spec("talk"), "k", 7).await.unwrap();
    let (job, _) = world.launcher.started().await;
    let mut ends = world.launcher.accept(&job, false, u64::MAX);
    world.launcher.say_started(&job);
    assert_eq!(first.accepted().await, job.as_str());
    assert!(matches!(first.next().await, Event::Started(_)));
    std::io::Write::write_all(ends.stdout.as_mut().unwrap(), b"0123456789").unwrap();
    // An offset means nothing for a job that is new.
    assert_eq!(first.output().await.offset_bytes, 0);

    let mut second = run(&world, spec("talk"), "k", 4).await.unwrap();
    assert_eq!(second.accepted().await, job.as_str());
    assert!(matches!(second.next().await, Event::Started(_)));
    let chunk = second.output().await;
    assert_eq!((chunk.offset_bytes, &chunk.data[..]), (4, &b"456789"[..]));

    let conflict = run(&world, spec("other"), "k", 0).await.unwrap_err();
    assert_eq!((conflict.code(), reason(&conflict).as_str()), (Code::AlreadyExists, "KEY_CONFLICT"));
    assert!(conflict.message().contains(job.as_str()), "{}", conflict.message());

    world.launcher.say_finished(&job, runtime_plan::outcome::Outcome::Exited { code: 3 });
    drop(ends);
    assert!(
        matches!(second.next().await, Event::Finished(end) if end.outcome.as_ref().unwrap().exit_status == 3)
    );
    let mut third = run(&world, spec("talk"), "k", 10).await.unwrap();
    assert_eq!(third.accepted().await, job.as_str());
    assert!(matches!(third.next().await, Event::Started(_)));
    assert!(matches!(third.next().await, Event::Finished(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_is_answered_with_the_record_and_again_with_the_same() {
    let world = world().await;
    let mut client = world.client.clone();
    let request = |command: &str| v1::SubmitRequest {
        spec: Some(v1::JobSpec { priority: 7, ..super::labelled("team", "blue") }),
        idempotency_key: command.to_owned(),
        validate_only: false,
    };
    let first = client.submit(request("a")).await.unwrap().into_inner();
    let job = first.job.unwrap();
    assert!(!first.known);
    assert_eq!((job.idempotency_key.as_str(), job.priority, job.org.as_str()), ("a", 7, "default"));
    assert_eq!(job.labels["team"], "blue");
    let again = client.submit(request("a")).await.unwrap().into_inner();
    assert_eq!((again.known, again.job.unwrap().job_id), (true, job.job_id.clone()));
    let other = client.submit(request("b")).await.unwrap().into_inner();
    assert_ne!(other.job.unwrap().job_id, job.job_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_validate_asks_the_launcher_and_starts_nothing() {
    let world = world().await;
    let mut client = world.client.clone();
    let request = v1::SubmitRequest { spec: Some(spec("true")), validate_only: true, ..Default::default() };
    let asked = tokio::spawn(async move { client.submit(request).await });
    let ToLauncher::Plan { request, .. } = world.launcher.recv().await else {
        panic!("not asked for a plan")
    };
    world.launcher.send(&ToServer::Planned { request, result: Ok("{\"a\":1}".to_owned()) }, &[]);
    let answer = asked.await.unwrap().unwrap().into_inner();
    assert_eq!((answer.plan_json.as_str(), answer.job, answer.known), ("{\"a\":1}", None, false));
    let listed = world.client.clone().list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert!(listed.jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_free_again_once_its_job_is_deleted() {
    let world = world().await;
    let mut client = world.client.clone();
    let job = finished(&world, spec("true"), b"bytes").await;
    let unfinished = run(&world, spec("sleep"), "k", 0).await.unwrap();
    let (sleeping, _) = world.launcher.started().await;
    let delete = |id: &str| v1::DeleteRequest { job_id: id.to_owned() };
    let refused = client.delete(delete(sleeping.as_str())).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "JOB_NOT_FINISHED"));
    assert_eq!(reason(&client.delete(delete(&job[..20])).await.unwrap_err()), "JOB_NOT_FOUND");
    client.delete(delete(&job)).await.unwrap();
    let get = v1::GetRequest { job_id: job.clone() };
    assert_eq!(reason(&client.get(get).await.unwrap_err()), "JOB_NOT_FOUND");
    assert_eq!(reason(&client.delete(delete(&job)).await.unwrap_err()), "JOB_NOT_FOUND");
    let logs = v1::StreamLogsRequest { job_id: job, ..Default::default() };
    assert_eq!(reason(&client.stream_logs(logs).await.unwrap_err()), "JOB_NOT_FOUND");
    drop(unfinished);

    let ends = world.launcher.accept(&sleeping, false, u64::MAX);
    world.launcher.say_started(&sleeping);
    world.launcher.say_finished(&sleeping, runtime_plan::outcome::Outcome::Exited { code: 0 });
    drop(ends);
    world.launcher.acknowledged(&sleeping).await;
    client.delete(delete(sleeping.as_str())).await.unwrap();
    // With the key gone, another spec may have it.
    let submit = v1::SubmitRequest {
        spec: Some(spec("other")),
        idempotency_key: "k".to_owned(),
        validate_only: false,
    };
    assert!(!client.submit(submit).await.unwrap().into_inner().known);
    let mut watch = client.watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    assert!(matches!(some(&mut watch).await.event, Some(v1::watch_response::Event::Job(_))));
}
