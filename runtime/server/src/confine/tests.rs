//! What a confined thread can and cannot do. The walls hold one thread and its children, so each test gives
//! them to a thread of its own.

use super::*;
use std::io::ErrorKind;

fn confined<R: Send + 'static>(body: impl FnOnce(&Path) -> R + Send + 'static) -> R {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().to_owned();
    let thread = std::thread::spawn(move || {
        confine(&path).unwrap();
        body(&path)
    });
    thread.join().unwrap()
}

#[test]
fn files_are_reached_beneath_the_state_directory_only() {
    if landlock::abi() == 0 {
        assert_ne!(std::env::var("RUNTIME_TESTS_MUST_RUN").as_deref(), Ok("1"), "no landlock");
        println!("SKIP: this kernel has no landlock");
        return;
    }
    confined(|state| {
        std::fs::create_dir(state.join("jobs")).unwrap();
        std::fs::write(state.join("jobs/log"), "x").unwrap();
        assert_eq!(std::fs::read(state.join("jobs/log")).unwrap(), b"x");
        std::fs::remove_dir_all(state.join("jobs")).unwrap();
        for path in ["/etc/passwd", "/proc/self/status", "/dev/null"] {
            assert_eq!(std::fs::read(path).unwrap_err().kind(), ErrorKind::PermissionDenied, "{path}");
        }
    });
}

#[test]
fn no_program_no_socket_and_no_signal_but_threads() {
    confined(|_| {
        let program = std::process::Command::new("/bin/true").status();
        assert_eq!(program.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let socket = std::net::TcpStream::connect("127.0.0.1:9");
        assert_eq!(socket.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let listener = std::net::TcpListener::bind("127.0.0.1:0");
        assert_eq!(listener.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let unix = std::os::unix::net::UnixDatagram::unbound();
        assert_eq!(unix.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
    });
}

#[test]
fn tokio_works_inside() {
    let answer = confined(|_| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut left, mut right) = tokio::net::UnixStream::pair().unwrap();
            let signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            assert!(signals.is_ok());
            let echo = tokio::spawn(async move {
                let mut byte = [0];
                tokio::io::AsyncReadExt::read_exact(&mut right, &mut byte).await.unwrap();
                byte[0]
            });
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tokio::io::AsyncWriteExt::write_all(&mut left, &[42]).await.unwrap();
            let blocking = tokio::task::spawn_blocking(|| 1).await.unwrap();
            echo.await.unwrap() + blocking
        })
    });
    assert_eq!(answer, 43);
}

/// Every way into the store that a server takes: a new file, one that was closed, and one whose process was killed.
#[test]
fn the_store_works_inside() {
    use crate::store::{Health, Query, Row, RowState, Store, StoreOptions, Submitted};
    let row = |n: u64| Row {
        id: format!("job-{n}"),
        org: "default".to_owned(),
        state: RowState::Queued,
        profile: "default".to_owned(),
        labels: [("n".to_owned(), n.to_string())].into(),
        priority: 0,
        created_us: n,
        started_us: None,
        finished_us: None,
        key: Some(n.to_string()),
        spec_digest: [0; 32],
        log_bytes: 0,
        // Large rows: the log grows past the size at which SQLite moves it into the file.
        record: vec![1; 200_000],
        spec: None,
        change: 0,
    };
    confined(move |state| {
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        threads.block_on(async {
            let store = Store::open(state, StoreOptions::default()).unwrap();
            for n in 0..40 {
                assert!(matches!(store.submit(row(n)).await, Ok(Submitted::New(_))), "{n}");
            }
            let copy = state.join("copy");
            std::fs::create_dir(&copy).unwrap();
            for name in ["store.sqlite", "store.sqlite-wal"] {
                let bytes = std::fs::read(state.join(name)).unwrap();
                std::fs::write(copy.join(name), bytes).unwrap();
            }
            store.delete("job-7").await.unwrap();
            store.close().await;
            assert!(!state.join("store.sqlite-wal").exists(), "it was not closed properly");
            let every = || Query { limit: 100, ..Query::default() };
            let store = Store::open(state, StoreOptions::default()).unwrap();
            assert_eq!(store.list(every()).await.unwrap().len(), 39);
            store.put(row(7)).await.unwrap();
            assert_eq!(store.health(), Health::Ok);
            // As a killed process leaves it.
            let store = Store::open(&copy, StoreOptions::default()).unwrap();
            assert_eq!(store.list(every()).await.unwrap().len(), 40);
        });
    });
}

#[test]
fn the_store_works_in_a_state_directory_behind_a_link() {
    use crate::store::{Store, StoreOptions};
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("real")).unwrap();
    let link = place.path().join("link");
    std::os::unix::fs::symlink("real", &link).unwrap();
    let thread = std::thread::spawn(move || {
        confine(&link).unwrap();
        drop(Store::open(&link, StoreOptions::default()).unwrap());
    });
    thread.join().unwrap();
    assert!(place.path().join("real/store.sqlite").exists());
}
