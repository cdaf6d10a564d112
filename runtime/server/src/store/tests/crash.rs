//! A process that submits is killed again and again: what it was answered is there, and the file is sound.

use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where the child writes; not set in the parent.
const DIRECTORY: &str = "RUNTIME_STORE_TEST_DIRECTORY";
const ROUNDS: u64 = 20;
/// Submitters at the same time, so that groups are of several rows.
const SUBMITTERS: u64 = 8;

/// Submits and ends jobs until somebody kills it, and says what was acknowledged.
fn submit_until_killed(directory: &Path) {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        let store = Store::open(directory, StoreOptions::default()).unwrap();
        let from = store.last_change() * SUBMITTERS;
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|own| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in (from + own..).step_by(usize::try_from(SUBMITTERS).unwrap()) {
                        let key = Some(id(n));
                        let new =
                            store.submit(Row { key: key.clone(), log_bytes: 3, ..row(n) }).await.unwrap();
                        assert!(matches!(new, Submitted::New(_)));
                        say(n, "queued");
                        if n % 2 == 0 {
                            let big = vec![b'x'; usize::try_from(n % 7 * 4_000).unwrap()];
                            store.put(Row { key, record: big, log_bytes: 3, ..finished(n) }).await.unwrap();
                            say(n, "finished");
                        }
                    }
                })
            })
            .collect();
        for submitter in submitters {
            submitter.await.unwrap();
        }
    });
}

/// One write, so that no line is torn by the death of another thread.
fn say(n: u64, what: &str) {
    std::io::stdout().write_all(format!("\nacknowledged {n} {what}\n").as_bytes()).unwrap();
}

/// Starts the child, kills it after a while, and adds what it said.
fn run_and_kill(directory: &Path, after: Duration, acknowledged: &mut BTreeMap<u64, RowState>) {
    let own_name = concat!(module_path!(), "::what_was_acknowledged_outlives_any_kill");
    let (_crate, own_name) = own_name.split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([own_name, "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut killer = Some(child);
    let mut heard = 0;
    for line in lines.by_ref() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let ["acknowledged", n, what] = words.as_slice() else { continue };
        let state = if *what == "queued" { RowState::Queued } else { RowState::Finished };
        let known = acknowledged.entry(n.parse().unwrap()).or_insert(state);
        *known = state.max(*known);
        heard += 1;
        if let Some(mut child) = killer.take() {
            std::thread::spawn(move || {
                std::thread::sleep(after);
                child.kill().unwrap();
                child.wait().unwrap();
            });
        }
    }
    assert!(heard > 0, "the child acknowledged nothing");
}

#[test]
fn what_was_acknowledged_outlives_any_kill() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return submit_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for round in 0..ROUNDS {
        // Kills fall at all phases: of opening, of commits, of moving the log into the file.
        run_and_kill(directory.path(), Duration::from_millis(1 + round * 37 % 150), &mut acknowledged);
        threads.block_on(async {
            // No boot id: every page is checked.
            let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
            let mut counts = Counts::default();
            let mut last = 0;
            loop {
                let changes = store.changes_after(last, Query::default(), LIST_MAX).await.unwrap();
                for row in &changes.rows {
                    match row.state {
                        RowState::Finished => counts.finished += 1,
                        _ => counts.queued += 1,
                    }
                }
                last = changes.upto;
                if !changes.more {
                    break;
                }
            }
            assert_eq!(super::counts(&store).await, counts, "sums and rows belong together");
            for (n, state) in &acknowledged {
                let row = store.get(&id(*n)).await.unwrap().unwrap_or_else(|| panic!("job {n} is lost"));
                // The end may be committed and not yet acknowledged, and never the other way round.
                assert!(row.state >= *state, "job {n} was {state:?} and is {:?}", row.state);
            }
            let (n, _) = acknowledged.last_key_value().unwrap();
            let again = store.submit(Row { key: Some(id(*n)), ..row(*n) }).await.unwrap();
            assert!(matches!(again, Submitted::Existing(_)), "its key is lost");
            // Leaves the log for the next one to recover, every other time.
            if round % 2 == 0 {
                store.close().await;
            }
        });
    }
    assert!(acknowledged.len() > 100, "only {} were submitted", acknowledged.len());
}
