//! Lists and changes: against a naive model, under inserts, and by the plan that SQLite makes of them.

use super::*;
use crate::store::{expiry, file, list, read};
use proptest::prelude::*;

fn labelled(n: u64, a: u64, b: u64) -> Row {
    let labels = BTreeMap::from([("a".to_owned(), a.to_string()), ("b".to_owned(), b.to_string())]);
    Row { labels, ..row(n) }
}

/// What a list must answer, told in the plainest way.
fn naive(rows: &BTreeMap<String, Row>, query: &Query) -> Vec<String> {
    let wanted = |row: &&Row| {
        query.org.as_ref().is_none_or(|org| *org == row.org)
            && (query.states.is_empty() || query.states.contains(&row.state))
            && query.profile.as_ref().is_none_or(|profile| *profile == row.profile)
            && query.labels.iter().all(|label| row.labels.iter().any(|own| own == label))
            && query.created_after_us.is_none_or(|after| row.created_us >= after)
            && query.created_before_us.is_none_or(|before| row.created_us < before)
    };
    let before = |row: &&Row| query.before_id.as_ref().is_none_or(|before| row.id < *before);
    let newest_first = rows.values().rev().filter(wanted).filter(before);
    newest_first.take(query.limit).map(|row| row.id.clone()).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64, usize, u64, u64, u64, i64),
    Delete(u64),
    SetLogBytes(u64, u64),
}

fn step(ids: u64) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..ids, 0usize..4, 0u64..3, 0u64..3, 0u64..3, -2_000i64..2_000)
            .prop_map(|(n, state, org, a, b, off)| Step::Put(n, state, org, a, b, off)),
        1 => (0..ids).prop_map(Step::Delete),
        1 => (0..ids, 0u64..100).prop_map(|(n, bytes)| Step::SetLogBytes(n, bytes)),
    ]
}

fn query(ids: u64) -> impl Strategy<Value = Query> {
    let time = || proptest::option::of((0..ids * 1_000).prop_map(|off| START_US + off));
    let label = proptest::option::of(0u64..3);
    let of = proptest::option::of(0u64..4);
    let states = proptest::sample::subsequence(RowState::ALL.to_vec(), 0..4);
    (
        of.clone(),
        states,
        of,
        (label.clone(), label),
        (time(), time()),
        proptest::option::of(0..ids),
        0usize..30,
    )
        .prop_map(|(org, states, profile, (a, b), (after, before), page, limit)| Query {
            org: org.map(|n| format!("org{n}")),
            states,
            profile: profile.map(|n| format!("profile{n}")),
            labels: [("a", a), ("b", b)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_string())))
                .collect(),
            created_after_us: after,
            created_before_us: before,
            before_id: page.map(id),
            limit,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn lists_changes_and_sums_are_those_of_a_naive_model(
        steps in prop::collection::vec(step(40), 1..120),
        queries in prop::collection::vec(query(40), 40),
        odd_id: bool,
    ) {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        threads.block_on(async {
            let (_directory, store) = fresh();
            let mut model: BTreeMap<String, Row> = BTreeMap::new();
            if odd_id {
                // An id without a time: filters by time must find it as well.
                let odd = Row { id: "an-odd-one".to_owned(), org: "org1".to_owned(), profile: "profile1".to_owned(), ..row(3) };
                let change = store.put(odd.clone()).await.unwrap();
                model.insert(odd.id.clone(), Row { change, ..odd });
            }
            for step in steps {
                match step {
                    Step::Put(n, state, org, a, b, off) => {
                        let org = model.get(&id(n)).map_or_else(|| format!("org{org}"), |known| known.org.clone());
                        let state = RowState::ALL[state];
                        let created_us = row(n).created_us.saturating_add_signed(off);
                        let row = Row { org, state, profile: format!("profile{b}"), created_us, finished_us: Some(created_us + 9),
                            log_bytes: a, ..labelled(n, a, b) };
                        let change = store.put(row.clone()).await.unwrap();
                        model.insert(id(n), Row { change, ..row });
                    }
                    Step::Delete(n) => prop_assert_eq!(store.delete(&id(n)).await.unwrap(), model.remove(&id(n)).is_some()),
                    Step::SetLogBytes(n, bytes) => {
                        let known = store.set_log_bytes(&id(n), bytes).await.unwrap();
                        prop_assert_eq!(known, model.contains_key(&id(n)));
                        if let Some(row) = model.get_mut(&id(n)) {
                            (row.log_bytes, row.change) = (bytes, store.last_change());
                        }
                    }
                }
            }
            for query in queries {
                let rows = store.list(query.clone()).await.unwrap();
                prop_assert_eq!(ids(&rows), naive(&model, &query));
                prop_assert!(rows.iter().all(|row| model.get(&row.id) == Some(row)));
                let every = Query { before_id: None, limit: usize::MAX, ..query.clone() };
                let mut expected: Vec<&Row> = naive(&model, &every).iter().map(|id| &model[id]).collect();
                expected.sort_by_key(|row| row.change);
                let (mut changed, mut from) = (Vec::new(), 0);
                loop {
                    let changes = store.changes_after(from, query.clone(), 7).await.unwrap();
                    changed.extend(changes.rows);
                    from = changes.upto;
                    if !changes.more { break }
                }
                prop_assert_eq!(from, store.last_change());
                prop_assert_eq!(changed.iter().collect::<Vec<_>>(), expected);
            }
            let of = |state| u64::try_from(model.values().filter(|row| row.state == state).count()).unwrap();
            prop_assert_eq!(counts(&store).await, Counts { queued: of(RowState::Queued), starting: of(RowState::Starting),
                running: of(RowState::Running), finished: of(RowState::Finished) });
            for tally in store.tallies().await.unwrap() {
                let own = model.values().filter(|row| row.org == tally.org && row.state == RowState::Finished);
                prop_assert_eq!(tally.log_bytes, own.map(|row| row.log_bytes).sum::<u64>());
            }
            Ok(())
        })?;
    }
}

