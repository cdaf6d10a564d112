//! List: filters, and tokens that belong to them.

use super::{finished, labelled, world};
use crate::tests::harness::{World, reason, spec};
use runtime_proto::v1;

async fn list(world: &World, request: v1::ListRequest) -> v1::ListResponse {
    world.client.clone().list(request).await.unwrap().into_inner()
}

fn ids(jobs: &[v1::Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.job_id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_are_of_states_labels_profiles_orgs_and_times() {
    let world = world().await;
    let blue = finished(&world, labelled("team", "blue"), b"").await;
    let acme = finished(&world, v1::JobSpec { org: "acme".to_owned(), ..spec("true") }, b"").await;
    let (_run, running, _ends) = world.running(labelled("team", "red"), u64::MAX).await;
    let any = v1::ListRequest::default;
    // The record of a job that has just been taken reaches the disk, and so the list, a moment later.
    let all = loop {
        let all = list(&world, any()).await;
        if all.jobs.len() == 3 {
            break all;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ids(&all.jobs), [running.as_str(), &acme, &blue]);
    let created = |index: usize| all.jobs[index].create_time;
    for (request, expected) in [
        (v1::ListRequest { state: v1::JobState::Running.into(), ..any() }, vec![running.as_str()]),
        (v1::ListRequest { state: v1::JobState::Finished.into(), ..any() }, vec![&acme, &blue]),
        (v1::ListRequest { labels: labelled("team", "blue").labels, ..any() }, vec![&blue]),
        (v1::ListRequest { labels: labelled("team", "green").labels, ..any() }, vec![]),
        (v1::ListRequest { org: "acme".to_owned(), ..any() }, vec![&acme]),
        (v1::ListRequest { profile: "other".to_owned(), ..any() }, vec![]),
        (v1::ListRequest { profile: "default".to_owned(), ..any() }, vec![running.as_str(), &acme, &blue]),
        (v1::ListRequest { created_after: created(1), ..any() }, vec![running.as_str(), &acme]),
        (v1::ListRequest { created_before: created(1), ..any() }, vec![&blue]),
    ] {
        assert_eq!(ids(&list(&world, request.clone()).await.jobs), expected, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_leads_to_the_next_page_of_its_own_filter() {
    let world = world().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(finished(&world, labelled("team", "blue"), b"").await);
    }
    made.reverse();
    let page = |page_token: &str| v1::ListRequest {
        page_size: 2,
        page_token: page_token.to_owned(),
        labels: labelled("team", "blue").labels,
        ..Default::default()
    };
    let first = list(&world, page("")).await;
    assert_eq!(ids(&first.jobs), made[..2]);
    finished(&world, labelled("team", "blue"), b"").await;
    let second = list(&world, page(&first.next_page_token)).await;
    assert_eq!((ids(&second.jobs), second.next_page_token.as_str()), (vec![made[2].as_str()], ""));
    let other = v1::ListRequest { labels: labelled("team", "red").labels, ..page(&first.next_page_token) };
    let refused = world.client.clone().list(other).await.unwrap_err();
    assert_eq!(reason(&refused), "BAD_PAGE");
    for wrong in [
        v1::ListRequest { labels: labelled("", "x").labels, ..Default::default() },
        v1::ListRequest { org: "ACME".to_owned(), ..Default::default() },
        v1::ListRequest { profile: "../x".to_owned(), ..Default::default() },
    ] {
        assert!(world.client.clone().list(wrong.clone()).await.is_err(), "{wrong:?}");
    }
}
