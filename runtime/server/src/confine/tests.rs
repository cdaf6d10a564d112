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
