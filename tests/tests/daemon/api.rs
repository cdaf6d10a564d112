//! The API as any client sees it: health, reflection, facts, the order of events.

use crate::start;
use runtime_proto::v1::{
    InfoRequest, JobSpec, ListRequest, OutputStream, ProfilesRequest, RunRequest, RunResponse, RunStart,
    WallState, job_service_client::JobServiceClient, node_service_client::NodeServiceClient, run_request,
    run_response::Event,
};
use runtime_tests::{Daemon, Stage, Who, stories};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

stories!(
    health_says_serving,
    reflection_lists_the_services,
    the_node_tells_its_facts_and_bounds,
    events_come_in_order_and_output_has_no_gap,
    a_plan_can_be_asked_for,
    pages_of_jobs_follow_each_other,
);

/// Does something asynchronous with a daemon of its own.
pub fn with_daemon<F: Future<Output = ()>>(stage: &Stage, act: impl FnOnce(Channel) -> F) {
    let daemon = start(stage);
    on(async { act(connect(&daemon).await).await });
}

/// Runs it to its end.
pub fn on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

/// A connection of its own.
pub async fn connect(daemon: &Daemon<'_>) -> Channel {
    let address = format!("unix:{}", daemon.socket().display());
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

/// What to run: a shell script in scratch, the rest as the profile says.
pub fn spec(script: &str) -> JobSpec {
    let argv = ["sh", "-c", script].map(|word| word.as_bytes().to_vec().into());
    JobSpec { argv: argv.to_vec(), ..JobSpec::default() }
}

/// The first message of `Run`.
pub fn first(spec: JobSpec) -> RunRequest {
    RunRequest {
        request: Some(run_request::Request::Start(RunStart { spec: Some(spec), ..RunStart::default() })),
    }
}

/// Runs a job whose client says nothing after the first message; all that comes back.
pub async fn run(channel: &Channel, request: RunRequest) -> Vec<Event> {
    let mut client = JobServiceClient::new(channel.clone());
    let stream = client.run(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answers: Vec<RunResponse> = stream.map(|answer| answer.unwrap()).collect().await;
    answers.into_iter().filter_map(|answer| answer.event).collect()
}

fn health_says_serving(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let mut client = HealthClient::new(channel);
        for service in ["", "runtime.v1.JobService", "runtime.v1.NodeService"] {
            let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
            assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service:?}");
        }
        let unknown = client.check(HealthCheckRequest { service: "no.such.Service".to_owned() }).await;
        assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
    });
}

fn reflection_lists_the_services(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let mut client = ServerReflectionClient::new(channel);
        let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let questions = [
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol("runtime.v1.JobService".to_owned())),
        ];
        let stream = client.server_reflection_info(tokio_stream::iter(questions)).await.unwrap().into_inner();
        let answers: Vec<_> = stream.map(|answer| answer.unwrap().message_response.unwrap()).collect().await;
        let MessageResponse::ListServicesResponse(listed) = &answers[0] else { panic!("{:?}", answers[0]) };
        let names: Vec<&str> = listed.service.iter().map(|service| service.name.as_str()).collect();
        for name in ["runtime.v1.JobService", "runtime.v1.NodeService", "grpc.health.v1.Health"] {
            assert!(names.contains(&name), "{names:?}");
        }
        let MessageResponse::FileDescriptorResponse(file) = &answers[1] else { panic!("{:?}", answers[1]) };
        assert!(!file.file_descriptor_proto.is_empty());
    });
}

fn the_node_tells_its_facts_and_bounds(stage: &Stage) {
    let rootful = stage.who() == Who::Root;
    with_daemon(stage, |channel| async move {
        let mut client = NodeServiceClient::new(channel);
        let info = client.info(InfoRequest {}).await.unwrap().into_inner();
        assert_eq!(
            (info.api_level, info.rootful, info.version.as_str()),
            (2, rootful, env!("CARGO_PKG_VERSION"))
        );
        assert_eq!((info.jobs_running_max, info.jobs_queued_max, info.jobs_running), (64, 1024, 0));
        assert_eq!(info.ceilings.unwrap().memory_bytes, Some(16 << 30));
        assert!(info.cpus >= 1 && !info.kernel.is_empty());
        assert_eq!(info.request_bytes_max, 4 << 20);
        let profiles = client.profiles(ProfilesRequest {}).await.unwrap().into_inner().profiles;
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        for name in ["build", "debug", "default", "node", "python", "shell", "strict"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(names.is_sorted());
    });
}

fn events_come_in_order_and_output_has_no_gap(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let script =
            "for i in 1 2 3 4 5 6 7 8; do head -c 100000 /dev/zero; head -c 1000 /dev/zero >&2; done; exit 3";
        let events = run(&channel, first(spec(script))).await;
        let Event::Accepted(accepted) = &events[0] else { panic!("{:?}", events[0]) };
        assert!(accepted.job_id.starts_with("job-") && accepted.job_id.len() == 30, "{}", accepted.job_id);
        let Event::Started(started) = &events[1] else { panic!("{:?}", events[1]) };
        let walls = &started.enforcement.as_ref().unwrap().walls;
        assert_eq!(walls.len(), 17);
        assert!(walls.iter().any(|wall| wall.wall == "seccomp" && wall.state() == WallState::Up));
        let mut seen = [0, 0];
        for event in &events[2..events.len() - 1] {
            let Event::Output(chunk) = event else { panic!("{event:?}") };
            let stream = usize::from(chunk.stream() == OutputStream::Stderr);
            assert_eq!(chunk.offset_bytes, seen[stream], "no gap and nothing twice");
            assert!(chunk.data.len() <= 256 << 10 && !chunk.data.is_empty() && chunk.time.is_some());
            seen[stream] += chunk.data.len() as u64;
        }
        assert_eq!(seen, [800_000, 8_000]);
        let Some(Event::Finished(finished)) = events.last() else { panic!("{:?}", events.last()) };
        let outcome = finished.outcome.as_ref().unwrap();
        assert_eq!((outcome.exit_status, outcome.stdout_bytes, outcome.stderr_bytes), (3, 800_000, 8_000));
    });
}

fn a_plan_can_be_asked_for(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let start = RunStart { spec: Some(spec("exit 0")), validate_only: true, ..RunStart::default() };
        let request = RunRequest { request: Some(run_request::Request::Start(start)) };
        let events = run(&channel, request).await;
        let [Event::Planned(planned)] = events.as_slice() else { panic!("{events:?}") };
        let plan: serde_json::Value = serde_json::from_str(&planned.plan_json).unwrap();
        assert_eq!(plan["walls"]["seccomp"], "required");
        let listed = JobServiceClient::new(channel).list(ListRequest::default()).await.unwrap().into_inner();
        assert_eq!(listed.jobs.len(), 0, "nothing ran");
    });
}

fn pages_of_jobs_follow_each_other(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let mut ids = Vec::new();
        for _ in 0..5 {
            let events = run(&channel, first(spec("exit 0"))).await;
            let Event::Accepted(accepted) = &events[0] else { panic!("{:?}", events[0]) };
            ids.insert(0, accepted.job_id.clone());
        }
        let mut client = JobServiceClient::new(channel);
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListRequest { page_size: 2, page_token, ..ListRequest::default() };
            let page = client.list(request).await.unwrap().into_inner();
            assert!(page.jobs.len() <= 2);
            seen.extend(page.jobs.into_iter().map(|job| job.job_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ids, "newest first, each once");
    });
}
