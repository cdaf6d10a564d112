//! Rows come back as they went in; keys, prefixes, changes.

use super::*;

#[tokio::test]
async fn a_row_comes_back_whole_also_after_a_restart() {
    let (directory, store) = fresh();
    let full = Row {
        org: "acme".to_owned(),
        state: RowState::Running,
        profile: "python".to_owned(),
        labels: BTreeMap::from([("team".to_owned(), "\"quoted\" \u{e4}\n".to_owned())]),
        priority: -3,
        started_us: Some(START_US + 5),
        key: Some("a key".to_owned()),
        record: vec![0, 255, 10],
        spec: Some(StoredSpec { sealed: true, bytes: vec![1; 100_000] }),
        ..row(1)
    };
    let change = store.put(full.clone()).await.unwrap();
    let expected = Row { change, ..full };
    assert_eq!(store.get(&id(1)).await.unwrap(), Some(expected.clone()));
    store.close().await;
    assert_eq!(store.get(&id(1)).await, Err(StoreError::Closed));
    assert_eq!(store.put(row(2)).await, Err(StoreError::Closed));
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    assert_eq!(store.get(&id(1)).await.unwrap(), Some(expected));
    assert_eq!(store.last_change(), change);
}

#[tokio::test]
async fn an_update_replaces_everything_and_a_spec_goes_when_it_is_left_out() {
    let (_directory, store) = fresh();
    let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let spec = Some(StoredSpec { sealed: false, bytes: vec![5; 9] });
    let first = store.put(Row { labels, spec, ..row(1) }).await.unwrap();
    let labels = BTreeMap::from([("b".to_owned(), "2".to_owned())]);
    let second =
        Row { labels: labels.clone(), state: RowState::Running, profile: "node".to_owned(), ..row(1) };
    let change = store.put(second.clone()).await.unwrap();
    assert!(change > first);
    assert_eq!(store.get(&id(1)).await.unwrap(), Some(Row { change, ..second }));
    let with = |labels, profile: Option<&str>| Query {
        labels,
        profile: profile.map(str::to_owned),
        limit: 9,
        ..Query::default()
    };
    assert_eq!(store.list(with(labels, Some("node"))).await.unwrap().len(), 1);
    let old = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    assert_eq!(store.list(with(old, None)).await.unwrap(), []);
    assert_eq!(store.list(with(BTreeMap::new(), Some("default"))).await.unwrap(), []);
}

#[tokio::test]
async fn a_key_names_one_job_of_its_org_as_long_as_the_job_is_there() {
    let (directory, store) = fresh();
    let keyed = |n| Row { key: Some("k".to_owned()), ..row(n) };
    let Submitted::New(change) = store.submit(keyed(1)).await.unwrap() else { panic!("not new") };
    store.close().await;
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    let known = Box::new(Row { change, ..keyed(1) });
    assert_eq!(store.submit(keyed(2)).await.unwrap(), Submitted::Existing(known));
    let other = Row { spec_digest: [8; 32], ..keyed(3) };
    assert_eq!(store.submit(other.clone()).await.unwrap(), Submitted::Conflict(id(1)));
    assert_eq!(store.put(keyed(4)).await, Err(StoreError::KeyTaken));
    let elsewhere = Row { org: "acme".to_owned(), ..keyed(5) };
    assert!(matches!(store.submit(elsewhere).await.unwrap(), Submitted::New(_)));
    assert!(matches!(store.submit(row(6)).await.unwrap(), Submitted::New(_)));
    assert!(matches!(store.submit(row(7)).await.unwrap(), Submitted::New(_)));
    assert!(store.delete(&id(1)).await.unwrap());
    assert!(!store.delete(&id(1)).await.unwrap());
    assert!(matches!(store.submit(other).await.unwrap(), Submitted::New(_)));
}

