//! What the store promises, shown on files in temporary directories.

mod basics;
mod crash;
mod damage;
mod disk;
mod expire;
mod lists;

use super::*;
use std::collections::BTreeMap;

/// A time within the life of ULIDs: 2023-11-14.
pub(super) const START_US: u64 = 1_700_000_000_000_000;

/// The n-th job of a test: ids and times grow with n.
pub(super) fn row(n: u64) -> Row {
    let created_us = START_US + n * 1_000;
    Row {
        id: id(n),
        org: "default".to_owned(),
        state: RowState::Queued,
        profile: "default".to_owned(),
        labels: BTreeMap::new(),
        priority: 0,
        created_us,
        started_us: None,
        finished_us: None,
        key: None,
        spec_digest: [7; 32],
        log_bytes: 0,
        record: format!("record {n}").into_bytes(),
        spec: None,
        change: 0,
    }
}

/// Its id.
pub(super) fn id(n: u64) -> String {
    let ulid = ulid::Ulid::from_parts(START_US / 1_000 + n, u128::from(n));
    format!("job-{ulid}").to_ascii_lowercase()
}

/// The same job when it is over.
pub(super) fn finished(n: u64) -> Row {
    let ended_us = row(n).created_us + 500;
    Row { state: RowState::Finished, finished_us: Some(ended_us), ..row(n) }
}

/// A new store in a directory of its own.
pub(super) fn fresh() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    (directory, store)
}

/// How many jobs of all orgs are in which state.
pub(super) async fn counts(store: &Store) -> Counts {
    store.tallies().await.unwrap().into_iter().fold(Counts::default(), |sum, OrgTally { jobs, .. }| Counts {
        queued: sum.queued + jobs.queued,
        starting: sum.starting + jobs.starting,
        running: sum.running + jobs.running,
        finished: sum.finished + jobs.finished,
    })
}

/// Ids of rows.
pub(super) fn ids(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.id.clone()).collect()
}
