use super::*;

fn unix(path: &str) -> Endpoint {
    Endpoint::Unix(path.into())
}

#[test]
fn endpoints_are_read_by_their_forms() {
    let good = [
        ("unix:/run/a.sock", unix("/run/a.sock")),
        ("unix:///run/a.sock", unix("/run/a.sock")),
        ("unix:a.sock", unix("a.sock")),
        ("http://127.0.0.1:50", Endpoint::Http(([127, 0, 0, 1], 50).into())),
        ("http://127.8.9.1:50/", Endpoint::Http(([127, 8, 9, 1], 50).into())),
        ("http://localhost:7", Endpoint::Http(([127, 0, 0, 1], 7).into())),
        ("http://[::1]:7", Endpoint::Http("[::1]:7".parse().unwrap())),
    ];
    for (text, endpoint) in good {
        assert_eq!(parse(text.as_ref()), Ok(endpoint), "{text}");
    }
}

#[test]
fn what_is_no_endpoint_is_refused_with_its_reason() {
    let forms = [
        "",
        "unix:",
        "/run/a.sock",
        "http://",
        "http://:80",
        "http://127.0.0.1",
        "http://localhost:x",
        "ftp://x:1",
    ];
    for text in forms {
        assert!(matches!(parse(text.as_ref()), Err(EndpointError::Form { .. })), "{text}");
    }
    for text in ["https://127.0.0.1:1", "https://example.com:1"] {
        assert!(matches!(parse(text.as_ref()), Err(EndpointError::Tls { .. })), "{text}");
    }
    for text in ["http://10.0.0.1:80", "http://0.0.0.0:80", "http://[::]:80", "http://example.com:80"] {
        assert!(matches!(parse(text.as_ref()), Err(EndpointError::NotLoopback { .. })), "{text}");
    }
    let long = format!("unix:/{}", "a".repeat(SOCKET_PATH_BYTES_MAX));
    assert!(matches!(parse(long.as_ref()), Err(EndpointError::PathTooLong { bytes: 108, .. })));
}

#[test]
fn a_socket_path_may_be_any_bytes() {
    let text = OsStr::from_bytes(b"unix:/tmp/\xff.sock");
    assert_eq!(parse(text), Ok(Endpoint::Unix(OsStr::from_bytes(b"/tmp/\xff.sock").into())));
}

fn wishes(flag: Option<&str>, variable: Option<&str>, embedded: bool) -> Wishes {
    Wishes { flag: flag.map(Into::into), variable: variable.map(Into::into), embedded }
}

fn ours() -> DefaultSocket {
    DefaultSocket::Ours("/run/runtime/api.sock".into())
}

fn absent() -> DefaultSocket {
    DefaultSocket::Absent("/run/runtime/api.sock".into())
}

fn foreign() -> DefaultSocket {
    DefaultSocket::Foreign { path: "/run/runtime/api.sock".into(), owner: 7 }
}

#[test]
fn run_goes_to_the_flag_then_the_environment_then_the_default_socket_then_embedded() {
    let daemon = |path: &str| Choice::Daemon(unix(path));
    let table = [
        (wishes(Some("unix:/a"), Some("unix:/b"), false), ours(), daemon("/a")),
        (wishes(None, Some("unix:/b"), false), ours(), daemon("/b")),
        (wishes(None, Some(""), false), ours(), daemon("/run/runtime/api.sock")),
        (wishes(None, None, false), ours(), daemon("/run/runtime/api.sock")),
        (wishes(None, None, false), absent(), Choice::Embedded),
        (wishes(None, None, false), foreign(), Choice::Embedded),
        (wishes(None, Some("unix:/b"), true), ours(), Choice::Embedded),
    ];
    for (wishes, default, choice) in table {
        assert_eq!(choose_for_run(&wishes, default.clone()).unwrap(), choice, "{wishes:?} {default:?}");
    }
}

#[test]
fn a_bad_endpoint_is_never_passed_over() {
    for wishes in [wishes(Some("nonsense"), None, false), wishes(None, Some("https://x:1"), false)] {
        assert_eq!(choose_for_run(&wishes, ours()).unwrap_err().code(), "BAD_ENDPOINT");
        assert_eq!(choose(&wishes, ours()).unwrap_err().code(), "BAD_ENDPOINT");
    }
}

#[test]
fn other_verbs_never_go_embedded() {
    assert_eq!(choose(&wishes(None, None, false), ours()).unwrap(), unix("/run/runtime/api.sock"));
    assert_eq!(choose(&wishes(None, None, false), absent()).unwrap_err().code(), "NO_DAEMON");
    let error = choose(&wishes(None, None, false), foreign()).unwrap_err();
    assert_eq!(error.code(), "FOREIGN_SOCKET");
    assert!(error.to_string().contains("belongs to uid 7"), "{error}");
}

#[test]
fn only_a_socket_of_root_or_of_the_caller_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let me = runtime_sys::process::effective_uid();
    assert_eq!(look_at(&path, me), DefaultSocket::Absent(path.clone()));
    std::fs::write(&path, "").unwrap();
    assert_eq!(look_at(&path, me), DefaultSocket::Absent(path.clone()), "a plain file is no socket");
    std::fs::remove_file(&path).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(look_at(&path, me), DefaultSocket::Ours(path.clone()));
    std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
    let link = folder.path().join("link");
    assert_eq!(look_at(&link, me), DefaultSocket::Absent(link.clone()), "a link is not followed");
}
