//! A state directory with many finished jobs, made before its daemon starts. A few jobs really ran there; the others are
//! copies of their rows with ids and times of their own, written by the store's own writer. It goes near no daemon that runs.
//!
//! Copies have no output on disk, and the times inside of their records are those of the job that ran.

use crate::error::Error;
use runtime_server::store::{Row, Store, StoreOptions};
use std::path::Path;

/// What [`group`] tells jobs apart by, as a label.
pub const LABEL: &str = "group";
/// The jobs that really ran, one of each of these groups, in this order.
pub const GROUPS: [&str; 3] = ["even", "odd", "few"];
/// How many jobs of the last group there are in a store of any size.
pub const FEW: u64 = 2;
/// Time between two jobs: a million take less than twelve days, and nothing is removed for its age.
const APART_US: u64 = 1_000_000;
/// Rows that are handed to the writer before it is waited for; its queue takes twice as many.
const BATCH: u64 = 8_192;

/// Fills the store in `state` up to `finished` jobs. `ran` are the ids of the jobs that it holds, by [`GROUPS`].
pub async fn fill(state: &Path, ran: &[String], finished: u64) -> Result<(), Error> {
    let store = Store::open(state, StoreOptions::default())?;
    let mut models = Vec::new();
    for id in ran {
        let row = store.get(id).await?;
        models.push(row.ok_or_else(|| Error::Job(format!("{id} is not in the store")))?);
    }
    let copies = finished.saturating_sub(models.len() as u64);
    let mut number = 0;
    while number < copies {
        let end = copies.min(number + BATCH);
        let puts: Result<Vec<_>, Error> = (number..end)
            .map(|number| {
                let group = group(number, copies);
                let model = models.iter().zip(GROUPS).find(|(_, name)| *name == group);
                let (model, _) = model.ok_or_else(|| Error::Job(format!("no job of the group {group}")))?;
                Ok(store.put_later(copy(model, number, copies)))
            })
            .collect();
        for put in puts? {
            put.await?;
        }
        number = end;
    }
    let held: u64 = store.tallies().await?.iter().map(|tally| tally.jobs.finished).sum();
    store.close().await;
    match held == finished {
        true => Ok(()),
        false => Err(Error::Job(format!("the store holds {held} finished jobs, not {finished}"))),
    }
}

/// Which group a copy belongs to: the two large ones in turns, the last one in the middle of the store.
fn group(number: u64, copies: u64) -> &'static str {
    let middle = copies / 2;
    let few = middle..middle + FEW - 1;
    match number {
        number if few.contains(&number) => GROUPS[2],
        number if number % 2 == 0 => GROUPS[0],
        _ => GROUPS[1],
    }
}

/// The row under another id and at another time: the last copy is the youngest, and older than the model.
fn copy(model: &Row, number: u64, copies: u64) -> Row {
    let back_us = (copies - number) * APART_US;
    let earlier = |us: u64| us.saturating_sub(back_us);
    let created_us = earlier(model.created_us);
    let id =
        format!("job-{}", ulid::Ulid::from_parts(created_us / 1_000, mixed(number))).to_ascii_lowercase();
    Row {
        created_us,
        started_us: model.started_us.map(earlier),
        finished_us: model.finished_us.map(earlier),
        log_bytes: 0,
        record: replaced(&model.record, model.id.as_bytes(), id.as_bytes()),
        id,
        ..model.clone()
    }
}

/// 80 bits for the random part of an id, the same in every run (splitmix64).
fn mixed(number: u64) -> u128 {
    let mut one = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    one = (one ^ (one >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    one = (one ^ (one >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (u128::from(one ^ (one >> 31)) << 16) | u128::from(number & 0xffff)
}

/// The bytes with each `old` replaced; both are of the same length, so that all lengths inside stay true.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(found) =
        out.get(at..).and_then(|rest| rest.windows(old.len()).position(|part| part == old))
    {
        let begin = at + found;
        out.splice(begin..begin + old.len(), new.iter().copied());
        at = begin + new.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_server::store::{Query, RowState};
    use std::collections::BTreeMap;

    const ID: &str = "job-01arz3ndektsv4rrffq69g5fav";

    fn row(id: &str, group: &str) -> Row {
        Row {
            id: id.to_owned(),
            org: "default".to_owned(),
            state: RowState::Finished,
            profile: "default".to_owned(),
            labels: BTreeMap::from([(LABEL.to_owned(), group.to_owned())]),
            priority: 0,
            created_us: 1_700_000_000_000_000,
            started_us: Some(1_700_000_000_000_001),
            finished_us: Some(1_700_000_000_000_002),
            key: None,
            spec_digest: [0; 32],
            log_bytes: 7,
            record: [b"\x1e", id.as_bytes(), b"\x03end"].concat(),
            spec: None,
            change: 0,
        }
    }

    #[test]
    fn a_copy_knows_its_own_id_and_is_older_than_the_one_before_it() {
        let model = row(ID, "even");
        let (first, last) = (copy(&model, 0, 100), copy(&model, 99, 100));
        assert!(first.id < last.id && last.id < model.id.replace("01arz", "01zzz"));
        assert!(first.created_us < last.created_us && last.created_us < model.created_us);
        assert_eq!(first.record, [b"\x1e", first.id.as_bytes(), b"\x03end"].concat());
        assert_eq!((first.id.len(), first.log_bytes), (ID.len(), 0));
    }

    #[tokio::test]
    async fn a_store_of_any_size_has_as_many_of_the_last_group() {
        for finished in [10, 500] {
            let place = tempfile::tempdir().unwrap();
            let ran: Vec<String> = (0..3).map(|n| format!("job-01hf7yat00000000000000000{n}")).collect();
            let store = Store::open(place.path(), StoreOptions::default()).unwrap();
            for (id, group) in ran.iter().zip(GROUPS) {
                store.put(row(id, group)).await.unwrap();
            }
            store.close().await;
            fill(place.path(), &ran, finished).await.unwrap();
            let store = Store::open(place.path(), StoreOptions::default()).unwrap();
            let found = |group: &str| Query {
                labels: BTreeMap::from([(LABEL.to_owned(), group.to_owned())]),
                limit: 1_000,
                ..Query::default()
            };
            assert_eq!(store.list(found("few")).await.unwrap().len() as u64, FEW);
            let (even, odd) = (
                store.list(found("even")).await.unwrap().len(),
                store.list(found("odd")).await.unwrap().len(),
            );
            assert!(even.abs_diff(odd) <= 2 && even > 3, "{even} {odd}");
            assert_eq!((even + odd) as u64 + FEW, finished);
            store.close().await;
            let error = fill(place.path(), &ran[..1], finished - 1).await.unwrap_err();
            assert!(error.to_string().contains("no job of the group"), "{error}");
        }
    }
}
