//! The calls of the API against a whole server, with a launcher that the test plays.

mod calls;
mod ends;
mod keys;
mod logs;
mod pages;
mod watch;

use crate::tests::harness::{PATIENCE, World, spec, world};
use runtime_plan::outcome::Outcome;
use runtime_proto::v1;
use std::io::Write;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

/// The next message of a stream, in time.
async fn next<T>(stream: &mut Streaming<T>) -> Option<Result<T, Status>> {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("a message in time")
}

/// The same, where there must be one.
async fn some<T>(stream: &mut Streaming<T>) -> T {
    next(stream).await.expect("one more message").unwrap()
}

/// Runs a job to its end; it writes this to stdout.
async fn finished(world: &World, spec: v1::JobSpec, stdout: &[u8]) -> String {
    let (mut run, job, mut ends) = world.running(spec, u64::MAX).await;
    ends.stdout.as_mut().unwrap().write_all(stdout).unwrap();
    world.launcher.say_finished(&job, Outcome::Exited { code: 0 });
    drop(ends);
    let (out, ..) = run.until_end().await;
    assert_eq!(out, stdout);
    world.launcher.acknowledged(&job).await;
    job.to_string()
}

fn labelled(key: &str, value: &str) -> v1::JobSpec {
    v1::JobSpec { labels: [(key.to_owned(), value.to_owned())].into(), ..spec("true") }
}
