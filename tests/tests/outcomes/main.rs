//! Why a job ended, with the numbers that prove it: a table of every way to end, each provoked for real, by root and by an ordinary
//! user. Whatever the way, nothing of the tree is left when the job is over.

mod ends;
mod outside;

use runtime_proto::v1::{Job, JobSpec, Limits, Outcome, outcome::Cause};
use runtime_tests::{Daemon, Stage, client, descendants, eventually, reader};

const NO_ARGS: [&str; 0] = [];

/// Runs it to its end.
fn on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

fn start(stage: &Stage) -> Daemon<'_> {
    Daemon::start(stage, &NO_ARGS, "")
}

/// A shell script behind the walls of the default profile.
fn spec(script: &str) -> JobSpec {
    let argv = ["sh", "-c", script].map(|word| word.as_bytes().to_vec().into());
    JobSpec { argv: argv.to_vec(), ..JobSpec::default() }
}

fn python(code: &str) -> JobSpec {
    let argv = ["python3", "-c", code].map(|word| word.as_bytes().to_vec().into());
    JobSpec { argv: argv.to_vec(), ..JobSpec::default() }
}

fn with(limits: Limits, spec: JobSpec) -> JobSpec {
    JobSpec { limits: Some(limits), ..spec }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// Runs a job to its end; the job and its stdout.
async fn run(daemon: &Daemon<'_>, spec: &JobSpec) -> (Job, String) {
    let client = client::client(daemon);
    let job = client::submit(&client, spec, "").await;
    let read = reader::read(&client, &job.job_id, |_| false).await;
    let job = client::wait(&client, &job.job_id).await;
    (job, String::from_utf8_lossy(&read.stdout).into_owned())
}

fn outcome(job: &Job) -> &Outcome {
    job.outcome.as_ref().expect("a job that is over has an outcome")
}

fn cause(job: &Job) -> &Cause {
    outcome(job).cause.as_ref().expect("an outcome has a cause")
}

/// Init processes and what is below them: all that jobs have on the host.
fn processes_of_jobs(daemon: &Daemon<'_>) -> Vec<String> {
    let mut names: Vec<String> = descendants(daemon.pid()).into_iter().map(|process| process.name).collect();
    // One of each is the daemon's own; an init is a copy of the zygote, and has its name.
    for own in ["runtime-zygote", "runtime-server"] {
        if let Some(place) = names.iter().position(|name| name == own) {
            names.swap_remove(place);
        }
    }
    names
}

/// A job that is over has no process any more. The server may be busy; the kernel is not.
fn assert_nothing_runs(daemon: &Daemon<'_>, after: &str) {
    eventually(&format!("after {after} nothing of it runs"), || processes_of_jobs(daemon).is_empty());
}
