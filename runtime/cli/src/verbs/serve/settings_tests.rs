use super::*;
use runtime_plan::fault::Fault;

fn config(text: &str) -> DaemonConfig {
    daemon_config::parse(&SourceFile { path: "x.toml".into(), text: text.into() }).unwrap()
}

const FILE_TEXT: &str = "listen = [\"unix:/file\"]\ninsecure_tcp = true\nstate_dir = \"/file\"\nsocket_group = \"7\"\nmetrics_listen = \"127.0.0.1:1\"\ndrain_timeout = \"1s\"\n[retention]\nage = \"1d\"\nrecords = 5\noutput = \"1GiB\"\n[org]\njobs_running_max = 3\n";

#[test]
fn without_anything_there_are_the_defaults() {
    let settings = merge(&ServeArgs::default(), DaemonConfig::default()).unwrap();
    assert!(settings.listen.is_empty() && settings.server_args.is_empty() && settings.faults.is_empty());
    assert_eq!((settings.drain_timeout, settings.metrics), (Duration::ZERO, None));
}

#[test]
fn the_file_counts_where_no_flag_does() {
    let settings = merge(&ServeArgs::default(), config(FILE_TEXT)).unwrap();
    assert_eq!(settings.listen, ["unix:/file"]);
    assert_eq!(settings.state_dir.as_deref(), Some(Path::new("/file")));
    assert_eq!(settings.socket_group.as_deref(), Some("7"));
    assert_eq!(settings.metrics, Some(([127, 0, 0, 1], 1).into()));
    assert!(settings.insecure_tcp);
    assert_eq!(settings.drain_timeout, Duration::from_secs(1));
    let args = "--retention-age-s 86400 --retention-records 5 --retention-output-bytes 1073741824 --org-running-max 3";
    assert_eq!(settings.server_args.join(" "), args);
}

#[test]
fn a_flag_stands_before_its_key() {
    let args = ServeArgs {
        listen: vec!["unix:/flag".into()],
        state_dir: Some("/flag".into()),
        metrics_listen: Some("localhost:2".into()),
        drain_timeout: Some("2s".into()),
        keep_for: Some("1500ms".into()),
        keep_records: Some(6),
        keep_output: Some("1MiB".into()),
        jobs_per_org: Some(4),
        ..Default::default()
    };
    let settings = merge(&args, config(FILE_TEXT)).unwrap();
    assert_eq!(settings.listen, ["unix:/flag"]);
    assert_eq!(settings.state_dir.as_deref(), Some(Path::new("/flag")));
    assert_eq!(settings.metrics, Some(([127, 0, 0, 1], 2).into()));
    assert_eq!(settings.drain_timeout, Duration::from_secs(2));
    let args =
        "--retention-age-s 2 --retention-records 6 --retention-output-bytes 1048576 --org-running-max 4";
    assert_eq!(settings.server_args.join(" "), args);
}

#[test]
fn a_flag_that_cannot_be_names_itself() {
    let table = [
        (ServeArgs { drain_timeout: Some("5".into()), ..Default::default() }, "--drain-timeout"),
        (ServeArgs { drain_timeout: Some("48h".into()), ..Default::default() }, "0s to 24h"),
        (ServeArgs { keep_for: Some("0s".into()), ..Default::default() }, "--keep-for"),
        (ServeArgs { keep_records: Some(0), ..Default::default() }, "--keep-records 0 must be at least 1"),
        (ServeArgs { keep_output: Some("1".into()), ..Default::default() }, "--keep-output"),
        (ServeArgs { jobs_per_org: Some(0), ..Default::default() }, "--jobs-per-org"),
        (ServeArgs { metrics_listen: Some("9464".into()), ..Default::default() }, "--metrics-listen"),
        (
            ServeArgs { metrics_listen: Some("example.com:1".into()), ..Default::default() },
            "--metrics-listen",
        ),
        (ServeArgs { fault: vec!["crash-at=startet".into()], ..Default::default() }, "did you mean"),
    ];
    for (args, words) in table {
        let error = merge(&args, DaemonConfig::default()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn faults_never_meet_a_file_of_settings() {
    let folder = tempfile::tempdir().unwrap();
    let surroundings = Surroundings { uid: 1, config_home: Some(folder.path().into()), ..Default::default() };
    let path = folder.path().join("runtime").join(FILE);
    std::fs::create_dir(folder.path().join("runtime")).unwrap();
    std::fs::write(&path, FILE_TEXT).unwrap();
    assert_eq!(read(&ServeArgs::default(), &surroundings).unwrap(), config(FILE_TEXT), "the default file");
    let fault = ServeArgs { fault: vec!["oom=1".into()], ..Default::default() };
    assert_eq!(read(&fault, &surroundings).unwrap(), DaemonConfig::default());
    let both = ServeArgs { config: Some(path), ..fault.clone() };
    assert_eq!(read(&both, &surroundings).unwrap_err().code(), "USAGE");
    let settings = merge(&fault, DaemonConfig::default()).unwrap();
    assert_eq!(settings.faults, [FaultOption { text: "oom=1".into(), fault: Fault::Oom(1) }]);
}

#[test]
fn every_error_of_the_file_is_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, "lisen = 1\ndrain_timeout = 5\n").unwrap();
    let error = read_file(&path).unwrap_err();
    assert_eq!((error.code(), error.show(false).lines().count()), ("BAD_CONFIG", 2), "{error}");
    assert!(error.show(false).lines().all(|line| line.starts_with("runtime: /")), "{error}");
    let missing = ServeArgs { config: Some("/no/such.toml".into()), ..Default::default() };
    assert_eq!(read(&missing, &Surroundings::default()).unwrap_err().code(), "BAD_CONFIG");
}
