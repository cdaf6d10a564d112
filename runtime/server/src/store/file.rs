//! The file: made, opened for the writer and for readers, and looked at before anybody trusts it.

use super::schema::{self, MIGRATIONS, number};
use super::{Health, Shared, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Its name in the state directory.
pub(super) const NAME: &str = "store.sqlite";
/// How long a statement waits for a lock that another program has, an operator's sqlite3 for example.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// A file of this size is checked before it serves, which takes about a second; a larger one while it serves.
const CHECKED_FIRST_BYTES_MAX: u64 = 256 << 20;
/// The first bytes of every SQLite file (sqlite.org/fileformat2.html, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// A file that can be read, and perhaps written.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Why it cannot be written now.
    pub(super) unwell: Option<StoreError>,
    /// It is large, and somebody should check it while it serves.
    pub(super) unchecked: bool,
}

/// Opens the file for its one writer, after all checks and migrations. `boot` is the kernel's boot id: what a process
/// had written survives that process, so the whole file is read only when the host went down without a farewell.
/// `passing`: the file goes with this process, so nothing of it waits for the disk.
///
/// # Errors
/// The file is damaged, newer, not ours, or the disk refuses.
pub(super) fn open_writer(file: &Path, boot: &str, passing: bool) -> Result<Opened, StoreError> {
    let failed = |act| move |error: rusqlite::Error| StoreError::of(act, file, &error);
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
    made.map_err(|error| StoreError::of_io("make", file, &error))?;
    let unclean = holds_bytes(&with_suffix(file, "-wal"));
    check_header(file, unclean)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(failed("open"))?;
    set_up(&connection).map_err(failed("open"))?;
    // First, for what makes the file waits for the disk as well.
    let synchronous = if passing { "off" } else { "full" };
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed("open"))?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(failed("open"))?;
    if mode != "wal" {
        let detail = "this file system takes no write-ahead log".to_owned();
        return Err(StoreError::Io { act: "open", detail });
    }
    connection.pragma_update(None, "cache_size", -16_384).map_err(failed("open"))?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(failed("open"))?;
    schema::migrate(&mut connection, file, MIGRATIONS)?;
    let booted: String = connection
        .query_row("SELECT value FROM meta WHERE name = 'boot'", [], |row| row.get(0))
        .map_err(failed("read"))?;
    let suspect = unclean && (boot.is_empty() || booted != boot);
    let unchecked =
        suspect && std::fs::metadata(file).is_ok_and(|found| found.len() > CHECKED_FIRST_BYTES_MAX);
    if suspect && !unchecked {
        check_pages(&connection, file)?;
    }
    check_length(&connection, file)?;
    let kept = match booted == boot {
        true => Ok(0),
        false => connection.execute("UPDATE meta SET value = ?1 WHERE name = 'boot'", [boot]),
    };
    // On a full disk there are still jobs to be adopted and records to be read.
    let unwell = kept.err().map(|error| StoreError::of("write", file, &error));
    Ok(Opened { connection, unwell, unchecked })
}

/// Opens it for one reader.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    set_up(&connection)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Statement journals and sorters would go to files in /tmp, which the confined server cannot reach.
    connection.pragma_update(None, "temp_store", "memory")
}

fn with_suffix(file: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The write-ahead log is removed by the last connection that closes: bytes in it mean that nobody closed.
fn holds_bytes(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.len() > 0)
}

/// An empty file is a new one, unless a log beside it says that there was more.
fn check_header(file: &Path, unclean: bool) -> Result<(), StoreError> {
    let mut header = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(100).read_to_end(&mut header));
    read.map_err(|error| StoreError::of_io("read", file, &error))?;
    let corrupt = |detail: &str| StoreError::Corrupt { file: file.to_owned(), detail: detail.to_owned() };
    if header.is_empty() {
        return if unclean { Err(corrupt("it is empty, but its log is not")) } else { Ok(()) };
    }
    if header.len() < 100 {
        return Err(corrupt("it ends within its header"));
    }
    if header.starts_with(MAGIC) { Ok(()) } else { Err(corrupt("it does not begin as a SQLite file does")) }
}

/// Checks every page on a thread of its own. What it finds is the store's health.
///
/// # Errors
/// There is no thread.
pub(super) fn check_while_serving(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let check = move || {
        let opened = open_reader(&shared.file).map_err(|error| StoreError::of("check", &shared.file, &error));
        match opened.and_then(|connection| check_pages(&connection, &shared.file)) {
            Ok(()) => tracing::info!("the records of jobs are sound"),
            Err(error) => {
                tracing::error!("the records of jobs were not found sound: {error}");
                shared.note_damage(&error);
            }
        }
    };
    std::thread::Builder::new().name("runtime-check".to_owned()).spawn(check)
}

/// Reads every page.
fn check_pages(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    tracing::info!("nobody closed the records of jobs: reading all of them once");
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| StoreError::of("check", file, &error))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt { file: file.to_owned(), detail: found.replace('\n', " ") })
}

/// Moves the log into the file and looks whether the file is as long as it says. A full disk does not matter here.
fn check_length(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::of("check", file, &error);
    let moved = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    match moved {
        Ok(0) => {}
        Ok(_) => return Ok(()),
        Err(error) => {
            return match StoreError::of("check", file, &error) {
                damaged @ StoreError::Corrupt { .. } => Err(damaged),
                other => {
                    tracing::warn!(health = ?Health::of(&other), "the log of the records was not moved into the file");
                    Ok(())
                }
            };
        }
    }
    let pages = number(connection, "PRAGMA page_count").map_err(failed)?;
    let page_bytes = number(connection, "PRAGMA page_size").map_err(failed)?;
    let length = std::fs::metadata(file).map_err(|error| StoreError::of_io("check", file, &error))?.len();
    let expected = u64::try_from(pages.saturating_mul(page_bytes)).unwrap_or(u64::MAX);
    if length < expected {
        let detail = format!("it has {length} of {expected} bytes");
        return Err(StoreError::Corrupt { file: file.to_owned(), detail });
    }
    Ok(())
}
