//! Servers that die, and the next ones: the same launcher, the same directory.

use super::harness::{
    Crashed, Plan, Run, STARTED_US, World, reason, spec, start, start_message, welcome, world,
};
use crate::faults::Faults;
use crate::jobs::state::State;
use runtime_plan::fault::{CrashStep, Fault};
use runtime_plan::link::{ToLauncher, ToServer, VERSION};
use runtime_plan::outcome::Outcome;
use runtime_proto::v1::{self, attach_response, job_input::Input, run_response};
use std::io::{Read, Write};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

fn keyed(spec: v1::JobSpec, key: &str) -> v1::RunRequest {
    let start = v1::RunStart { spec: Some(spec), idempotency_key: key.to_owned(), ..Default::default() };
    v1::RunRequest { request: Some(v1::run_request::Request::Start(start)) }
}

async fn submit(world: &World, spec: v1::JobSpec, key: &str) -> Result<v1::SubmitResponse, Status> {
    let request =
        v1::SubmitRequest { spec: Some(spec), idempotency_key: key.to_owned(), validate_only: false };
    Ok(world.client.clone().submit(request).await?.into_inner())
}

async fn get(world: &World, id: &str) -> v1::Job {
    let request = v1::GetRequest { job_id: id.to_owned() };
    world.client.clone().get(request).await.unwrap().into_inner().job.unwrap()
}

async fn wait(world: &World, id: &str) -> v1::Job {
    let request = v1::WaitRequest { job_id: id.to_owned(), timeout: None };
    world.client.clone().wait(request).await.unwrap().into_inner().job.unwrap()
}

fn lost(job: &v1::Job) -> String {
    match job.outcome.clone().unwrap().cause {
        Some(v1::outcome::Cause::Lost(lost)) => lost.why,
        other => panic!("not lost: {other:?}"),
    }
}

