//! Files that are damaged, newer or another program's; migrations; what is kept how long.

use super::*;
use crate::store::{file, schema};
use rusqlite::Connection;
use std::fs;

/// A closed store with some jobs, and its file.
async fn closed(jobs: u64) -> (tempfile::TempDir, PathBuf) {
    let (directory, store) = fresh();
    for write in (0..jobs).map(|n| store.put_later(row(n))).collect::<Vec<_>>() {
        write.await.unwrap();
    }
    store.close().await;
    let file = directory.path().join(file::NAME);
    (directory, file)
}

fn open(file: &Path) -> Result<Store, StoreError> {
    Store::open(file.parent().unwrap(), StoreOptions::default())
}

fn assert_corrupt(error: &StoreError, file: &Path) {
    assert!(matches!(error, StoreError::Corrupt { file: named, .. } if named == file), "{error}");
    assert!(error.to_string().contains("put back a copy") && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_damaged_header_is_found_at_the_start() {
    for damage in [
        (|bytes| [b"garbage".as_slice(), &bytes[7..]].concat()) as fn(&[u8]) -> Vec<u8>,
        |bytes| bytes[..50].to_vec(),
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |bytes| bytes[..bytes.len() - 4_096].to_vec(),
        |bytes| [&bytes[..100], &vec![0xff; bytes.len() - 100]].concat(),
    ] {
        let (_directory, file) = closed(200).await;
        let damaged = damage(&fs::read(&file).unwrap());
        fs::write(&file, &damaged).unwrap();
        assert_corrupt(&open(&file).unwrap_err(), &file);
        assert_eq!(fs::read(&file).unwrap(), damaged, "nothing is repaired behind one's back");
    }
}

#[tokio::test]
async fn a_log_whose_file_is_gone_is_not_taken_for_a_new_store() {
    let (directory, store) = fresh();
    store.put(row(1)).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::copy(directory.path().join("store.sqlite-wal"), other.path().join("store.sqlite-wal")).unwrap();
    let file = other.path().join(file::NAME);
    assert_corrupt(&open(&file).unwrap_err(), &file);
}

/// Overwrites the pages behind the first ones, where rows are.
fn spoil_pages(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes[30 * 4_096..].fill(0xee);
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn after_an_unclean_end_of_the_host_every_page_is_looked_at() {
    let (directory, file) = closed(2_000).await;
    let store = open(&file).unwrap();
    store.put(row(5_000)).await.unwrap();
    let killed = tempfile::tempdir().unwrap();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        fs::copy(directory.path().join(name), killed.path().join(name)).unwrap();
    }
    let file = killed.path().join(file::NAME);
    spoil_pages(&file);
    assert_corrupt(&open(&file).unwrap_err(), &file);
}

#[tokio::test]
async fn a_large_file_is_looked_at_while_it_serves() {
    let (_directory, file) = closed(2_000).await;
    let sound = open(&file).unwrap();
    file::check_while_serving(Arc::clone(&sound.shared)).unwrap().join().unwrap();
    assert_eq!(sound.health(), Health::Ok);
    sound.close().await;
    spoil_pages(&file);
    let store = open(&file).unwrap();
    file::check_while_serving(Arc::clone(&store.shared)).unwrap().join().unwrap();
    assert!(matches!(store.health(), Health::Broken(words) if words.contains("put back a copy")));
}

#[tokio::test]
async fn damage_that_a_reader_finds_stays_known() {
    let (_directory, file) = closed(2_000).await;
    spoil_pages(&file);
    let store = open(&file).unwrap();
    let mut found = None;
    for n in 0..2_000 {
        if let Err(error) = store.get(&id(n)).await {
            found = Some(error);
            break;
        }
    }
    let error = found.expect("damage that nobody meets");
    assert_corrupt(&error, &file);
    assert_eq!(store.health(), Health::Broken(error.to_string()));
    // A row that happens to go well does not make the file whole.
    if store.put(row(9_000)).await.is_ok() {
        assert!(matches!(store.health(), Health::Broken(_)));
    }
}

#[tokio::test]
async fn a_newer_store_and_another_programs_are_refused() {
    let (_directory, file) = closed(1).await;
    let known = i64::try_from(schema::MIGRATIONS.len()).unwrap();
    Connection::open(&file).unwrap().pragma_update(None, "user_version", known + 1).unwrap();
    let newer = StoreError::Newer { file: file.clone(), found: known + 1, known };
    assert_eq!(open(&file).unwrap_err(), newer);
    Connection::open(&file).unwrap().pragma_update(None, "user_version", -1).unwrap();
    assert!(matches!(open(&file).unwrap_err(), StoreError::Newer { found: -1, .. }));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(file::NAME);
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert_eq!(open(&file).unwrap_err(), StoreError::NotOurs(file));
}

#[tokio::test]
async fn a_migration_is_whole_or_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("any.sqlite");
    let mut connection = Connection::open(&file).unwrap();
    let version = |connection: &Connection| schema::number(connection, "PRAGMA user_version").unwrap();
    let (one, two) = ("CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y DEFAULT 7");
    schema::migrate(&mut connection, &file, &[one]).unwrap();
    connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
    let broken = "ALTER TABLE a ADD COLUMN y; INSERT INTO nowhere VALUES (1)";
    schema::migrate(&mut connection, &file, &[one, broken]).unwrap_err();
    assert_eq!(version(&connection), 1);
    schema::migrate(&mut connection, &file, &[one, two, "CREATE TABLE b (z)"]).unwrap();
    assert_eq!(version(&connection), 3);
    assert_eq!(schema::number(&connection, "SELECT y FROM a").unwrap(), 7);
    // Again: nothing to do.
    schema::migrate(&mut connection, &file, &[one, two, "CREATE TABLE b (z)"]).unwrap();
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_and_only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(file::NAME);
    let synchronous =
        |opened: &file::Opened| schema::number(&opened.connection, "PRAGMA synchronous").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let passing = file::open_writer(&elsewhere.path().join(file::NAME), "", true).unwrap();
    assert_eq!(synchronous(&passing), 0, "OFF");
    let opened = file::open_writer(&file, "", false).unwrap();
    assert_eq!(synchronous(&opened), 2, "FULL");
    let mode: String = opened.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    opened.connection.execute("UPDATE meta SET value = 1 WHERE name = 'probe'", []).unwrap();
    for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
