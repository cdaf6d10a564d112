//! One job, and everything that can be cut around it.

use crate::{SIGKILL, kill_server, kinds::Expected, on, server_of};
use runtime_proto::v1::{JobSpec, Limits, outcome::Cause};
use runtime_tests::{Daemon, Stage, Traces, client, eventually, reader, stories};
use std::time::Duration;

stories!(
    a_large_output_read_with_fifty_cuts_is_whole,
    a_job_outlives_three_servers_and_its_end_is_true,
    an_end_that_no_server_saw_is_told_by_the_next_one,
    output_written_while_no_server_is_up_is_whole,
    a_killed_launcher_ends_its_jobs_and_the_next_says_so,
    a_key_names_one_job_across_servers_and_daemons,
);

const NO_ARGS: [&str; 0] = [];

fn spec(script: &str) -> JobSpec {
    let argv = ["sh", "-c", script].map(|word| word.as_bytes().to_vec().into());
    let limits = Limits { output_bytes: Some(256 << 20), ..Limits::default() };
    JobSpec { argv: argv.to_vec(), limits: Some(limits), ..JobSpec::default() }
}

fn ended(job: &runtime_proto::v1::Job) -> Expected {
    match job.outcome.as_ref().and_then(|outcome| outcome.cause.as_ref()) {
        Some(Cause::Exited(exited)) => Expected::Exited(exited.code),
        Some(Cause::Signalled(signalled)) => Expected::Signalled(signalled.signal),
        other => panic!("{} ended as {other:?}", job.job_id),
    }
}

/// Kills the server and waits for the next one.
async fn replace_server(daemon: &Daemon<'_>) {
    let before = server_of(daemon).expect("a server is up");
    assert!(kill_server(daemon));
    while server_of(daemon).is_none_or(|now| now == before) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn a_large_output_read_with_fifty_cuts_is_whole(stage: &Stage) {
    const BYTES: usize = 100 << 20;
    let daemon = Daemon::start(stage, &NO_ARGS, "");
    on(async {
        let client = client::client(&daemon);
        let script = format!("yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c {BYTES}");
        let job = client::submit(&client, &spec(&script), "large").await;
        let mut next = BYTES / 51;
        let read = reader::read(&client, &job.job_id, |read| {
            let cut = read.stdout.len() >= next;
            if cut {
                next += BYTES / 51;
            }
            cut
        })
        .await;
        assert!(read.cuts >= 50, "{} cuts", read.cuts);
        let line = b"0123456789abcdefghijklmnopqrstuvwxyz\n";
        assert_eq!(read.stdout.len(), BYTES);
        let is_whole = read.stdout.chunks(line.len()).all(|part| line.starts_with(part));
        assert!(is_whole, "the output is not what the job wrote");
        assert_eq!(ended(&client::wait(&client, &job.job_id).await), Expected::Exited(0));
    });
}

fn a_job_outlives_three_servers_and_its_end_is_true(stage: &Stage) {
    let daemon = Daemon::start(stage, &NO_ARGS, "");
    on(async {
        let client = client::client(&daemon);
        let script = "for i in $(seq 1 30); do echo $i; sleep 0.1; done; exit 9";
        let job = client::submit(&client, &spec(script), "long").await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            replace_server(&daemon).await;
        }
        let read = reader::read(&client, &job.job_id, |_| false).await;
        let whole: String = (1..=30).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&read.stdout), whole);
        let job = client::wait(&client, &job.job_id).await;
        assert_eq!(ended(&job), Expected::Exited(9));
        assert!(job.adoptions >= 1, "{job:?}");
        let usage = job.outcome.unwrap().usage.unwrap();
        let run_time = usage.run_time.unwrap();
        assert!(run_time.seconds >= 3, "30 sleeps of 0.1 s took {run_time:?}");
    });
}