/// All output from this byte of stdout on, up to the end.
async fn read_from(world: &World, id: &str, stdout_offset_bytes: u64) -> Vec<u8> {
    let start = v1::AttachStart { job_id: id.to_owned(), stdout_offset_bytes, stderr_offset_bytes: 0 };
    let (requests, outgoing) = mpsc::channel(4);
    let first = v1::AttachRequest { request: Some(v1::attach_request::Request::Start(start)) };
    requests.send(first).await.unwrap();
    let mut responses =
        world.client.clone().attach(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(response) = responses.message().await.unwrap() {
        if let Some(attach_response::Event::Output(chunk)) = response.event {
            assert_eq!(chunk.offset_bytes, stdout_offset_bytes + bytes.len() as u64);
            bytes.extend_from_slice(&chunk.data);
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_runs_is_taken_over_with_its_output_stdin_and_end() {
    let first = world().await;
    let (mut run, job, mut ends) = first.running(v1::JobSpec { stdin: true, ..spec("cat") }, u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(b"before ").unwrap();
    assert_eq!(&run.output().await.data[..], b"before ");
    let crashed = first.crash().await;
    assert!(run.try_next().await.is_err());
    // Nobody is there: it waits in the pipe.
    ends.stdout.as_mut().unwrap().write_all(b"meanwhile ").unwrap();
    let second = crashed.restart().await;
    let adopted = get(&second, job.as_str()).await;
    assert_eq!((adopted.state(), adopted.adoptions), (v1::JobState::Running, 1));
    assert_eq!(adopted.start_time.unwrap().seconds, i64::try_from(STARTED_US / 1_000_000).unwrap());
    // The client comes back, reads on from where it was, and feeds it.
    let start = v1::AttachStart { job_id: job.to_string(), stdout_offset_bytes: 7, stderr_offset_bytes: 0 };
    let (requests, outgoing) = mpsc::channel(4);
    let first = v1::AttachRequest { request: Some(v1::attach_request::Request::Start(start)) };
    requests.send(first).await.unwrap();
    let mut responses =
        second.client.clone().attach(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
    assert!(matches!(
        responses.message().await.unwrap().unwrap().event,
        Some(attach_response::Event::Job(_))
    ));
    let output = responses.message().await.unwrap().unwrap().event;
    assert!(
        matches!(output, Some(attach_response::Event::Output(chunk)) if &chunk.data[..] == b"meanwhile ")
    );
    for input in [Input::Stdin("typed".into()), Input::CloseStdin(v1::CloseStdin {})] {
        let input = v1::JobInput { input: Some(input) };
        let message = v1::AttachRequest { request: Some(v1::attach_request::Request::Input(input)) };
        requests.send(message).await.unwrap();
    }
    assert!(matches!(second.launcher.recv().await, ToLauncher::CloseStdin { .. }));
    let mut pipe = ends.stdin.take().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    assert_eq!(read.await.unwrap().unwrap(), b"typed");
    ends.stdout.as_mut().unwrap().write_all(b"after").unwrap();
    second.launcher.say_finished(&job, Outcome::Exited { code: 9 });
    drop(ends);
    second.launcher.acknowledged(&job).await;
    let over = wait(&second, job.as_str()).await;
    assert_eq!((over.outcome.unwrap().exit_status, over.stdout_bytes, over.adoptions), (9, 22, 1));
    assert_eq!(read_from(&second, job.as_str(), 0).await, b"before meanwhile after");
    assert_eq!(second.launcher.holds(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_ended_while_no_server_was_there_ends_with_all_that_it_wrote() {
    let first = world().await;
    let (_run, job, mut ends) = first.running(spec("echo"), u64::MAX).await;
    let crashed = first.crash().await;
    ends.stdout.as_mut().unwrap().write_all(b"last words").unwrap();
    drop(ends);
    crashed.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    let second = crashed.restart().await;
    second.launcher.acknowledged(&job).await;
    let over = wait(&second, job.as_str()).await;
    assert_eq!((over.outcome.unwrap().exit_status, over.adoptions), (0, 1));
    assert_eq!(read_from(&second, job.as_str(), 0).await, b"last words");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_taken_over_and_what_was_typed_and_shown_goes_on() {
    let first = world().await;
    let terminal = Some(v1::Terminal { rows: 24, columns: 80, term: "xterm".to_owned() });
    let mut run = first.run(v1::JobSpec { terminal, ..spec("sh") }).await;
    let (job, _) = first.launcher.started().await;
    first.launcher.accept_terminal(&job);
    run.accepted().await;
    let master = runtime_sys::terminal::open_master(c"/dev/ptmx").unwrap();
    let slave = runtime_sys::terminal::open_slave(std::os::fd::AsFd::as_fd(&master)).unwrap();
    let mut slave = std::fs::File::from(slave);
    first.launcher.say_started_with(&job, Some(master));
    assert!(matches!(run.next().await, run_response::Event::Started(_)));
    slave.write_all(b"one").unwrap();
    assert_eq!(&run.output().await.data[..], b"one");
    let crashed = first.crash().await;
    slave.write_all(b" two").unwrap();
    let second = crashed.restart().await;
    drop(slave);
    second.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    second.launcher.acknowledged(&job).await;
    assert_eq!(read_from(&second, job.as_str(), 0).await, b"one two");
}

/// A world whose first server crashes at this step.
async fn crashing(step: CrashStep) -> (World, mpsc::UnboundedReceiver<Option<CrashStep>>) {
    let (tell, told) = mpsc::unbounded_channel();
    let plan = Plan::default();
    let faults = Faults::telling(vec![Fault::CrashAt(step)], plan.place.path(), tell);
    (start(Plan { faults, ..plan }).await, told)
}

async fn crash_when_told(world: World, mut told: mpsc::UnboundedReceiver<Option<CrashStep>>) -> Crashed {
    tokio::time::timeout(super::harness::PATIENCE, told.recv()).await.expect("a crash in time").unwrap();
    world.crash().await
}

fn step_at(step: CrashStep) -> usize {
    CrashStep::ALL.iter().position(|one| *one == step).unwrap()
}

/// Crashes the server of a submitted job at a step, and brings the job to its end with the next one.
async fn survives(step: CrashStep) {
    let (first, told) = crashing(step).await;
    let mut client = first.client.clone();
    let request = v1::SubmitRequest {
        spec: Some(spec("work")),
        idempotency_key: "once".to_owned(),
        validate_only: false,
    };
    let submitting = tokio::spawn(async move { client.submit(request).await });
    let mut ends = None;
    if step_at(step) > step_at(CrashStep::StartSent) {
        let (job, _) = first.launcher.started().await;
        let mut pipes = first.launcher.accept(&job, false, u64::MAX);
        pipes.stdout.as_mut().unwrap().write_all(b"written").unwrap();
        first.launcher.say_started(&job);
        if step_at(step) > step_at(CrashStep::OutputStored) {
            first.launcher.say_finished(&job, Outcome::Exited { code: 4 });
            drop(pipes);
            ends = Some((job, None));
        } else {
            ends = Some((job, Some(pipes)));
        }
    }
    let crashed = crash_when_told(first, told).await;
    // The launcher goes on with what it has read.
    let mut asked = crashed.said.iter().find_map(|said| match said {
        ToLauncher::Start { job, .. } => Some(job.clone()),
        _ => None,
    });
    if ends.is_none()
        && let Some(job) = asked.take()
    {
        let mut pipes = crashed.launcher.accept(&job, false, u64::MAX);
        pipes.stdout.as_mut().unwrap().write_all(b"written").unwrap();
        crashed.launcher.say_started(&job);
        ends = Some((job, Some(pipes)));
    }
    let second = crashed.restart().await;
    let (job, pipes) = match ends {
        Some(ends) => ends,
        None => {
            // Nobody had been asked: it is started now.
            let (job, _) = second.launcher.started().await;
            let mut pipes = second.launcher.accept(&job, false, u64::MAX);
            pipes.stdout.as_mut().unwrap().write_all(b"written").unwrap();
            second.launcher.say_started(&job);
            (job, Some(pipes))
        }
    };
    if let Some(pipes) = pipes {
        second.launcher.say_finished(&job, Outcome::Exited { code: 4 });
        drop(pipes);
    }
    let over = wait(&second, job.as_str()).await;
    assert_eq!(over.outcome.unwrap().exit_status, 4, "{step:?}");
    assert_eq!(read_from(&second, job.as_str(), 0).await, b"written", "{step:?}");
    // One job, whatever happened: the key says so.
    let again = submit(&second, spec("work"), "once").await.unwrap();
    assert_eq!((again.known, again.job.unwrap().job_id), (true, job.to_string()), "{step:?}");
    let all = second.client.clone().list(v1::ListRequest::default()).await.unwrap().into_inner().jobs;
    assert_eq!(all.len(), 1, "{step:?}");
    while second.launcher.holds() > 0 {
        second.launcher.recv().await;
    }
    drop(submitting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_changes_nothing_about_the_outcome() {
    for step in CrashStep::ALL {
        survives(step).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_no_disk_has_seen_is_adopted_from_what_the_launcher_kept() {
    let first = world().await;
    let (_run, job, ends) = first
        .running(v1::JobSpec { labels: [("a".to_owned(), "b".to_owned())].into(), ..spec("true") }, 1)
        .await;
    // A list waits for the disk: the record is there, and can be taken away.
    first.client.clone().list(v1::ListRequest::default()).await.unwrap();
    let crashed = first.crash().await;
    // As if the record had not been written before the crash.
    let store =
        crate::store::Store::open(crashed.place.path(), crate::store::StoreOptions::default()).unwrap();
    assert!(store.delete(job.as_str()).await.unwrap());
    store.close().await;
    let second = crashed.restart().await;
    let adopted = get(&second, job.as_str()).await;
    assert_eq!((adopted.labels["a"].as_str(), &adopted.argv[0][..]), ("b", &b"true"[..]));
    second.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    second.launcher.acknowledged(&job).await;
    assert_eq!(wait(&second, job.as_str()).await.state(), v1::JobState::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_wait_keep_their_order_over_a_crash_and_over_a_launcher() {
    let policy = |running: u32| {
        let mut welcome = welcome(VERSION);
        (welcome.rules.policy.jobs_running_max, welcome.rules.policy.jobs_queued_max) = (running, 10);
        welcome
    };
    let first = start(Plan { welcome: policy(1), ..Plan::default() }).await;
    let mut ids = Vec::new();
    for (command, priority) in [("runs", 0), ("third", 0), ("first", 5), ("fourth", 0), ("second", 1)] {
        let answer = submit(&first, v1::JobSpec { priority, ..spec(command) }, "").await.unwrap();
        ids.push(answer.job.unwrap().job_id);
    }
    let (running, _) = first.launcher.started().await;
    let ends = first.launcher.accept(&running, false, 1);
    let crashed = first.crash().await;
    let second = crashed.restart().await;
    drop(ends);
    second.launcher.say_finished(&running, Outcome::Exited { code: 0 });
    second.launcher.acknowledged(&running).await;
    let mut order = Vec::new();
    for _ in 0..2 {
        let (job, spec) = second.launcher.started().await;
        order.push(String::from_utf8(spec.argv[0].clone()).unwrap());
        drop(second.launcher.accept(&job, false, 1));
        second.launcher.say_finished(&job, Outcome::Exited { code: 0 });
        second.launcher.acknowledged(&job).await;
    }
    // The one whose turn it is now is with the launcher when that dies.
    let (third, _) = second.launcher.started().await;
    let crashed = second.crash().await;
    crashed.launcher.die("boot");
    let last = crashed.restart().await;
    assert_eq!(lost(&wait(&last, third.as_str()).await), "launcher_died");
    let (_, spec) = last.launcher.started().await;
    order.push(String::from_utf8(spec.argv[0].clone()).unwrap());
    assert_eq!(order, ["first", "second", "fourth"]);
}

async fn after_the_launcher(boot_id: &str) -> Vec<String> {
    let first = world().await;
    let (_run, running, _ends) = first.running(spec("sleep"), 1).await;
    let (_run, starting, _ends2) = first.running(spec("sleep"), 1).await;
    let secret = v1::EnvironmentVariable { name: "TOKEN".into(), value: "hidden".into() };
    let waits = submit(&first, v1::JobSpec { env: vec![secret], ..spec("waits") }, "").await.unwrap();
    let crashed = first.crash().await;
    for file in ["store.sqlite", "store.sqlite-wal"] {
        let bytes = std::fs::read(crashed.place.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"hidden"), "{file}");
    }
    crashed.launcher.die(boot_id);
    let second = crashed.restart().await;
    let mut whys = Vec::new();
    for id in [running.as_str(), starting.as_str(), &waits.job.unwrap().job_id] {
        whys.push(lost(&wait(&second, id).await));
    }
    whys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_their_launcher_jobs_are_lost_and_it_is_said_why() {
    assert_eq!(after_the_launcher("boot").await, ["launcher_died", "launcher_died", "env_not_kept"]);
    assert_eq!(after_the_launcher("another boot").await, ["host_rebooted", "host_rebooted", "env_not_kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_names_the_same_job_over_a_restart_and_no_other_spec() {
    let first = world().await;
    let mut run = first.call(keyed(spec("work"), "k")).await.unwrap();
    let (job, _) = first.launcher.started().await;
    let mut ends = first.launcher.accept(&job, false, u64::MAX);
    first.launcher.say_started(&job);
    assert_eq!(run.accepted().await, job.as_str());
    ends.stdout.as_mut().unwrap().write_all(b"out").unwrap();
    let second = first.crash().await.restart().await;
    let mut again = second.call(keyed(spec("work"), "k")).await.unwrap();
    assert_eq!(again.accepted().await, job.as_str());
    let conflict = second.call(keyed(spec("other"), "k")).await.expect_err("a status");
    assert_eq!((conflict.code(), reason(&conflict).as_str()), (Code::AlreadyExists, "KEY_CONFLICT"));
    second.launcher.say_finished(&job, Outcome::Exited { code: 2 });
    drop(ends);
    assert!(matches!(again.next().await, run_response::Event::Started(_)));
    let (out, _, finished) = again.until_end().await;
    assert_eq!((&out[..], finished.outcome.unwrap().exit_status), (&b"out"[..], 2));
    second.launcher.acknowledged(&job).await;
    // And once more, long after its end.
    let third = second.crash().await.restart().await;
    let mut replay = third.call(keyed(spec("work"), "k")).await.unwrap();
    assert_eq!(replay.accepted().await, job.as_str());
    assert!(matches!(replay.next().await, run_response::Event::Started(_)));
    assert_eq!(replay.until_end().await.0, b"out");
    drop(run);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_time_to_come_back_to_a_server_that_crashed() {
    let first = world().await;
    let now = v1::JobSpec { on_disconnect: v1::OnDisconnect::CancelNow.into(), ..spec("sleep") };
    let (_run, job, _ends) = first.running(now, 1).await;
    let crashed = first.crash().await;
    assert!(!crashed.said.iter().any(|said| matches!(said, ToLauncher::Cancel { .. })));
    let second = crashed.restart().await;
    // It is there, without a client and without a cancel: the first word about it is this signal.
    let request = v1::SignalRequest { job_id: job.to_string(), signal: 10, all_processes: false };
    second.client.clone().signal(request).await.unwrap();
    assert!(matches!(second.launcher.recv().await, ToLauncher::Signal { signal: 10, .. }));
    // Whoever comes back and goes again has gone.
    let attached = second.registry.find(job.as_str()).await.unwrap().attend();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    drop(attached);
    assert!(
        matches!(second.launcher.recv().await, ToLauncher::Cancel { by, .. } if by == "client disconnected")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_to_leave_leaves_its_jobs_and_the_next_one_has_them() {
    let first = world().await;
    // Even one that dies with its client: the client has not gone.
    let one = v1::JobSpec { on_disconnect: v1::OnDisconnect::CancelNow.into(), ..spec("one") };
    let (mut run, job, mut ends) = first.running(one, u64::MAX).await;
    let (_second_run, other, _other_ends) = first.running(spec("two"), 1).await;
    let waits = submit(&first, spec("three"), "").await.unwrap().job.unwrap().job_id;
    first.launcher.send(&ToServer::Retire, &[]);
    let left = run.try_next().await.unwrap_err();
    assert_eq!((left.code(), reason(&left).as_str()), (Code::Unavailable, "SERVER_RESTARTING"));
    assert!(matches!(first.launcher.recv().await, ToLauncher::Goodbye));
    let second = first.crash().await.restart().await;
    ends.stdout.as_mut().unwrap().write_all(b"still here").unwrap();
    drop(ends);
    second.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    second.launcher.acknowledged(&job).await;
    assert_eq!(read_from(&second, job.as_str(), 0).await, b"still here");
    let (started, _) = second.launcher.started().await;
    assert_eq!(started.as_str(), waits);
    assert_eq!(get(&second, other.as_str()).await.state(), v1::JobState::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_new_jobs_and_loses_nothing_of_those_that_run() {
    let plan = Plan::default();
    let (tell, _told) = mpsc::unbounded_channel();
    let faults = Faults::telling(vec![Fault::DiskFullAfter(10)], plan.place.path(), tell);
    let world = start(Plan { faults, ..plan }).await;
    let (mut run, job, mut ends) = world.running(spec("write"), u64::MAX).await;
    let (_other_run, other, other_ends) = world.running(spec("other"), u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(b"0123456789").unwrap();
    assert_eq!(run.output().await.data.len(), 10);
    ends.stdout.as_mut().unwrap().write_all(b"more").unwrap();
    let refused = loop {
        match world.call(start_message(spec("new"))).await {
            Err(status) if reason(&status) == "STATE_FULL" => break status,
            Err(status) => assert_eq!(reason(&status), "QUEUE_FULL"),
            // Nobody has looked yet: it waits for a place.
            Ok(Run { .. }) => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    world.launcher.say_finished(&other, Outcome::Exited { code: 3 });
    drop(other_ends);
    let mut progress = world.registry.find(other.as_str()).await.unwrap().progress();
    progress.wait_for(|progress| progress.state == State::Committing).await.unwrap();
    assert!(progress.borrow().end.is_none(), "nobody is told of an outcome that is not on disk");
    std::fs::write(world.place.path().join("fault-space"), "").unwrap();
    progress.wait_for(|progress| progress.end.is_some()).await.unwrap();
    drop(ends);
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    let (out, ..) = run.until_rest(10).await;
    assert_eq!(out, b"more");
    // And jobs are taken again.
    loop {
        match submit(&world, spec("again"), "").await {
            Ok(_) => break,
            Err(status) => {
                assert!(["STATE_FULL", "QUEUE_FULL"].contains(&reason(&status).as_str()), "{status:?}")
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_without_a_record_go_and_a_job_that_only_wants_its_record_kept_loses_its_log() {
    let first = world().await;
    let keep = v1::JobSpec { keep: v1::Keep::Record.into(), ..spec("write") };
    let (mut run, job, mut ends) = first.running(keep, u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(b"gone soon").unwrap();
    first.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    run.until_end().await;
    first.launcher.acknowledged(&job).await;
    let place = crate::logs::place::Place::new(first.place.path());
    let stray = place.prepare("job-stray").unwrap();
    std::fs::create_dir(&stray).unwrap();
    // Only one that is older than records may be: a younger one may have lost its record.
    std::fs::File::open(&stray).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let second = first.crash().await.restart().await;
    while stray.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // Its time has not come: its end lies in the future, as the launcher of these tests has it.
    assert_eq!(read_from(&second, job.as_str(), 0).await, b"gone soon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdin_that_was_closed_stays_closed() {
    let first = world().await;
    let (run, job, ends) = first.running(v1::JobSpec { stdin: true, ..spec("cat") }, u64::MAX).await;
    drop(run.requests);
    assert!(matches!(first.launcher.recv().await, ToLauncher::CloseStdin { .. }));
    let second = first.crash().await.restart().await;
    assert!(!get(&second, job.as_str()).await.stdin_open);
    drop(ends);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_job_that_was_not_acknowledged_is_acknowledged_and_not_taken_over_again() {
    let (first, told) = crashing(CrashStep::FinishedCommitted).await;
    submit(&first, spec("true"), "").await.unwrap();
    let (job, _) = first.launcher.started().await;
    drop(first.launcher.accept(&job, false, 1));
    first.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    let crashed = crash_when_told(first, told).await;
    assert_eq!(crashed.launcher.holds(), 1);
    let second = crashed.restart().await;
    assert!(matches!(&second.before[..], [ToLauncher::Acknowledge { job: over }] if *over == job));
    assert_eq!(get(&second, job.as_str()).await.adoptions, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_comes_back_with_its_client_and_without_a_key_it_is_forgotten() {
    let first = world().await;
    let (_one, job, ends) = first.running(spec("one"), 1).await;
    let (_two, _, _ends2) = first.running(spec("two"), 1).await;
    let _waits = first.call(keyed(spec("waits"), "k")).await.unwrap();
    let queued = v1::ListRequest { state: v1::JobState::Queued.into(), ..Default::default() };
    let mut client = first.client.clone();
    let id = client.list(queued).await.unwrap().into_inner().jobs[0].job_id.clone();
    let second = first.crash().await.restart().await;
    drop(ends);
    second.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    second.launcher.acknowledged(&job).await;
    // There is room, and yet it waits: for its client.
    let _more = second.run(spec("more")).await;
    let (more, spec_of_more) = second.launcher.started().await;
    assert_eq!(spec_of_more.argv, [b"more".to_vec()]);
    let _back = second.call(keyed(spec("waits"), "k")).await.unwrap();
    drop(second.launcher.accept(&more, false, 1));
    second.launcher.say_finished(&more, Outcome::Exited { code: 0 });
    second.launcher.acknowledged(&more).await;
    assert_eq!(second.launcher.started().await.0.as_str(), id);
    // On the way down, the one with a key stays on disk, and the one that nobody could find again goes.
    let mut nameless = second.run(spec("nameless")).await;
    second.launcher.send(&ToServer::ShutDown, &[]);
    assert_eq!(reason(&nameless.try_next().await.unwrap_err()), "SHUTTING_DOWN");
    let place = second.crash().await.place;
    let store = crate::store::Store::open(place.path(), crate::store::StoreOptions::default()).unwrap();
    let kept = store.unfinished().await.unwrap();
    assert!(kept.iter().all(|row| row.key.is_some() || row.state != crate::store::RowState::Queued));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launcher_that_starts_nothing_any_more_leaves_no_run_behind_and_keeps_what_was_promised() {
    let world = world().await;
    let promised = submit(&world, spec("promised"), "").await.unwrap().job.unwrap().job_id;
    let (job, _) = world.launcher.started().await;
    world.launcher.refuse(&job, runtime_plan::link::RefusalReason::ShuttingDown, "going down");
    let refused = match world.call(start_message(spec("new"))).await {
        Err(status) => status,
        Ok(mut run) => {
            // The word of the launcher was not there yet.
            let (job, _) = world.launcher.started().await;
            world.launcher.refuse(&job, runtime_plan::link::RefusalReason::ShuttingDown, "going down");
            run.try_next().await.unwrap_err()
        }
    };
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    let crashed = world.crash().await;
    let store = crate::store::Store::open(crashed.place.path(), crate::store::StoreOptions::default());
    let left = store.unwrap().unfinished().await.unwrap();
    assert_eq!(left.iter().map(|row| row.id.clone()).collect::<Vec<_>>(), [promised]);
    assert_eq!(left[0].state, crate::store::RowState::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_goes_on_in_the_next_server_and_ends_with_its_launcher() {
    let first = world().await;
    let (_run, job, _ends) = first.running(spec("sleep"), 1).await;
    let drain = std::time::Duration::from_secs(3_600);
    first.registry.drain(Some(drain));
    first.registry.drain(Some(std::time::Duration::from_millis(300)));
    let second = first.crash().await.restart().await;
    let refused = second.call(start_message(spec("new"))).await.unwrap_err();
    assert_eq!(reason(&refused), "DRAINING");
    match second.launcher.recv().await {
        ToLauncher::Cancel { job: over, by, .. } => assert_eq!((over, by.as_str()), (job, "drain")),
        other => panic!("no cancel: {other:?}"),
    }
    let crashed = second.crash().await;
    crashed.launcher.die("boot");
    let third = crashed.restart().await;
    submit(&third, spec("again"), "").await.unwrap();
}