#[tokio::test]
async fn of_many_submits_with_one_key_at_once_one_is_new() {
    let (_directory, store) = fresh();
    let submits = (0..200).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.submit(Row { key: Some("k".to_owned()), ..row(n) }).await.unwrap() })
    });
    let mut new = 0;
    let mut answered = std::collections::BTreeSet::new();
    for submit in submits.collect::<Vec<_>>() {
        match submit.await.unwrap() {
            Submitted::New(_) => new += 1,
            Submitted::Existing(row) => assert!(answered.insert(row.id) || answered.len() == 1),
            Submitted::Conflict(id) => panic!("{id}"),
        }
    }
    assert_eq!((new, answered.len()), (1, 1));
    assert_eq!(counts(&store).await, Counts { queued: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_prefix_finds_one_many_or_none() {
    let (_directory, store) = fresh();
    for (id, org) in [("job-ab1", "x"), ("job-ab2", "y"), ("job-ab", "y"), ("job-b", "x")] {
        store.put(Row { id: id.to_owned(), org: org.to_owned(), ..row(1) }).await.unwrap();
    }
    let find = async |org, prefix| match store.find(org, prefix).await.unwrap() {
        Found::None => vec![],
        Found::One(row) => vec![row.id],
        Found::Many(ids) => ids,
    };
    assert_eq!(find(None, "job-a").await, ["job-ab", "job-ab1", "job-ab2"]);
    assert_eq!(find(None, "job-ab").await, ["job-ab"]);
    assert_eq!(find(Some("x"), "job-a").await, ["job-ab1"]);
    assert_eq!(find(Some("x"), "job-ab").await, ["job-ab1"]);
    assert_eq!(find(Some("x"), "job-ab2").await, Vec::<String>::new());
    assert_eq!(find(None, "job-ab2").await, ["job-ab2"]);
    assert_eq!(find(None, "job-c").await, Vec::<String>::new());
    assert_eq!(find(None, "job-%").await, Vec::<String>::new());
    for n in 0..20 {
        store.put(Row { id: format!("job-many{n}"), ..row(1) }).await.unwrap();
    }
    assert_eq!(find(None, "job-many").await.len(), FOUND_MAX);
}

#[tokio::test]
async fn writes_that_are_queued_keep_their_order_and_outlive_their_future() {
    let (directory, store) = fresh();
    for n in 0..100 {
        drop(store.put_later(Row { priority: n, ..row(1) }));
    }
    let last = store.put_later(Row { priority: 100, ..row(1) });
    drop(store.put_later(row(2)));
    last.await.unwrap();
    assert_eq!(store.get(&id(1)).await.unwrap().unwrap().priority, 100);
    store.close().await;
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    assert!(store.get(&id(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn unfinished_jobs_come_oldest_first_with_their_specs() {
    let (_directory, store) = fresh();
    let spec = Some(StoredSpec { sealed: true, bytes: vec![3; 3] });
    for n in [3, 1, 2] {
        store
            .put(Row { spec: spec.clone(), state: RowState::ALL[usize::try_from(n).unwrap() - 1], ..row(n) })
            .await
            .unwrap();
    }
    store.put(finished(4)).await.unwrap();
    let rows = store.unfinished().await.unwrap();
    assert_eq!(ids(&rows), [id(1), id(2), id(3)]);
    assert!(rows.iter().all(|row| row.spec == spec));
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_and_harms_no_other_write() {
    let (_directory, store) = fresh();
    let good = store.put_later(row(1));
    let bad = [
        Row { id: String::new(), ..row(2) },
        Row { id: "x".repeat(ID_BYTES_MAX + 1), ..row(2) },
        Row { key: Some("x".repeat(KEY_BYTES_MAX + 1)), ..row(2) },
        Row { record: vec![0; RECORD_BYTES_MAX + 1], ..row(2) },
        Row { labels: BTreeMap::from([(String::new(), String::new())]), ..row(2) },
        Row { created_us: u64::MAX, ..row(2) },
        Row { state: RowState::Finished, finished_us: None, ..row(2) },
    ];
    for row in bad {
        assert!(matches!(store.put(row).await, Err(StoreError::Invalid(_))));
    }
    good.await.unwrap();
    assert_eq!(store.health(), Health::Ok);
    assert_eq!(store.get(&id(2)).await.unwrap(), None);
}

#[test]
fn neither_a_row_nor_an_error_prints_what_belongs_to_the_caller() {
    let secret = "hush";
    let row = Row {
        labels: BTreeMap::from([(secret.to_owned(), secret.to_owned())]),
        key: Some(secret.to_owned()),
        record: secret.into(),
        spec: Some(StoredSpec { sealed: false, bytes: secret.into() }),
        ..row(1)
    };
    let printed = format!("{row:?} {:?} {:?}", row.spec, Submitted::Existing(Box::new(row.clone())));
    assert!(!printed.contains(secret) && !printed.contains(&format!("{:?}", secret.as_bytes())), "{printed}");
}