fn an_end_that_no_server_saw_is_told_by_the_next_one(stage: &Stage) {
    let daemon = Daemon::start(stage, &NO_ARGS, "");
    on(async {
        let client = client::client(&daemon);
        let mut jobs = Vec::new();
        for code in [0, 5, 42] {
            let job =
                client::submit(&client, &spec(&format!("sleep 0.7; exit {code}")), &code.to_string()).await;
            jobs.push((code, job.job_id));
        }
        // Stopped, a server hears of no end, and does not die either.
        let stopped = server_of(&daemon).unwrap();
        signal(stopped, SIGSTOP);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        signal(stopped, SIGKILL);
        for (code, id) in jobs {
            assert_eq!(ended(&client::wait(&client, &id).await), Expected::Exited(code), "{id}");
        }
    });
}

fn output_written_while_no_server_is_up_is_whole(stage: &Stage) {
    let daemon = Daemon::start(stage, &NO_ARGS, "");
    on(async {
        let client = client::client(&daemon);
        let job = client::submit(&client, &spec("sleep 0.5; seq 1 2000; echo last >&2"), "unseen").await;
        let stopped = server_of(&daemon).unwrap();
        signal(stopped, SIGSTOP);
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        signal(stopped, SIGKILL);
        let read = reader::read(&client, &job.job_id, |_| false).await;
        let whole: String = (1..=2_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&read.stdout), whole);
        assert_eq!(read.stderr, b"last\n");
    });
}

fn a_killed_launcher_ends_its_jobs_and_the_next_says_so(stage: &Stage) {
    let mut traces = Traces::before();
    let mut daemon = Daemon::start(stage, &NO_ARGS, "");
    let mut id = String::new();
    on(async {
        let client = client::client(&daemon);
        let job = client::submit(&client, &spec("echo alive; sleep 1000"), "lost").await;
        id = job.job_id;
        // It runs for sure once it has said something.
        let read = reader::read(&client, &id, |read| read.stdout == b"alive\n");
        assert!(
            tokio::time::timeout(Duration::from_secs(3), read).await.is_err(),
            "a job that sleeps is not over"
        );
    });
    traces.note(daemon.pid());
    daemon.signal(SIGKILL);
    daemon.wait();
    drop(daemon);
    // The next daemon may get the numbers of its namespaces.
    traces.without_namespaces();
    let daemon = Daemon::start(stage, &NO_ARGS, "");
    eventually("nothing of the dead launcher is left", || traces.remaining().is_empty());
    on(async {
        let client = client::client(&daemon);
        let job = client::wait(&client, &id).await;
        match job.outcome.unwrap().cause.unwrap() {
            Cause::Lost(lost) => assert_eq!(lost.why, "launcher_died"),
            other => panic!("a job of a dead launcher ended as {other:?}"),
        }
        let read = reader::read(&client, &id, |_| false).await;
        assert_eq!(read.stdout, b"alive\n", "what it wrote is still there");
    });
}

fn a_key_names_one_job_across_servers_and_daemons(stage: &Stage) {
    let mut daemon = Daemon::start(stage, &NO_ARGS, "");
    let mut id = String::new();
    on(async {
        let client = client::client(&daemon);
        id = client::submit(&client, &spec("echo once"), "the-key").await.job_id;
        replace_server(&daemon).await;
        assert_eq!(client::submit(&client, &spec("echo once"), "the-key").await.job_id, id);
        client::wait(&client, &id).await;
    });
    daemon.signal(15);
    daemon.wait();
    drop(daemon);
    let daemon = Daemon::start(stage, &NO_ARGS, "");
    on(async {
        let client = client::client(&daemon);
        assert_eq!(client::submit(&client, &spec("echo once"), "the-key").await.job_id, id);
        let request = runtime_proto::v1::SubmitRequest {
            spec: Some(spec("echo twice")),
            idempotency_key: "the-key".to_owned(),
            validate_only: false,
        };
        let refused = client.clone().submit(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::AlreadyExists, "{refused:?}");
        assert_eq!(client::list(&client).await.len(), 1);
    });
}

/// signal(7).
const SIGSTOP: i32 = 19;

fn signal(pid: u32, signal: i32) {
    let pid = runtime_sys::clone::Pid(i32::try_from(pid).unwrap());
    let pidfd = runtime_sys::pidfd::open(pid).unwrap();
    runtime_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&pidfd), signal).unwrap();
}
