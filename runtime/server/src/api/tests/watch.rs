//! Watch: what is there, what changes, and going on from a token.

use super::{finished, labelled, some, world};
use crate::tests::harness::{World, reason, spec};
use runtime_plan::outcome::Outcome;
use runtime_proto::v1::{self, watch_response::Event};
use tonic::Streaming;

type Watch = Streaming<v1::WatchResponse>;

async fn watch(world: &World, request: v1::WatchRequest) -> Watch {
    world.client.clone().watch(request).await.unwrap().into_inner()
}

/// The next job and its token, heartbeats aside.
async fn job(watch: &mut Watch) -> (v1::Job, String) {
    loop {
        let message = some(watch).await;
        match message.event {
            Some(Event::Job(job)) => return (job, message.resume_token),
            Some(Event::Heartbeat(_)) => {}
            other => panic!("no job: {other:?}"),
        }
    }
}

/// Reads until this job is in this state; the token after it.
async fn until(watch: &mut Watch, id: &str, state: v1::JobState) -> String {
    loop {
        let (found, token) = job(watch).await;
        assert_eq!(found.job_id, id);
        if found.state() == state {
            return token;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_begins_with_what_is_not_over_and_tells_each_change() {
    let world = world().await;
    finished(&world, spec("true"), b"").await;
    let (_run, running, ends) = world.running(spec("sleep"), u64::MAX).await;
    let mut watch = watch(&world, v1::WatchRequest::default()).await;
    until(&mut watch, running.as_str(), v1::JobState::Running).await;
    world.launcher.say_finished(&running, Outcome::Exited { code: 9 });
    drop(ends);
    loop {
        let (found, _) = job(&mut watch).await;
        assert_eq!(found.job_id, running.as_str());
        if let Some(outcome) = found.outcome {
            assert_eq!((found.state, outcome.exit_status), (v1::JobState::Finished as i32, 9));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_token_on_only_what_was_missed_is_told_and_of_each_job_the_last() {
    let world = world().await;
    let mut first = watch(&world, v1::WatchRequest::default()).await;
    let early = finished(&world, spec("true"), b"").await;
    let token = until(&mut first, &early, v1::JobState::Finished).await;
    drop(first);
    let missed = finished(&world, spec("true"), b"").await;
    let resume = v1::WatchRequest { resume_token: token.clone(), ..Default::default() };
    let mut second = watch(&world, resume.clone()).await;
    let (found, _) = job(&mut second).await;
    // Queued, started, running and finished came as one.
    assert_eq!((found.job_id.as_str(), found.state()), (missed.as_str(), v1::JobState::Finished));
    let mut client = world.client.clone();
    client.delete(v1::DeleteRequest { job_id: missed.clone() }).await.unwrap();
    loop {
        match some(&mut second).await.event {
            Some(Event::RemovedJobId(id)) => {
                assert_eq!(id, missed);
                break;
            }
            Some(Event::Heartbeat(_)) => {}
            other => panic!("nothing was removed: {other:?}"),
        }
    }
    for wrong in [
        v1::WatchRequest { org: "acme".to_owned(), ..resume.clone() },
        v1::WatchRequest { resume_token: "w1.x".to_owned(), ..Default::default() },
    ] {
        assert_eq!(reason(&client.watch(wrong).await.unwrap_err()), "BAD_RESUME_TOKEN");
    }
    // The change of a store that knew more than this one.
    let head = token.rsplit_once('.').and_then(|(rest, _)| rest.rsplit_once('.')).unwrap().0;
    let later = v1::WatchRequest { resume_token: format!("{head}.fffffff."), ..Default::default() };
    assert_eq!(reason(&client.watch(later).await.unwrap_err()), "BAD_RESUME_TOKEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_holds_for_the_beginning_and_for_changes() {
    let world = world().await;
    let labels = labelled("team", "blue").labels;
    let mut watch = watch(&world, v1::WatchRequest { labels, ..Default::default() }).await;
    finished(&world, labelled("team", "red"), b"").await;
    let blue = finished(&world, labelled("team", "blue"), b"").await;
    until(&mut watch, &blue, v1::JobState::Finished).await;
}
