//! The verbs of the command line at a daemon, as a person types them: what they print, what they exit with, what is true then.

mod attach;
mod ends;
mod jobs;
mod logs;
mod queue;
mod terminal;

use runtime_tests::{Daemon, Stage};
use serde_json::Value;

const NO_ARGS: [&str; 0] = [];

fn start(stage: &Stage) -> Daemon<'_> {
    Daemon::start(stage, &NO_ARGS, "")
}

fn ids(jobs: &[Value]) -> Vec<&str> {
    jobs.iter().map(|job| job["job_id"].as_str().unwrap()).collect()
}
