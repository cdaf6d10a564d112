use super::*;

fn file(text: &str) -> SourceFile {
    SourceFile { path: "/etc/runtime/runtime.toml".into(), text: text.into() }
}

/// The example of the module's page.
fn example() -> String {
    let page = include_str!("daemon_config.rs");
    let lines = page.lines().skip_while(|line| *line != "//! ```toml").skip(1);
    let lines = lines.take_while(|line| *line != "//! ```");
    lines.map(|line| line.trim_start_matches("//!").trim().to_owned() + "\n").collect()
}

#[test]
fn the_example_is_read_whole() {
    let config = parse(&file(&example())).unwrap();
    assert_eq!(
        config,
        DaemonConfig {
            listen: Some(vec!["unix:/run/runtime/api.sock".into()]),
            insecure_tcp: Some(false),
            state_dir: Some("/var/lib/runtime".into()),
            socket_group: Some("runtime".into()),
            metrics_listen: Some("127.0.0.1:9464".into()),
            drain_timeout_ms: Some(30_000),
            retention: Retention {
                age_ms: Some(90 * 86_400_000),
                records: Some(1_000_000),
                output_bytes: Some(10 << 30)
            },
            org_jobs_running_max: Some(16),
        }
    );
}

#[test]
fn an_empty_file_says_nothing() {
    assert_eq!(parse(&file("")).unwrap(), DaemonConfig::default());
    assert_eq!(parse(&file("[retention]\n[org]\n")).unwrap(), DaemonConfig::default());
}

#[test]
fn every_error_is_told_at_once_with_its_line_and_a_hint() {
    let text = "lisen = [\"unix:/a\"]\nlisten = []\nstate_dir = \"jobs\"\ndrain_timeout = 30\nsocket_group = \"\"\ninsecure_tcp = \"yes\"\n\n[retention]\nage = \"0s\"\nrecords = 0\noutput = true\nagee = \"1d\"\n\n[org]\njobs_running_max = 99999\n";
    let errors = parse(&file(text)).unwrap_err();
    let found: Vec<(usize, String)> =
        errors.iter().map(|error| (error.line, error.message.clone())).collect();
    let expected = [
        (1, "did you mean `listen`?"),
        (2, "`listen` is empty"),
        (3, "absolute path"),
        (4, "write \"30s\" or \"30ms\""),
        (5, "`socket_group` is empty"),
        (6, "must be true or false"),
        (9, "must be 1s to 36600d"),
        (10, "must be at least 1"),
        (11, "text with a unit"),
        (12, "did you mean `age`?"),
        (15, "must be 1 to 16384"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, message), (expected_line, words)) in found.iter().zip(expected) {
        assert_eq!(*line, expected_line, "{message}");
        assert!(message.contains(words), "{words:?} in {message:?}");
    }
}

#[test]
fn what_is_no_toml_says_where() {
    let errors = parse(&file("listen = [\n")).unwrap_err();
    assert!(errors.to_string().starts_with("/etc/runtime/runtime.toml:"), "{errors}");
}
