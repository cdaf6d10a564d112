//! Each test restricts a thread of its own: Landlock holds threads, not processes.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use super::*;

fn have(abi_needed: i32) -> bool {
    let enough = abi() >= abi_needed;
    if !enough {
        crate::in_child::skip(&format!("needs Landlock ABI {abi_needed}, the kernel has {}", abi()));
    }
    enough
}

fn request<'a>(rules: &'a [(BorrowedFd<'a>, Access)]) -> Request<'a> {
    Request { floor_abi: 1, rules, deny_tcp: false, scope_signals: false, scope_abstract_sockets: false }
}

/// Runs an act on a thread that is held to the rules; the result leaves the thread, the restriction not.
fn held<T: Send>(rules: &[(&Path, Access)], act: impl FnOnce() -> T + Send) -> T {
    let files: Vec<(File, Access)> =
        rules.iter().map(|(path, access)| (File::open(path).unwrap(), *access)).collect();
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let rules: Vec<_> = files.iter().map(|(file, access)| (file.as_fd(), *access)).collect();
                nix::sys::prctl::set_no_new_privs().unwrap();
                restrict(&request(&rules)).unwrap();
                act()
            })
            .join()
            .unwrap()
    })
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_request_without_rules_is_refused() {
    assert_eq!(prepare(&request(&[])).unwrap_err().errno, Errno::EINVAL);
}

#[test]
fn a_kernel_below_the_floor_is_refused() {
    let root = File::open("/").unwrap();
    let rules = [(root.as_fd(), Access::ReadExecute)];
    let error = prepare(&Request { floor_abi: abi() + 1, ..request(&rules) }).unwrap_err();
    assert_eq!(error.errno, Errno::EOPNOTSUPP);
}

#[test]
fn the_report_says_whether_the_kernel_had_all_of_the_request() {
    if !have(1) {
        return;
    }
    let root = File::open("/").unwrap();
    let rules = [(root.as_fd(), Access::ReadExecute)];
    let plain = prepare(&request(&rules)).unwrap().restricted();
    assert_eq!(plain, Restricted { abi: abi().min(9), fully_enforced: abi() >= 5 });
    let scoped = prepare(&Request { scope_signals: true, ..request(&rules) }).unwrap().restricted();
    assert_eq!(scoped.fully_enforced, abi() >= 6);
}

#[test]
fn without_no_new_privs_and_without_privilege_nobody_is_restricted() {
    if !have(1) {
        return;
    }
    let error = std::thread::spawn(|| {
        let root = File::open("/").unwrap();
        let rules = [(root.as_fd(), Access::ReadExecute)];
        let prepared = prepare(&request(&rules)).unwrap();
        ::caps::clear(None, ::caps::CapSet::Effective).unwrap();
        prepared.restrict_self().unwrap_err()
    })
    .join()
    .unwrap();
    assert_eq!(error.errno, Errno::EPERM);
}

#[test]
fn writing_is_refused_outside_the_writable_tree_and_allowed_inside() {
    if !have(3) {
        return;
    }
    let inside = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "text").unwrap();
    let rules = [(Path::new("/"), Access::ReadExecute), (inside.path(), Access::ReadWrite)];
    held(&rules, || {
        assert_eq!(kind(fs::write(inside.path().join("new"), "text")), None);
        fs::create_dir(inside.path().join("a")).unwrap();
        assert_eq!(kind(fs::rename(inside.path().join("new"), inside.path().join("a/new"))), None);
        let denied = Some(ErrorKind::PermissionDenied);
        assert_eq!(kind(fs::read(outside.path().join("file"))), None);
        assert_eq!(kind(fs::write(outside.path().join("new"), "text")), denied);
        assert_eq!(kind(fs::create_dir(outside.path().join("new"))), denied);
        assert_eq!(kind(fs::remove_file(outside.path().join("file"))), denied);
        assert_eq!(kind(nix::unistd::truncate(&outside.path().join("file"), 0).map_err(Into::into)), denied);
    });
    assert_eq!(fs::read_to_string(outside.path().join("file")).unwrap(), "text");
}

#[test]
fn a_no_exec_tree_is_written_but_not_executed_from() {
    if !have(1) {
        return;
    }
    let shm = tempfile::tempdir().unwrap();
    let program = shm.path().join("true");
    let rules = [(Path::new("/"), Access::Read), (shm.path(), Access::ReadWriteNoExec)];
    let code = held(&rules, || {
        fs::copy("/bin/true", &program).unwrap();
        std::process::Command::new(&program).status().map_err(|error| error.kind())
    });
    assert_eq!(code.unwrap_err(), ErrorKind::PermissionDenied);
    assert!(
        std::process::Command::new(&program).status().unwrap().success(),
        "the copy itself must be able to run"
    );
}

#[test]
fn a_plain_file_can_carry_a_rule() {
    if !have(1) {
        return;
    }
    let rules = [(Path::new("/"), Access::Read), (Path::new("/dev/null"), Access::WriteFile)];
    held(&rules, || {
        assert_eq!(kind(fs::write("/dev/null", "text")), None);
        assert_eq!(kind(File::options().write(true).open("/dev/zero")), Some(ErrorKind::PermissionDenied));
    });
}

#[test]
fn tcp_is_refused_only_when_asked() {
    if !have(4) {
        return;
    }
    let bind = |deny_tcp| {
        std::thread::spawn(move || {
            let root = File::open("/").unwrap();
            let rules = [(root.as_fd(), Access::Read)];
            nix::sys::prctl::set_no_new_privs().unwrap();
            restrict(&Request { deny_tcp, ..request(&rules) }).unwrap();
            kind(std::net::TcpListener::bind("127.0.0.1:0"))
        })
        .join()
        .unwrap()
    };
    assert_eq!(bind(true), Some(ErrorKind::PermissionDenied));
    assert_eq!(bind(false), None);
}

#[test]
fn a_signal_to_a_process_outside_is_refused_when_scoped() {
    if !have(6) {
        return;
    }
    let send = |scope_signals| {
        // Asks without sending: signal 0 to our parent, which is outside of every domain made here.
        std::thread::spawn(move || {
            let root = File::open("/").unwrap();
            let rules = [(root.as_fd(), Access::Read)];
            nix::sys::prctl::set_no_new_privs().unwrap();
            restrict(&Request { scope_signals, ..request(&rules) }).unwrap();
            nix::sys::signal::kill(nix::unistd::getppid(), None)
        })
        .join()
        .unwrap()
    };
    assert_eq!(send(false), Ok(()));
    assert_eq!(send(true), Err(nix::errno::Errno::EPERM));
}

#[test]
fn an_abstract_socket_made_outside_cannot_be_reached_when_scoped() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    if !have(6) {
        return;
    }
    let address = SocketAddr::from_abstract_name(format!("landlock-test-{}", std::process::id())).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let connect = |scope_abstract_sockets| {
        let address = address.clone();
        std::thread::spawn(move || {
            let root = File::open("/").unwrap();
            let rules = [(root.as_fd(), Access::Read)];
            nix::sys::prctl::set_no_new_privs().unwrap();
            restrict(&Request { scope_abstract_sockets, ..request(&rules) }).unwrap();
            kind(UnixStream::connect_addr(&address))
        })
        .join()
        .unwrap()
    };
    assert_eq!(connect(false), None);
    assert_eq!(connect(true), Some(ErrorKind::PermissionDenied));
}
