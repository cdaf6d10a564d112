//! Wait, Signal, Drain, Info and health.

use super::{finished, next, world};
use crate::tests::harness::{reason, spec};
use runtime_plan::link::ToLauncher;
use runtime_plan::outcome::Outcome;
use runtime_proto::v1::{self, node_service_client::NodeServiceClient};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_with_the_job_or_with_its_time() {
    let world = world().await;
    let (_run, job, ends) = world.running(spec("sleep"), u64::MAX).await;
    let mut client = world.client.clone();
    let wait = |seconds: i64, nanos: i32| v1::WaitRequest {
        job_id: job.to_string(),
        timeout: Some(prost_types::Duration { seconds, nanos }),
    };
    let early = client.wait(wait(0, 1_000_000)).await.unwrap().into_inner().job.unwrap();
    assert_eq!(early.state(), v1::JobState::Running);
    assert_eq!(reason(&client.wait(wait(3_601, 0)).await.unwrap_err()), "BAD_DURATION");
    let mut waiter = client.clone();
    let whole = v1::WaitRequest { job_id: job.to_string(), timeout: None };
    let waiting = tokio::spawn(async move { waiter.wait(whole).await });
    world.launcher.say_finished(&job, Outcome::Exited { code: 4 });
    drop(ends);
    let ended = waiting.await.unwrap().unwrap().into_inner().job.unwrap();
    assert_eq!((ended.state(), ended.outcome.unwrap().exit_status), (v1::JobState::Finished, 4));
    // And at once for one that is over.
    let again = client.wait(wait(60, 0)).await.unwrap().into_inner().job.unwrap();
    assert_eq!(again.state(), v1::JobState::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_goes_to_a_command_that_runs_and_is_refused_otherwise() {
    let world = world().await;
    let over = finished(&world, spec("true"), b"").await;
    let (_run, job, _ends) = world.running(spec("sleep"), u64::MAX).await;
    let mut client = world.client.clone();
    let signal =
        |id: &str, signal: i32| v1::SignalRequest { job_id: id.to_owned(), signal, all_processes: true };
    client.signal(signal(job.as_str(), 10)).await.unwrap();
    assert!(matches!(world.launcher.recv().await, ToLauncher::Signal { signal: 10, all: true, .. }));
    let refused = client.signal(signal(&over, 10)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "JOB_NOT_RUNNING"));
    for number in [0, 65, -1] {
        assert_eq!(reason(&client.signal(signal(job.as_str(), number)).await.unwrap_err()), "BAD_SIGNAL");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_takes_nothing_new_says_so_and_can_be_undone() {
    let world = world().await;
    let (_run, job, _ends) = world.running(spec("sleep"), u64::MAX).await;
    let mut node = NodeServiceClient::new(world.channel.clone());
    let mut health = HealthClient::new(world.channel.clone());
    let mut status = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.unwrap().into_inner().status()
    };
    assert_eq!(status("").await, ServingStatus::Serving);
    let drained = node.drain(v1::DrainRequest::default()).await.unwrap().into_inner();
    assert_eq!((drained.jobs_running, drained.jobs_queued), (1, 0));
    let refused = world.call(crate::tests::harness::start_message(spec("true"))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "DRAINING"));
    let info = node.info(v1::InfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.state(), v1::ServingState::Draining);
    // The task that tells it has its own pace.
    while status("").await == ServingStatus::Serving {
        tokio::task::yield_now().await;
    }
    assert_eq!(status("runtime.v1.JobService").await, ServingStatus::NotServing);
    assert_eq!(status("runtime.v1.NodeService").await, ServingStatus::Serving);
    let both =
        v1::DrainRequest { undo: true, deadline: Some(prost_types::Duration { seconds: 1, nanos: 0 }) };
    assert_eq!(reason(&node.drain(both).await.unwrap_err()), "CONTRADICTION");
    let long =
        v1::DrainRequest { undo: false, deadline: Some(prost_types::Duration { seconds: 86_401, nanos: 0 }) };
    assert_eq!(reason(&node.drain(long).await.unwrap_err()), "BAD_DURATION");
    node.drain(v1::DrainRequest { undo: true, deadline: None }).await.unwrap();
    while status("runtime.v1.JobService").await != ServingStatus::Serving {
        tokio::task::yield_now().await;
    }
    let got =
        world.client.clone().get(v1::GetRequest { job_id: job.to_string() }).await.unwrap().into_inner();
    assert_eq!(got.job.unwrap().state(), v1::JobState::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn info_names_the_launcher_and_what_is_kept() {
    let world = world().await;
    finished(&world, spec("true"), b"12345").await;
    let mut node = NodeServiceClient::new(world.channel.clone());
    let info = node.info(v1::InfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.state(), info.problems.len()), (v1::ServingState::Serving, 0));
    assert!(info.server_generation >= 1 && info.launcher_instance.len() == 16);
    assert_eq!(info.api_level, crate::api::API_LEVEL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_can_change_only_where_there_is_a_terminal() {
    let world = world().await;
    let (_run, job, _ends) = world.running(spec("sleep"), u64::MAX).await;
    for (rows, expected) in [(0, "BAD_TERMINAL"), (24, "NO_TERMINAL")] {
        let start = v1::AttachStart { job_id: job.to_string(), ..Default::default() };
        let input = v1::job_input::Input::Resize(v1::Resize { rows, columns: 80 });
        let messages = [
            v1::attach_request::Request::Start(start),
            v1::attach_request::Request::Input(v1::JobInput { input: Some(input) }),
        ];
        let messages = messages.map(|request| v1::AttachRequest { request: Some(request) });
        let attached = world.client.clone().attach(tokio_stream::iter(messages)).await;
        let mut attached = attached.unwrap().into_inner();
        let refused = loop {
            if let Err(status) = next(&mut attached).await.expect("a word of the end") {
                break status;
            }
        };
        assert_eq!(reason(&refused), expected);
    }
    // Both were counted.
    let look = world.context.look().await;
    let page = world.context.metrics.page(&look.now, crate::metrics::Form::Prometheus);
    for line in
        ["refusals_total{reason=\"NO_TERMINAL\"} 1", "jobs{state=\"running\"} 1", "jobs_taken_total 1"]
    {
        assert!(page.contains(&format!("runtime_{line}\n")), "{line} is missing in\n{page}");
    }
    // A submit is answered after its commit.
    let submit = v1::SubmitRequest { spec: Some(spec("true")), ..Default::default() };
    world.client.clone().submit(submit).await.unwrap();
    let page = world.context.metrics.page(&look.now, crate::metrics::Form::Prometheus);
    assert!(!page.contains("runtime_store_commit_seconds_count 0\n"), "no commit was counted");
}
