//! Daemons that are not there, that are somebody else's, or that cannot be asked for this.

use crate::{assert_nothing_left, assert_refused, call};
use runtime_tests::{Stage, Who, stories};
use std::os::unix::net::UnixListener;

stories!(
    a_daemon_that_is_not_there_is_named,
    an_endpoint_that_is_none_shows_the_forms,
    a_directory_needs_the_embedded_form,
    what_is_no_daemon_is_said_to_be_none,
    a_socket_of_somebody_else_is_not_trusted,
    a_daemon_does_not_listen_where_it_must_not,
);

fn a_daemon_that_is_not_there_is_named(stage: &Stage) {
    let socket = format!("unix:{}/none.sock", stage.home().display());
    let run = ["run", "--endpoint", &socket, "--", "echo", "ran"];
    assert_refused(stage, &run, 125, &["none.sock", "No such file", "runtime serve", "run --embedded"]);
    assert_refused(
        stage,
        &["ps", "--endpoint", "unix:/no/such/x"],
        1,
        &["no such directory", "runtime serve"],
    );
    let tcp = ["run", "--endpoint", "http://127.0.0.1:1", "--", "echo", "ran"];
    assert_refused(stage, &tcp, 125, &["127.0.0.1:1", "refused", "--insecure-tcp"]);
    if stage.who() == Who::User {
        // The default socket of root may well be there.
        for verb in [vec!["ps"], vec!["inspect", "job-x"], vec!["cancel", "job-x"]] {
            assert_refused(
                stage,
                &verb,
                1,
                &["no daemon at", "run/runtime/api.sock", "runtime serve", "--endpoint"],
            );
        }
        assert_refused(stage, &["attach", "job-x"], 125, &["no daemon at", "runtime serve"]);
    }
}

fn an_endpoint_that_is_none_shows_the_forms(stage: &Stage) {
    for (endpoint, words) in [
        ("tcp:1", ["\"tcp:1\" is no endpoint", "unix:PATH or http://HOST:PORT"]),
        ("unix:", ["\"unix:\" is no endpoint", "unix:PATH or http://HOST:PORT"]),
        ("http://127.0.0.1", ["is no endpoint", "http://HOST:PORT"]),
        ("https://127.0.0.1:1", ["needs TLS", "unix:PATH"]),
        ("http://192.0.2.1:1", ["not a loopback address", "unix:PATH"]),
        ("http://example.org:1", ["not a loopback address", "unix:PATH"]),
    ] {
        assert_refused(stage, &["run", "--endpoint", endpoint, "--", "echo", "ran"], 125, &words);
        assert_refused(stage, &["ps", "--endpoint", endpoint], 2, &words);
    }
    let long = format!("unix:/{}", "x".repeat(107));
    assert_refused(stage, &["ps", "--endpoint", &long], 2, &["108 bytes", "bound of 107", "shorter"]);
}

fn a_directory_needs_the_embedded_form(stage: &Stage) {
    let args = ["run", "--endpoint", "unix:/no/such/x", "--dir", ".", "--", "echo", "ran"];
    assert_refused(stage, &args, 125, &["--dir", "unix:/no/such/x", "--embedded"]);
}

fn what_is_no_daemon_is_said_to_be_none(stage: &Stage) {
    let file = stage.open_directory().join("file");
    std::fs::write(&file, "x").unwrap();
    let args = ["run", "--endpoint", &format!("unix:{}", file.display()), "--", "echo", "ran"];
    assert_refused(stage, &args, 125, &["failed to connect", "run --embedded"]);
    // A listener that says something else and closes.
    let socket = stage.open_directory().join("other.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let speaker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"220 mail.example ESMTP\r\n").unwrap();
    });
    let output =
        call(stage, &["run", "--endpoint", &format!("unix:{}", socket.display()), "--", "echo", "ran"]);
    speaker.join().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{errors}");
    assert!(errors.starts_with("runtime: ") && errors.lines().count() == 1, "{errors}");
    assert_nothing_left(stage);
}

fn a_socket_of_somebody_else_is_not_trusted(stage: &Stage) {
    // Root's socket counts as trusted, and root's own place is not for tests to write to.
    if stage.who() == Who::Root {
        assert_refused(
            stage,
            &["ps", "--endpoint", "unix:/etc/passwd"],
            1,
            &["failed to connect", "runtime serve"],
        );
        return;
    }
    let script = r#"mkdir -m 700 "$XDG_RUNTIME_DIR/runtime""#;
    assert!(stage.command("/bin/sh").args(["-c", script]).status().unwrap().success());
    let socket = stage.run_dir().join("api.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let stranger = stage.uid() + 1;
    if std::os::unix::fs::chown(&socket, Some(stranger), Some(stranger)).is_err() {
        return runtime_tests::skip(
            "bad_input::endpoints::rootless::a_socket_of_somebody_else_is_not_trusted",
            "needs root for the socket of another user",
        );
    }
    let words = ["belongs to uid", &stranger.to_string(), "runtime serve", "--endpoint unix:"];
    assert_refused(stage, &["ps"], 1, &words);
    // `run` does without.
    let output = call(stage, &["run", "--", "echo", "ran"]);
    assert_eq!(output.stdout, b"ran\n", "{}", String::from_utf8_lossy(&output.stderr));
}

fn a_daemon_does_not_listen_where_it_must_not(stage: &Stage) {
    let state = stage.home().join("state");
    let serve = |args: &[&str], words: &[&str]| {
        assert_refused(stage, &[&["serve", "--state-dir", state.to_str().unwrap()], args].concat(), 2, words);
        assert!(!state.exists(), "nothing is made for a daemon that does not start");
    };
    serve(&["--listen", "http://127.0.0.1:0"], &["--insecure-tcp", "neither TLS nor tokens", "unix:PATH"]);
    serve(&["--listen", "http://0.0.0.0:1"], &["not a loopback address"]);
    serve(&["--insecure-tcp", "--listen", "http://0.0.0.0:1"], &["not a loopback address"]);
    serve(&["--insecure-tcp", "--listen", "http://[::]:1"], &["not a loopback address"]);
    serve(
        &["--listen", "unix:/no/such/directory/x"],
        &["failed to listen", "check that the directory exists"],
    );
    serve(&["--listen", "unix:/etc/passwd"], &["is there and is no socket", "remove it"]);
    serve(&["--ready-fd", "77"], &["--ready-fd 77", "EBADF"]);
    serve(&["--listen", "unix:a.sock", "--listen", "unix:a.sock"], &["given twice"]);
    serve(&["--socket-group", "no-such-group"], &["no group", "no-such-group"]);
}
