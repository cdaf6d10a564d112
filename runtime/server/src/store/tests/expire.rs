//! What goes by age, by count and by bytes, and what a key keeps.

use super::*;

const DAY_US: u64 = 24 * 3_600 * 1_000_000;

/// The n-th job, which ended on day n.
fn ended(n: u64, org: &str, log_bytes: u64) -> Row {
    let ended_us = START_US + n * DAY_US;
    Row { org: org.to_owned(), finished_us: Some(ended_us), created_us: ended_us, log_bytes, ..finished(n) }
}

async fn ten() -> (tempfile::TempDir, Store) {
    let (directory, store) = fresh();
    for n in 0..10 {
        let org = if n < 8 { "a" } else { "b" };
        store.put(ended(n, org, 100)).await.unwrap();
    }
    // One that runs since the first day stays, whatever is asked.
    store.put(Row { state: RowState::Running, ..row(50) }).await.unwrap();
    (directory, store)
}

fn ids_of(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(id).collect()
}

#[tokio::test]
async fn records_go_by_age_and_by_count_those_that_ended_first() {
    let (_directory, store) = ten().await;
    let now_us = START_US + 10 * DAY_US;
    let ask = async |age_days: Option<u64>, records_max| {
        let age_us_max = age_days.map(|days| days * DAY_US);
        store.expirable(Policy { now_us, age_us_max, records_max, org_log_bytes_max: None }).await.unwrap()
    };
    let records = async |age_days, records_max| ask(age_days, records_max).await.records;
    assert_eq!(ask(None, None).await, Expirable::default());
    assert_eq!(records(Some(100), None).await, ids_of(0..0));
    assert_eq!(records(Some(7), None).await, ids_of(0..3));
    assert_eq!(records(Some(0), None).await, ids_of(0..10));
    assert_eq!(records(None, Some(10)).await, ids_of(0..0));
    assert_eq!(records(None, Some(8)).await, ids_of(0..2));
    assert_eq!(records(Some(7), Some(8)).await, ids_of(0..3));
    assert_eq!(records(Some(7), Some(4)).await, ids_of(0..6));
    assert_eq!(records(None, Some(0)).await, ids_of(0..10));
    for id in records(Some(7), Some(4)).await {
        store.delete(&id).await.unwrap();
    }
    assert_eq!(records(Some(7), Some(4)).await, ids_of(0..0));
    assert_eq!(counts(&store).await, Counts { finished: 4, running: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_young_key_keeps_its_job() {
    let (_directory, store) = fresh();
    for n in 0..4 {
        store.put(Row { key: (n < 2).then(|| n.to_string()), ..finished(n) }).await.unwrap();
    }
    let by = async |now_us, age_us_max, records_max| {
        let policy = Policy { now_us, age_us_max, records_max, ..Policy::default() };
        store.expirable(policy).await.unwrap().records
    };
    let (soon, later) = (START_US + DAY_US / 2, START_US + 2 * DAY_US);
    assert_eq!(by(soon, None, Some(1)).await, ids_of(2..4));
    assert_eq!(by(soon, Some(DAY_US / 4), None).await, ids_of(2..4));
    assert_eq!(by(soon, Some(DAY_US / 4), Some(0)).await, ids_of(2..4));
    assert_eq!(by(later, None, Some(1)).await, ids_of(0..3));
    assert_eq!(by(later, Some(DAY_US), None).await, ids_of(0..4));
}

#[tokio::test]
async fn output_goes_by_the_bytes_of_its_org_and_the_record_stays() {
    let (_directory, store) = ten().await;
    let ask = async |max| {
        let policy = Policy { now_us: START_US, org_log_bytes_max: Some(max), ..Policy::default() };
        store.expirable(policy).await.unwrap()
    };
    assert_eq!(ask(800).await, Expirable::default());
    assert_eq!(ask(799).await.logs, ids_of(0..1));
    assert_eq!(ask(500).await.logs, ids_of(0..3));
    assert_eq!(ask(150).await.logs, [ids_of(0..7), ids_of(8..9)].concat());
    for id in ask(500).await.logs {
        assert!(store.set_log_bytes(&id, 0).await.unwrap());
    }
    assert_eq!(ask(500).await, Expirable::default());
    let tallies = store.tallies().await.unwrap();
    let bytes: Vec<(&str, u64)> = tallies.iter().map(|tally| (tally.org.as_str(), tally.log_bytes)).collect();
    assert_eq!(bytes, [("a", 500), ("b", 200), ("default", 0)]);
    assert_eq!(store.get(&id(0)).await.unwrap().unwrap().log_bytes, 0);
    // What goes whole is not named twice.
    let policy = Policy {
        now_us: START_US + 10 * DAY_US,
        age_us_max: Some(5 * DAY_US),
        org_log_bytes_max: Some(200),
        ..Policy::default()
    };
    let both = store.expirable(policy).await.unwrap();
    assert_eq!((both.records, both.logs), (ids_of(0..5), ids_of(5..6)));
}