/// The ids of such jobs say another time than their records: a wall clock jumped, or somebody corrected it.
#[tokio::test]
async fn a_time_that_is_not_the_ids_is_found_all_the_same() {
    let (_directory, store) = fresh();
    for n in 0..5 {
        store.put(row(n)).await.unwrap();
    }
    let hour_us = 3_600_000_000;
    store.put(Row { created_us: START_US + hour_us, ..row(2) }).await.unwrap();
    store.put(Row { created_us: START_US - 2 * hour_us, ..row(9) }).await.unwrap();
    let list = async |after, before| {
        let query =
            Query { created_after_us: after, created_before_us: before, limit: 9, ..Query::default() };
        ids(&store.list(query).await.unwrap())
    };
    assert_eq!(list(Some(START_US + hour_us), None).await, [id(2)]);
    assert_eq!(list(None, Some(START_US - hour_us)).await, [id(9)]);
}

#[tokio::test]
async fn pages_are_stable_while_jobs_come_and_go() {
    let (_directory, store) = fresh();
    for n in 0..100 {
        store.put_later(row(n)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut before_id = None;
    for page in 0.. {
        let query = Query { before_id: before_id.clone(), limit: 9, ..Query::default() };
        let rows = store.list(query).await.unwrap();
        let Some(last) = rows.last() else { break };
        before_id = Some(last.id.clone());
        seen.extend(ids(&rows));
        // New ones do not shift the pages, nor does the end of the job that the page token names.
        store.put(row(1_000 + page)).await.unwrap();
        store.delete(&before_id.clone().unwrap()).await.unwrap();
    }
    assert_eq!(seen, (0..100).rev().map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_who_follows_changes_sees_each_job_and_is_woken() {
    let (_directory, store) = fresh();
    let mut changes = store.watch_changes();
    changes.mark_unchanged();
    let first = store.put(row(1)).await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(*changes.borrow_and_update(), first);
    store.put(row(2)).await.unwrap();
    let last = store.put(finished(1)).await.unwrap();
    let seen = store.changes_after(first, Query::default(), 10).await.unwrap();
    assert_eq!((ids(&seen.rows), seen.upto, seen.more), (vec![id(2), id(1)], last, false));
    // Deleted jobs leave no hole that somebody waits at.
    store.delete(&id(1)).await.unwrap();
    let seen = store.changes_after(last, Query::default(), 10).await.unwrap();
    assert_eq!((seen.rows.len(), seen.upto, seen.more), (0, store.last_change(), false));
    let seen = store.changes_after(0, Query::default(), 1).await.unwrap();
    assert_eq!((ids(&seen.rows), seen.more), (vec![id(2)], true));
}

/// Time must not depend on how many jobs there are: no statement reads a table from end to end, and none sorts.
#[tokio::test]
async fn every_question_goes_along_an_index_and_sorts_nothing() {
    let (_directory, store) = fresh();
    for n in 0..50 {
        store.put_later(Row { key: Some(n.to_string()), log_bytes: 5, ..finished(n) }).await.unwrap();
    }
    let connection = file::open_reader(&store.shared.file).unwrap();
    let mut statements: Vec<String> = read::FIND.map(str::to_owned).into();
    statements.extend([expiry::BY_AGE, expiry::BY_COUNT, expiry::BY_BYTES].map(str::to_owned));
    statements
        .extend([read::UNFINISHED, list::CHANGES].map(|rest| format!("SELECT {} {rest}", read::COLUMNS)));
    for which in ["j.id = ?1", "j.org = ?1 AND j.key = ?2"] {
        statements.push(format!("SELECT {} FROM job j WHERE {which}", read::COLUMNS));
    }
    let options = |value: &str| [None, Some(value.to_owned())];
    for org in options("default") {
        for profile in options("default") {
            for label in [BTreeMap::new(), BTreeMap::from([("a".to_owned(), "1".to_owned())])] {
                for states in [
                    vec![],
                    vec![RowState::Running, RowState::Queued],
                    vec![RowState::Finished, RowState::Queued],
                ] {
                    for (times, before_id) in [(None, None), (Some(START_US), options("job-1")[1].clone())] {
                        let query = Query {
                            org: org.clone(),
                            states: states.clone(),
                            profile: profile.clone(),
                            labels: label.clone(),
                            created_after_us: times,
                            created_before_us: times,
                            before_id,
                            limit: 5,
                        };
                        statements.push(list::plan(&connection, &query).unwrap().text);
                    }
                }
            }
        }
    }
    assert!(statements.len() > 50);
    for statement in statements {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let values = vec![rusqlite::types::Null; explain.parameter_count()];
        let plan =
            explain.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        for line in plan.map(Result::unwrap) {
            assert!(!line.contains("TEMP B-TREE"), "{statement}\n{line}");
            // A walk along an index that stops at the limit, or one that holds open jobs only.
            let walk = ["job_id", "job_open", "job_end"].map(|index| format!("SCAN j USING INDEX {index}"));
            let whole = line.starts_with("SCAN") && !walk.iter().any(|walk| line.starts_with(walk));
            assert!(!whole, "{statement}\n{line}");
        }
    }
}

#[tokio::test]
async fn a_list_reads_no_more_than_it_returns_however_many_jobs_there_are() {
    let steps = async |jobs: u64| {
        let (_directory, store) = fresh();
        let writes: Vec<_> = (0..jobs)
            .map(|n| {
                store.put_later(Row {
                    labels: labelled(n, n / 10, 0).labels,
                    org: format!("org{}", n % 3),
                    ..finished(n)
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap();
        }
        let connection = file::open_reader(&store.shared.file).unwrap();
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let queries = [
            Query::default(),
            Query { org: Some("org1".to_owned()), ..Query::default() },
            Query { org: Some("nobody".to_owned()), ..Query::default() },
            Query { states: vec![RowState::Running], ..Query::default() },
            Query { states: vec![RowState::Running], labels: [label("b", "0")].into(), ..Query::default() },
            Query { profile: Some("none".to_owned()), ..Query::default() },
            Query { labels: [label("a", "1")].into(), ..Query::default() },
            Query { labels: [label("a", "1"), label("b", "0")].into(), ..Query::default() },
            Query { created_before_us: Some(START_US + 20_000), ..Query::default() },
            Query {
                created_after_us: Some(START_US + 1_000_000_000),
                org: Some("org1".to_owned()),
                ..Query::default()
            },
            Query { before_id: Some(id(jobs / 2)), ..Query::default() },
        ];
        queries.map(|query| {
            let planned = list::plan(&connection, &Query { limit: 5, ..query }).unwrap();
            let mut statement = connection.prepare(&planned.text).unwrap();
            let rows =
                statement.query_map(rusqlite::params_from_iter(planned.values), |_| Ok(())).unwrap().count();
            (rows, statement.get_status(rusqlite::StatementStatus::VmStep))
        })
    };
    let (few, many) = (steps(200).await, steps(4_000).await);
    assert_eq!(few, many, "rows and steps of SQLite's machine");
}
