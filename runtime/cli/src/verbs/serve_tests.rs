use super::sockets::make_room;
use super::*;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn settings(listen: &[&str], insecure_tcp: bool, fault: &[&str]) -> Settings {
    let args = ServeArgs {
        listen: listen.iter().map(Into::into).collect(),
        insecure_tcp,
        fault: fault.iter().map(|text| text.to_string()).collect(),
        ..Default::default()
    };
    settings::merge(&args, Default::default()).unwrap()
}

fn surroundings() -> Surroundings {
    let uid = runtime_sys::process::effective_uid();
    Surroundings { uid, run_dir: "/run/runtime".into(), ..Default::default() }
}

#[test]
fn tcp_needs_the_flag_and_a_loopback_address() {
    let of = |listen: &[&str], insecure| endpoints(&settings(listen, insecure, &[]), &surroundings());
    assert_eq!(of(&[], false).unwrap(), [Endpoint::Unix("/run/runtime/api.sock".into())]);
    assert_eq!(of(&["unix:/a", "http://127.0.0.1:1"], true).unwrap().len(), 2);
    assert_eq!(of(&["http://127.0.0.1:0", "http://127.0.0.1:0"], true).unwrap().len(), 2);
    let table = [
        (of(&["http://127.0.0.1:1"], false), "--insecure-tcp"),
        (of(&["http://0.0.0.0:1"], true), "loopback"),
        (of(&["https://127.0.0.1:1"], true), "TLS"),
        (of(&["unix:/a", "unix:/a"], false), "twice"),
        (of(&["/a"], false), "no endpoint"),
    ];
    for (refused, words) in table {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn faults_are_for_unix_sockets() {
    let of = |listen: &[&str]| endpoints(&settings(listen, true, &["oom=1"]), &surroundings());
    assert_eq!(of(&["unix:/a"]).unwrap().len(), 1);
    assert!(of(&["unix:/a", "http://127.0.0.1:1"]).unwrap_err().to_string().contains("--fault"));
}

#[test]
fn a_stale_socket_makes_room_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let uid = surroundings().uid;
    let path = folder.path().join("api.sock");
    make_room(&path, uid).unwrap();

    let live = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let message = make_room(&path, uid).unwrap_err().to_string();
    assert!(message.contains("another daemon listens"), "{message}");
    let message = make_room(&path, uid + 1).unwrap_err().to_string();
    assert!(message.contains("belongs to uid"), "{message}");

    drop(live);
    make_room(&path, uid).unwrap();
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    let message = make_room(&path, uid).unwrap_err().to_string();
    assert!(message.contains("is no socket"), "{message}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// Names the socket for the child of the test below.
const DYING: &str = "RUNTIME_TEST_DYING_SOCKET";

#[test]
#[expect(clippy::zombie_processes, reason = "the holder outlives its parent on purpose, and ends by itself")]
fn a_daemon_that_is_dying_is_waited_for() {
    use std::process::{Command, Stdio};
    if let Some(path) = std::env::var_os(DYING) {
        // The child: it makes the socket, leaves it to a process of its own, as a launcher does to a server, and ends.
        let socket = std::os::unix::net::UnixListener::bind(path).unwrap();
        let mut holder = Command::new("sleep");
        holder.arg("1").stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(Stdio::null());
        holder.spawn().unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "verbs::serve::tests::a_daemon_that_is_dying_is_waited_for"])
        .env(DYING, &path)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(child.success() && std::os::unix::net::UnixStream::connect(&path).is_ok(), "the holder listens");
    make_room(&path, surroundings().uid).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_socket_is_private_or_the_groups_and_goes_when_we_stop_before_serving() {
    let folder = tempfile::tempdir().unwrap();
    for (group, mode) in [(None, 0o600), (Some(runtime_sys::process::effective_gid()), 0o660)] {
        let path = folder.path().join("api.sock");
        let mut bound = Bound::default();
        bound.unix.push(listen_unix(path.clone(), group, &surroundings()).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, mode);
        drop(bound);
        assert!(!path.exists());
    }
}

#[test]
fn a_group_is_found_by_name_or_number() {
    assert_eq!(group_in("root:x:0:\nwheel:x:10:a,b\n", "wheel"), Some(10));
    assert_eq!(group_in("root:x:0:\n", "wheel"), None);
    assert_eq!(group_in("broken\n", "broken"), None);
    assert_eq!(group("1234").unwrap(), 1234);
    assert!(group("no-such-group-here").unwrap_err().to_string().contains("/etc/group"));
}

#[test]
fn the_state_is_kept_where_one_says_or_at_home() {
    assert_eq!(state_dir(Some("/s".into()), &surroundings()).unwrap(), Path::new("/s"));
    let homeless = Surroundings { uid: 1, ..Default::default() };
    assert!(state_dir(None, &homeless).unwrap_err().to_string().contains("--state-dir"));
}

#[test]
fn only_our_own_socket_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let first = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let ours = Socket::at(&path).unwrap();
    std::fs::rename(&path, folder.path().join("kept")).unwrap();
    let _second = std::os::unix::net::UnixListener::bind(&path).unwrap();
    ours.remove().unwrap();
    assert!(path.exists(), "it is another daemon's");
    std::fs::rename(folder.path().join("kept"), &path).unwrap();
    ours.remove().unwrap();
    assert!(!path.exists());
    ours.remove().unwrap();
    drop(first);
}
