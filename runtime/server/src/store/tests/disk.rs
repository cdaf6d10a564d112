//! A disk that is full, read-only or failing, by the fault hook and for real.

use super::*;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn failing(
    kind: FaultKind,
    when: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let fault: FaultHook = Arc::new(move |n| when(n).then_some(kind));
    let store = Store::open(directory.path(), StoreOptions { fault: Some(fault), ..StoreOptions::default() });
    (directory, store.unwrap())
}

async fn wait_for(store: &Store, wanted: impl FnMut(&Health) -> bool) {
    let mut health = store.watch_health();
    tokio::time::timeout(Duration::from_secs(60), health.wait_for(wanted)).await.unwrap().unwrap();
}

/// Writes as the owner of an outcome does: again and again, until the disk takes it.
async fn put_patiently(store: &Store, row: Row) {
    while let Err(error) = store.put(row.clone()).await {
        assert!(error.is_transient(), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn each_write_that_fails_leaves_everything_as_it_was() {
    let spec = || Some(StoredSpec { sealed: true, bytes: vec![1; 10] });
    // What is to be seen after k of the five writes.
    for fails_at in 1..=5 {
        let (_directory, store) = failing(FaultKind::Io, move |n| n == fails_at);
        let keyed = |n| Row { key: Some("k".to_owned()), spec: spec(), ..row(n) };
        let answers = [
            store.submit(keyed(1)).await.map(|_| ()),
            store
                .put(Row { state: RowState::Running, key: Some("k".to_owned()), ..row(1) })
                .await
                .map(|_| ()),
            store.put(finished(1)).await.map(|_| ()),
            store.set_log_bytes(&id(1), 5).await.map(|_| ()),
            store.delete(&id(1)).await.map(|_| ()),
        ];
        let failed: Vec<usize> =
            answers.iter().enumerate().filter(|(_, answer)| answer.is_err()).map(|(k, _)| k + 1).collect();
        let expected: Vec<usize> = (1..=5).filter(|k| u64::try_from(*k).unwrap() == fails_at).collect();
        assert_eq!(failed, expected);
        let left = store.get(&id(1)).await.unwrap();
        let jobs = store.tallies().await.unwrap().len();
        match fails_at {
            5 => assert_eq!((left.unwrap().log_bytes, jobs), (5, 1)),
            _ => assert_eq!((left, jobs), (None, 0)),
        }
        // A row that was never written cannot have kept its key or its spec.
        let again = store.submit(keyed(2)).await.unwrap();
        assert!(matches!(again, Submitted::New(_)), "{again:?}");
        let tags = store
            .list(Query { profile: Some("default".to_owned()), limit: 9, ..Query::default() })
            .await
            .unwrap();
        assert_eq!(tags.len(), if fails_at == 5 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn one_failing_write_does_not_fail_its_neighbours() {
    let (_directory, store) = failing(FaultKind::NoSpace, |n| n == 5);
    let writes: Vec<_> = (1..=10).map(|n| store.put_later(row(n))).collect();
    let mut failed = Vec::new();
    for (n, write) in (1..).zip(writes) {
        if let Err(error) = write.await {
            assert!(matches!(error, StoreError::NoSpace(_)), "{error}");
            failed.push(n);
        }
    }
    assert_eq!(failed, [5]);
    assert_eq!(store.list(Query { limit: 20, ..Query::default() }).await.unwrap().len(), 9);
}

#[tokio::test]
async fn an_unwell_store_says_so_reads_on_and_recovers_without_being_asked() {
    for (kind, error_of) in [
        (FaultKind::NoSpace, Health::Full as fn(String) -> Health),
        (FaultKind::ReadOnly, Health::ReadOnly),
        (FaultKind::Io, Health::Broken),
    ] {
        let unwell = Arc::new(AtomicBool::new(false));
        let looked_at = Arc::clone(&unwell);
        let (_directory, store) = failing(kind, move |_| looked_at.load(Ordering::Relaxed));
        let change = store.put(row(1)).await.unwrap();
        assert_eq!(store.health(), Health::Ok);
        unwell.store(true, Ordering::Relaxed);
        let error = store.put(row(2)).await.unwrap_err();
        assert!(error.is_transient());
        assert_eq!(store.health(), error_of(error.to_string()));
        assert_eq!(store.get(&id(1)).await.unwrap(), Some(Row { change, ..row(1) }));
        let waiting = store.clone();
        let patient = tokio::spawn(async move { put_patiently(&waiting, row(3)).await });
        assert_eq!(store.put(row(2)).await.unwrap_err(), error);
        assert!(!patient.is_finished());
        unwell.store(false, Ordering::Relaxed);
        wait_for(&store, |health| *health == Health::Ok).await;
        patient.await.unwrap();
        assert_eq!(store.get(&id(2)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_store_at_rest_finds_out_that_the_disk_is_well_again() {
    let (_directory, store) = failing(FaultKind::NoSpace, |n| n == 1);
    store.put(row(1)).await.unwrap_err();
    assert!(matches!(store.health(), Health::Full(_)));
    wait_for(&store, |health| *health == Health::Ok).await;
}

#[tokio::test]
async fn what_waits_for_no_disk_is_told_at_once() {
    let (_directory, store) = fresh();
    let bad = Row { id: String::new(), ..row(1) };
    let error = store.put(bad).await.unwrap_err();
    assert_eq!(error, StoreError::Invalid("the id"));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn the_queue_is_bounded_and_who_can_wait_waits() {
    let (open_gate, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(Some(gate));
    let fault: FaultHook = Arc::new(move |_| {
        // Holds the writer until the other end is dropped.
        if let Some(gate) = gate.lock().unwrap().take() {
            gate.recv().unwrap_err();
        }
        None
    });
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), StoreOptions { fault: Some(fault), ..StoreOptions::default() })
        .unwrap();
    let queued: Vec<_> = (0..QUEUE_MAX).map(|_| store.put_later(row(1))).collect();
    assert_eq!(store.put_later(row(2)).await, Err(StoreError::Busy));
    let mut patient = std::pin::pin!(store.put(row(3)));
    tokio::select! {
        biased;
        answer = &mut patient => panic!("{answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    drop(open_gate);
    patient.await.unwrap();
    for write in queued {
        write.await.unwrap();
    }
    assert_eq!(store.get(&id(2)).await.unwrap(), None);
}

/// Runs this test once more, in a user and a mount namespace with a small disk at the returned place. `None` in the
/// parent, whose verdict is the child's.
fn on_a_small_disk(name: &str, bytes: &str) -> Option<PathBuf> {
    const PLACE: &str = "RUNTIME_STORE_TEST_DISK";
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(place.into());
    }
    let (_crate, module) = module_path!().split_once("::").unwrap();
    let place = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o "size=$1,mode=0700" small "$2" && shift 2 && exec "$@""#;
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", bytes])
        .arg(place.path())
        .arg(std::env::current_exe().unwrap())
        .args([&format!("{module}::{name}"), "--exact", "--nocapture"])
        .env(PLACE, place.path())
        .status();
    assert!(status.unwrap().success(), "on the small disk");
    None
}

fn large(n: u64) -> Row {
    Row { record: vec![b'r'; 60_000], ..row(n) }
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_recovers() {
    let Some(place) = on_a_small_disk("a_full_disk_refuses_loses_nothing_and_recovers", "16m") else {
        return;
    };
    let ballast = place.join("ballast");
    std::fs::write(&ballast, vec![0; 10 << 20]).unwrap();
    let options = || StoreOptions { boot_id: "this".to_owned(), ..StoreOptions::default() };
    let store = Store::open(&place, options()).unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        match store.put(large(acknowledged)).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::NoSpace(place.clone()));
    assert!(acknowledged > 5, "{acknowledged}");
    assert!(matches!(store.health(), Health::Full(_)));
    let all_there = async |store: &Store| {
        for n in 0..acknowledged {
            let row = store.get(&id(n)).await.unwrap().unwrap_or_else(|| panic!("job {n} is lost"));
            assert_eq!(row.record, large(n).record);
        }
    };
    all_there(&store).await;
    let patient = {
        let store = store.clone();
        tokio::spawn(async move { put_patiently(&store, large(1_000)).await })
    };
    // Whatever is free now, somebody takes it.
    let filled = std::fs::write(place.join("filler"), vec![0; 16 << 20]);
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert!(matches!(store.put(large(2_000)).await, Err(StoreError::NoSpace(_))));
    // As after a kill: the files as they are, opened by another server after another boot.
    let killed = tempfile::tempdir().unwrap();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        std::fs::copy(place.join(name), killed.path().join(name)).unwrap();
    }
    let copy =
        Store::open(killed.path(), StoreOptions { boot_id: "next".to_owned(), ..StoreOptions::default() })
            .unwrap();
    all_there(&copy).await;
    copy.close().await;
    std::fs::remove_file(&ballast).unwrap();
    patient.await.unwrap();
    wait_for(&store, |health| *health == Health::Ok).await;
    store.put(large(2_000)).await.unwrap();
    all_there(&store).await;
    store.close().await;
    all_there(&Store::open(&place, options()).unwrap()).await;
}

#[tokio::test]
async fn a_server_that_starts_on_a_full_disk_reads_and_says_that_it_is_full() {
    let name = "a_server_that_starts_on_a_full_disk_reads_and_says_that_it_is_full";
    let Some(place) = on_a_small_disk(name, "4m") else { return };
    let options = |boot: &str| StoreOptions { boot_id: boot.to_owned(), ..StoreOptions::default() };
    let store = Store::open(&place, options("one")).unwrap();
    store.put(row(1)).await.unwrap();
    store.close().await;
    // The room that the index of the log needs (32 KiB), and no more.
    std::fs::write(place.join("room"), vec![0; 32 << 10]).unwrap();
    std::fs::write(place.join("filler"), vec![0; 16 << 20]).unwrap_err();
    std::fs::remove_file(place.join("room")).unwrap();
    let store = Store::open(&place, options("two")).unwrap();
    assert!(matches!(store.health(), Health::Full(_)), "{:?}", store.health());
    assert!(store.get(&id(1)).await.unwrap().is_some());
    assert!(matches!(store.put(large(2)).await, Err(StoreError::NoSpace(_))));
    std::fs::remove_file(place.join("filler")).unwrap();
    wait_for(&store, |health| *health == Health::Ok).await;
    store.put(large(2)).await.unwrap();
}

#[tokio::test]
async fn no_store_can_be_made_on_a_full_disk_and_the_error_says_so() {
    let name = "no_store_can_be_made_on_a_full_disk_and_the_error_says_so";
    let Some(place) = on_a_small_disk(name, "1m") else { return };
    std::fs::write(place.join("filler"), vec![0; 16 << 20]).unwrap_err();
    let error = Store::open(&place, StoreOptions::default()).unwrap_err();
    assert_eq!(error, StoreError::NoSpace(place.clone()));
    assert!(error.to_string().contains("free some space"), "{error}");
    std::fs::remove_file(place.join("filler")).unwrap();
    Store::open(&place, StoreOptions::default()).unwrap().put(row(1)).await.unwrap();
}

#[tokio::test]
async fn a_read_only_directory_is_named_as_such() {
    let Some(place) = on_a_small_disk("a_read_only_directory_is_named_as_such", "4m") else { return };
    let store = Store::open(&place, StoreOptions::default()).unwrap();
    store.put(row(1)).await.unwrap();
    store.close().await;
    // With its source, or mount(8) repeats the options that stand in /proc: a uid that this namespace lacks.
    let remount = |how: &str| {
        let status = Command::new("mount").args(["-o", how, "small"]).arg(&place).status();
        assert!(status.unwrap().success(), "{how}");
    };
    remount("remount,ro");
    assert_eq!(
        Store::open(&place, StoreOptions::default()).unwrap_err(),
        StoreError::ReadOnly(place.clone())
    );
    remount("remount,rw");
    let store = Store::open(&place, StoreOptions::default()).unwrap();
    assert!(store.get(&id(1)).await.unwrap().is_some());
}
