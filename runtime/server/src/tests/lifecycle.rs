//! The queue, clients that go away, the way down, and who may connect.

use super::harness::{self, Plan, World, channel, reason, registry, request, spec, start, world};
use crate::jobs::{Command, End, NotFound, NotTaken, OnDisconnect, Request, Retention};
use crate::listen::Listener;
use crate::peer::Allowed;
use runtime_plan::link::{RefusalReason, ToLauncher, ToServer};
use runtime_plan::outcome::Outcome;
use runtime_proto::v1::{self, job_service_client::JobServiceClient, node_service_client::NodeServiceClient};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt;

fn on_disconnect(what: v1::OnDisconnect) -> v1::JobSpec {
    v1::JobSpec { on_disconnect: what.into(), ..spec("sleep") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_the_queue_is_refused_and_the_queue_is_served_in_order() {
    let world = world().await;
    let (mut first, first_job, first_ends) = world.running(spec("one"), 1).await;
    let (_second, _, _second_ends) = world.running(spec("two"), 1).await;
    let mut waiting = world.run(spec("three")).await;
    let info =
        NodeServiceClient::new(world.channel.clone()).info(v1::InfoRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (info.jobs_running, info.jobs_queued, info.jobs_running_max, info.jobs_queued_max),
        (2, 1, 2, 1)
    );
    let full = world.call(harness::start_message(spec("four"))).await.expect_err("a status");
    assert_eq!((full.code(), reason(&full).as_str()), (Code::ResourceExhausted, "QUEUE_FULL"));
    assert!(full.get_error_details().retry_info().is_some());
    // The launcher has heard nothing of the one that waits.
    drop(first_ends);
    world.launcher.say_finished(&first_job, Outcome::Exited { code: 0 });
    first.until_end().await;
    world.launcher.acknowledged(&first_job).await;
    let (job, spec) = world.launcher.started().await;
    assert_eq!(spec.argv, [b"three".to_vec()]);
    drop(world.launcher.accept(&job, false, 1));
    waiting.accepted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_cancelled_while_it_waits_has_an_outcome_and_never_starts() {
    let world = world().await;
    let (_first, _, _first_ends) = world.running(spec("one"), 1).await;
    let (_second, _, _second_ends) = world.running(spec("two"), 1).await;
    let mut waiting = world.run(spec("three")).await;
    let mut client = world.client.clone();
    let queued = v1::ListRequest { state: v1::JobState::Queued.into(), ..Default::default() };
    let list = client.list(queued.clone()).await.unwrap().into_inner();
    let job_id = list.jobs[0].job_id.clone();
    client
        .cancel(v1::CancelRequest { job_id: job_id.clone(), reason: "no".into(), kill: false })
        .await
        .unwrap();
    assert_eq!(waiting.accepted().await, job_id);
    let outcome = waiting.until_end().await.2.outcome.unwrap();
    let cancelled = v1::CancelledOutcome { by: "uid 1000".into(), reason: "no".into() };
    assert_eq!(outcome.cause, Some(v1::outcome::Cause::Cancelled(cancelled)));
    assert!(client.list(queued).await.unwrap().into_inner().jobs.is_empty());
    // Its place in the queue is free again.
    let _next = world.run(spec("four")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_its_job_at_once_when_it_asked_for_that() {
    let world = world().await;
    let (run, job, _ends) = world.running(on_disconnect(v1::OnDisconnect::CancelNow), 1).await;
    drop(run);
    match world.launcher.recv().await {
        ToLauncher::Cancel { job: gone, by, kill, .. } => {
            assert_eq!((gone, by.as_str(), kill), (job, "client disconnected", false));
        }
        other => panic!("no cancel: {other:?}"),
    }
}

fn continuing(command: &str) -> Request {
    Request { on_disconnect: OnDisconnect::Continue, ..request(command) }
}

#[tokio::test]
async fn without_a_client_a_job_goes_on_for_the_grace_or_for_ever() {
    let (launcher, registry, _place) = registry(Plan::default()).await;
    let stays = registry.run(continuing("stays")).await.unwrap();
    let (stays, presence) = (stays.job, stays.presence);
    drop(presence);
    let goes = registry.run(request("goes")).await.unwrap();
    let (goes, presence) = (goes.job, goes.presence);
    let mut ends = Vec::new();
    for _ in 0..2 {
        let (job, _) = launcher.started().await;
        ends.push(launcher.accept(&job, false, 1));
        launcher.say_started(&job);
    }
    for job in [&stays, &goes] {
        job.progress().wait_for(|progress| progress.started.is_some()).await.unwrap();
    }
    tokio::time::pause();
    drop(presence);
    tokio::time::sleep(Duration::from_secs(29)).await;
    let back = goes.attend();
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(back);
    tokio::time::sleep(Duration::from_secs(29)).await;
    // Nothing so far: the first message is this signal.
    stays.command(Command::Signal { signal: 1, all: true }).await.unwrap();
    tokio::time::resume();
    assert!(matches!(launcher.recv().await, ToLauncher::Signal { job, all: true, .. } if job == *stays.id()));
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert!(matches!(launcher.recv().await, ToLauncher::Cancel { job, .. } if job == *goes.id()));
}

#[tokio::test]
async fn pipes_that_stay_open_do_not_hold_back_the_end_for_ever() {
    let (launcher, registry, _place) = registry(Plan::default()).await;
    let job = registry.run(continuing("daemon")).await.unwrap().job;
    let (id, _) = launcher.started().await;
    let _open = launcher.accept(&id, false, 1);
    launcher.say_started(&id);
    launcher.say_finished(&id, Outcome::Exited { code: 0 });
    let mut progress = job.progress();
    let progress = progress.wait_for(|progress| progress.end.is_some()).await.unwrap();
    let Some(End::Finished(finished)) = &progress.end else { panic!("{:?}", progress.end) };
    assert!(finished.report.cleanup_errors[0].contains("output was cut"));
}

/// Runs jobs that write this much, one after the other, and says which are still known, with their logs.
async fn kept(retention: Retention, bytes: &[usize]) -> Vec<(bool, bool)> {
    let (launcher, registry, _place) = registry(Plan { retention, ..Plan::default() }).await;
    let mut jobs = Vec::new();
    for bytes in bytes {
        let job = registry.run(continuing("write")).await.unwrap().job;
        let (id, _) = launcher.started().await;
        let mut ends = launcher.accept(&id, false, u64::MAX);
        ends.stdout.as_mut().unwrap().write_all(&vec![b'x'; *bytes]).unwrap();
        launcher.say_finished(&id, Outcome::Exited { code: 0 });
        drop(ends);
        launcher.acknowledged(&id).await;
        jobs.push(job);
    }
    registry.expire().await.unwrap();
    let mut kept = Vec::new();
    for job in jobs {
        let known = registry.find(job.id().as_str()).await.err() != Some(NotFound::Unknown);
        let bytes = std::fs::read(job.log.join("stdout.000")).is_ok_and(|bytes| !bytes.is_empty());
        assert_eq!(job.log.exists(), known, "a record that goes takes its log along");
        kept.push((known, bytes));
    }
    kept
}

#[tokio::test]
async fn the_oldest_records_go_with_their_logs_and_the_oldest_output_of_an_org_goes_alone() {
    let few = Retention { records: 2, ..Retention::default() };
    assert_eq!(kept(few, &[1, 1, 1]).await, [(false, false), (true, true), (true, true)]);
    let small = Retention { output_bytes: 90_000, ..Retention::default() };
    assert_eq!(kept(small, &[60_000, 20_000, 20_000]).await, [(true, false), (true, true), (true, true)]);
    let young = Retention { age: Duration::ZERO, ..Retention::default() };
    assert_eq!(kept(young, &[1, 1]).await, [(true, true), (true, true)], "they ended in the future");
}

#[tokio::test]
async fn a_log_without_a_record_goes_when_records_of_its_age_would() {
    let age = Duration::from_secs(3_600);
    let plan = Plan { retention: Retention { age, ..Retention::default() }, ..Plan::default() };
    let make = |id: &str, old: Duration| {
        let log = plan.place.path().join("logs/7z").join(id);
        std::fs::create_dir_all(&log).unwrap();
        std::fs::write(log.join("stdout.000"), "precious").unwrap();
        std::fs::File::open(&log).unwrap().set_modified(std::time::SystemTime::now() - old).unwrap();
        log
    };
    let (old, young) = (make("job-old-7z", 2 * age), make("job-young-7z", age / 2));
    let (_launcher, registry, _place) = registry(plan).await;
    registry.sweep().await;
    assert!(!old.exists());
    assert_eq!(std::fs::read_to_string(young.join("stdout.000")).unwrap(), "precious");
}

#[tokio::test]
async fn a_job_that_is_over_can_be_deleted_and_one_that_is_not_cannot() {
    use crate::jobs::NotDeleted;
    let (launcher, registry, _place) = registry(Plan::default()).await;
    let job = registry.submit(request("true")).await.unwrap().job;
    let id = job.id().as_str();
    assert_eq!(registry.delete(id).await, Err(NotDeleted::NotFinished));
    let (started, _) = launcher.started().await;
    drop(launcher.accept(&started, false, 1));
    launcher.say_finished(&started, Outcome::Exited { code: 0 });
    launcher.acknowledged(&started).await;
    job.progress().wait_for(|progress| progress.end.is_some()).await.unwrap();
    assert_eq!(registry.delete(id).await, Ok(()));
    assert_eq!(registry.delete(id).await, Err(NotDeleted::Unknown));
    assert!(!job.log.exists());
}

#[tokio::test]
async fn orgs_share_the_places_and_none_has_more_than_its_own() {
    let (launcher, registry, _place) = registry(Plan { org_running_max: Some(1), ..Plan::default() }).await;
    let of = |org: &str, command: &str| Request { org: org.to_owned(), ..continuing(command) };
    let _first = registry.run(of("a", "a1")).await.unwrap();
    let (a1, spec) = launcher.started().await;
    assert_eq!(spec.argv, [b"a1".to_vec()]);
    let _second = registry.run(of("a", "a2")).await.unwrap();
    assert!(matches!(registry.run(of("a", "a3")).await, Err(NotTaken::QueueFull { .. })));
    let _other = registry.run(of("b", "b1")).await.unwrap();
    let (_b1, spec) = launcher.started().await;
    assert_eq!(spec.argv, [b"b1".to_vec()]);
    drop(launcher.accept(&a1, false, 1));
    launcher.say_finished(&a1, Outcome::Exited { code: 0 });
    launcher.acknowledged(&a1).await;
    let (_a2, spec) = launcher.started().await;
    assert_eq!(spec.argv, [b"a2".to_vec()]);
}

#[tokio::test]
async fn a_submitted_job_that_the_launcher_refuses_has_an_outcome_and_one_without_room_waits() {
    let (launcher, registry, _place) = registry(Plan::default()).await;
    let job = registry.submit(request("true")).await.unwrap().job;
    let (id, _) = launcher.started().await;
    launcher.refuse(&id, RefusalReason::TooManyJobs, "no room");
    let (again, _) = launcher.started().await;
    assert_eq!(again, id);
    launcher.refuse(&id, RefusalReason::UnknownProfile, "no such profile");
    let mut progress = job.progress();
    let progress = progress.wait_for(|progress| progress.end.is_some()).await.unwrap();
    let Some(End::Finished(finished)) = &progress.end else { panic!("{:?}", progress.end) };
    let Outcome::SpawnFailed(failure) = &finished.report.outcome else { panic!("{finished:?}") };
    assert_eq!((failure.message.as_str(), failure.exit_status), ("no such profile", 125));
}

#[tokio::test]
async fn the_deadline_of_a_drain_cancels_what_runs_and_a_drain_that_was_undone_does_not() {
    let (launcher, registry, _place) = registry(Plan::default()).await;
    let _taken = registry.run(continuing("sleep")).await.unwrap();
    let (id, _) = launcher.started().await;
    let _ends = launcher.accept(&id, false, 1);
    launcher.say_started(&id);
    registry.drain(Some(Duration::from_millis(1)));
    registry.undo_drain();
    registry.drain(Some(Duration::from_millis(50)));
    assert!(matches!(registry.run(continuing("more")).await, Err(NotTaken::Draining)));
    match launcher.recv().await {
        ToLauncher::Cancel { job, by, .. } => assert_eq!((job, by.as_str()), (id, "drain")),
        other => panic!("no cancel: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_way_down_jobs_end_streams_are_told_and_new_jobs_refused() {
    let mut world = world().await;
    let (mut first, job, ends) = world.running(spec("one"), u64::MAX).await;
    let (mut second, second_job, second_ends) = world.running(spec("two"), u64::MAX).await;
    let mut waiting = world.run(spec("three")).await;
    world.launcher.send(&ToServer::ShutDown, &[]);
    // The one that waits stays on disk for another server.
    let postponed = waiting.try_next().await.unwrap_err();
    assert_eq!((postponed.code(), reason(&postponed).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    let refused = world.call(harness::start_message(spec("four"))).await.expect_err("a status");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    for (run, job, ends) in [(&mut first, job, ends), (&mut second, second_job, second_ends)] {
        drop(ends);
        world
            .launcher
            .say_finished(&job, Outcome::Cancelled { by: "shutdown".into(), reason: String::new() });
        run.until_end().await;
        world.launcher.acknowledged(&job).await;
    }
    assert!(matches!(world.launcher.recv().await, ToLauncher::Goodbye));
    (&mut world.server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_launcher_every_stream_ends_and_so_does_the_server() {
    let world = world().await;
    let (mut run, _job, _ends) = world.running(spec("one"), 1).await;
    let World { launcher, server, client, channel, runtime: _runtime, .. } = world;
    drop(launcher);
    let status = run.try_next().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "LAUNCHER_GONE"));
    drop((run, client, channel));
    assert!(server.await.unwrap().is_err());
}

async fn over_unix(allowed: Allowed) -> Result<v1::InfoResponse, tonic::Status> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("api.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let _world = start(Plan { listeners: vec![listener], allowed, ..Plan::default() }).await;
    let socket: OwnedFd = std::os::unix::net::UnixStream::connect(&path).unwrap().into();
    let mut client = NodeServiceClient::new(channel(socket).await);
    Ok(client.info(v1::InfoRequest {}).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_says_who_connects_to_a_unix_socket() {
    let me = runtime_sys::process::effective_uid();
    let info = over_unix(Allowed { owner_uid: me, socket_gid: None }).await.unwrap();
    assert_eq!(info.server_generation, 1);
    if me == 0 {
        // Root is always allowed; that others are not is a table beside `Allowed`.
        return;
    }
    let refused = over_unix(Allowed { owner_uid: me + 1, socket_gid: None }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn only_loopback_is_served_over_tcp() {
    let open = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    assert!(Listener::tcp(open.into()).is_err());
    let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = local.local_addr().unwrap();
    let world = start(Plan { tcp: vec![local], ..Plan::default() }).await;
    let socket = std::net::TcpStream::connect(address).unwrap();
    let socket = std::os::unix::net::UnixStream::from(OwnedFd::from(socket));
    let mut client = JobServiceClient::new(channel(socket.into()).await);
    let list = client.list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert!(list.jobs.is_empty());
    drop(world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_answer() {
    let world = world().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(world.channel.clone());
    for service in ["", "runtime.v1.JobService", "runtime.v1.NodeService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    }
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let question = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(
        world.channel.clone(),
    );
    let mut answers =
        reflection.server_reflection_info(tokio_stream::once(question)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = answer else { panic!("{answer:?}") };
    let names: Vec<String> = services.service.into_iter().map(|service| service.name).collect();
    for name in ["runtime.v1.JobService", "runtime.v1.NodeService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|listed| listed == name), "{names:?}");
    }
}
