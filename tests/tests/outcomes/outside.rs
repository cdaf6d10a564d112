//! Ends that come from outside of the job: a client, an operator, another process of the host.

use crate::{assert_nothing_runs, cause, on, outcome, processes_of_jobs, spec, start};
use runtime_proto::v1::{CancelRequest, Job, JobState, SignalRequest, outcome::Cause};
use runtime_tests::{Daemon, Stage, client, descendants, eventually, reader, stories};
use std::time::Duration;

stories!(
    a_cancel_is_told_with_its_reason,
    a_cancel_reaches_a_job_that_is_deaf_to_term,
    a_signal_of_a_client_is_no_kill_of_ours,
    a_signal_may_reach_every_process,
    a_signal_to_a_job_that_does_not_run_is_refused,
    a_kill_by_a_stranger_is_told_apart,
    a_killed_init_is_a_lost_job_not_a_made_up_end,
);

/// signal(7).
const SIGKILL: i32 = 9;
/// signal(7).
const SIGUSR1: i32 = 10;

/// Starts a job that says `up`, and waits until it has.
async fn running(daemon: &Daemon<'_>, script: &str) -> Job {
    let client = client::client(daemon);
    let job = client::submit(&client, &spec(script), "").await;
    let mut up = false;
    while !up {
        let request = runtime_proto::v1::GetRequest { job_id: job.job_id.clone() };
        let now = client.clone().get(request).await.unwrap().into_inner().job.unwrap();
        up = now.stdout_bytes >= 3;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Init and the command: what must be gone at the end is seen while it is there.
    assert!(processes_of_jobs(daemon).len() >= 2, "{:?}", processes_of_jobs(daemon));
    job
}

async fn cancel(daemon: &Daemon<'_>, job: &Job, kill: bool) {
    let request = CancelRequest { job_id: job.job_id.clone(), reason: "enough".to_owned(), kill };
    client::client(daemon).cancel(request).await.unwrap();
}

async fn end(daemon: &Daemon<'_>, job: &Job) -> Job {
    client::wait(&client::client(daemon), &job.job_id).await
}

fn a_cancel_is_told_with_its_reason(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        for kill in [false, true] {
            let job = running(&daemon, "echo up; sleep 1000").await;
            cancel(&daemon, &job, kill).await;
            let job = end(&daemon, &job).await;
            let Cause::Cancelled(cancelled) = cause(&job) else { panic!("{:?}", outcome(&job)) };
            assert_eq!(
                (cancelled.by.as_str(), cancelled.reason.as_str()),
                (format!("uid {}", stage_uid()).as_str(), "enough")
            );
        }
        assert_nothing_runs(&daemon, "a cancel");
    });
}

/// The test itself is the client.
fn stage_uid() -> u32 {
    runtime_sys::process::effective_uid()
}

fn a_cancel_reaches_a_job_that_is_deaf_to_term(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        let deaf = "trap '' TERM HUP; setsid sh -c 'trap \"\" TERM; sleep 1000' & echo up; while :; do sleep 1; done";
        let job = running(&daemon, deaf).await;
        cancel(&daemon, &job, false).await;
        let job = end(&daemon, &job).await;
        assert!(matches!(cause(&job), Cause::Cancelled(_)), "{:?}", outcome(&job));
        assert_nothing_runs(&daemon, "a cancel of a deaf job");
    });
}

async fn signal(
    daemon: &Daemon<'_>,
    job: &Job,
    signal: i32,
    all_processes: bool,
) -> Result<(), tonic::Status> {
    let request = SignalRequest { job_id: job.job_id.clone(), signal, all_processes };
    client::client(daemon).signal(request).await.map(drop)
}

fn a_signal_of_a_client_is_no_kill_of_ours(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        let job =
            running(&daemon, "trap 'echo heard; exit 4' USR1; echo up; while :; do sleep 0.1; done").await;
        signal(&daemon, &job, SIGUSR1, false).await.unwrap();
        let job = end(&daemon, &job).await;
        let Cause::Exited(exited) = cause(&job) else { panic!("{:?}", outcome(&job)) };
        assert_eq!(exited.code, 4);

        let job = running(&daemon, "echo up; exec sleep 1000").await;
        signal(&daemon, &job, SIGKILL, false).await.unwrap();
        let job = end(&daemon, &job).await;
        let Cause::Signalled(signalled) = cause(&job) else { panic!("{:?}", outcome(&job)) };
        assert_eq!(signalled.signal, SIGKILL);
    });
}

fn a_signal_may_reach_every_process(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        let child = "trap \"echo child; exit 0\" USR1; while :; do sleep 0.1; done";
        let script = format!(
            "trap 'echo parent; wait; exit 3' USR1; setsid sh -c '{child}' & sleep 0.3; echo up; while :; do sleep 0.1; done"
        );
        let job = running(&daemon, &script).await;
        signal(&daemon, &job, SIGUSR1, true).await.unwrap();
        let read = reader::read(&client::client(&daemon), &job.job_id, |_| false).await;
        let said = String::from_utf8_lossy(&read.stdout).into_owned();
        assert!(said.contains("parent\n") && said.contains("child\n"), "{said:?}");
        end(&daemon, &job).await;
    });
}

fn a_signal_to_a_job_that_does_not_run_is_refused(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        let client = client::client(&daemon);
        let job = client::submit(&client, &spec("true"), "").await;
        let job = client::wait(&client, &job.job_id).await;
        assert_eq!(job.state(), JobState::Finished);
        let refused = signal(&daemon, &job, SIGUSR1, false).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused:?}");
        let job = running(&daemon, "echo up; sleep 1000").await;
        for number in [0, 65, -1] {
            let refused = signal(&daemon, &job, number, false).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{number}: {refused:?}");
        }
        cancel(&daemon, &job, true).await;
        end(&daemon, &job).await;
    });
}

fn kill(pid: u32) {
    let pid = runtime_sys::clone::Pid(i32::try_from(pid).unwrap());
    let pidfd = runtime_sys::pidfd::open(pid).unwrap();
    runtime_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&pidfd), SIGKILL).unwrap();
}

fn a_kill_by_a_stranger_is_told_apart(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        let job = running(&daemon, "echo up; exec sleep 1000").await;
        let leader = descendants(daemon.pid()).into_iter().find(|process| process.name == "sleep").unwrap();
        kill(leader.pid);
        let job = end(&daemon, &job).await;
        let Cause::Signalled(signalled) = cause(&job) else { panic!("{:?}", outcome(&job)) };
        assert_eq!(signalled.signal, SIGKILL);
        assert!(!signalled.evidence.is_empty(), "{signalled:?}");
        assert_nothing_runs(&daemon, "a kill from outside");
    });
}

fn a_killed_init_is_a_lost_job_not_a_made_up_end(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        let job = running(&daemon, "echo up; exec sleep 1000").await;
        let leader = descendants(daemon.pid()).into_iter().find(|process| process.name == "sleep").unwrap();
        kill(leader.parent);
        let job = end(&daemon, &job).await;
        let Cause::Lost(lost) = cause(&job) else { panic!("{:?}", outcome(&job)) };
        assert_eq!(lost.why, "init_vanished");
        eventually("the tree is gone", || processes_of_jobs(&daemon).is_empty());
    });
}
