use super::*;
use std::os::unix::ffi::OsStringExt;

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(OsString::from).collect()
}

fn run(line: &[&str]) -> (Global, RunArgs) {
    let cli = parse(&words(line)).unwrap();
    match cli.verb {
        Verb::Run(run) => (cli.global, *run),
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_after_the_command_belongs_to_the_command() {
    let (_, args) = run(&["runtime", "run", "--", "sh", "-c", "exit 3", "--json"]);
    assert_eq!(args.job.command, words(&["sh", "-c", "exit 3", "--json"]));
    let (global, args) = run(&["runtime", "run", "-i", "python3", "-c", "x", "--endpoint", "y"]);
    assert_eq!(args.job.command, words(&["python3", "-c", "x", "--endpoint", "y"]));
    assert!(args.interactive && global.endpoint.is_none());
    let (_, args) = run(&["runtime", "run", "--", "--strange", "--"]);
    assert_eq!(args.job.command, words(&["--strange", "--"]));
}

#[test]
fn arguments_that_are_not_utf_8_survive() {
    let odd = OsString::from_vec(vec![b'a', 0xff, 0xfe]);
    let line =
        [words(&["runtime", "run", "--env"]), vec![odd.clone()], words(&["--"]), vec![odd.clone()]].concat();
    let Verb::Run(args) = parse(&line).unwrap().verb else { panic!("not run") };
    assert_eq!(args.job.command, args.job.env);
    assert_eq!(args.job.env, [odd]);
}

#[test]
fn the_endpoint_may_stand_before_or_after_the_verb() {
    for line in
        [["runtime", "--endpoint", "unix:/a", "run", "x"], ["runtime", "run", "--endpoint", "unix:/a", "x"]]
    {
        assert_eq!(run(&line).0.endpoint.as_deref(), Some(OsStr::new("unix:/a")));
    }
}

#[test]
fn flags_are_read() {
    let (_, args) = run(&[
        "runtime",
        "run",
        "--profile",
        "python",
        "--workdir",
        "/workspace/a",
        "--env",
        "A=b",
        "--env",
        "C",
        "--timeout",
        "30s",
        "--limit",
        "memory=1GiB",
        "--limit",
        "pids=5",
        "--dir",
        "/x:ro",
        "--report",
        "-",
        "--plan",
        "--embedded",
        "--",
        "true",
    ]);
    assert_eq!(args.job.profile, "python");
    assert_eq!(args.job.env, words(&["A=b", "C"]));
    assert_eq!(args.job.limit, ["memory=1GiB", "pids=5"]);
    assert_eq!(args.dir, Some("/x:ro".into()));
    assert!(args.plan && args.embedded);
}

#[test]
fn a_terminal_and_stdin_go_together_in_one_word() {
    let (_, args) = run(&["runtime", "run", "-it", "--", "sh"]);
    assert!(args.interactive && args.job.terminal);
    let (_, args) = run(&["runtime", "run", "--tty", "sh", "-t"]);
    assert!(args.job.terminal && !args.interactive);
    assert_eq!(args.job.command, words(&["sh", "-t"]));
}

#[test]
fn what_describes_a_job_is_the_same_for_run_and_submit() {
    let flags = ["--label", "a=b", "--org", "acme", "--priority", "-3", "--user", "7:8", "--keep", "record"];
    let of = |verb: &str| {
        let line = [&["runtime", verb][..], &flags, &["--idempotency-key", "k", "--", "x"]].concat();
        match parse(&words(&line)).unwrap().verb {
            Verb::Run(args) => args.job,
            Verb::Submit(args) => args.job,
            other => panic!("{other:?}"),
        }
    };
    for job in [of("run"), of("submit")] {
        assert_eq!((job.priority, job.keep, job.org.as_str()), (-3, KeepWish::Record, "acme"));
        assert_eq!((job.user.as_deref(), job.idempotency_key.as_deref()), (Some("7:8"), Some("k")));
        assert_eq!((job.label, job.profile.as_str()), (vec!["a=b".to_owned()], "default"));
    }
}

#[test]
fn verbs_whose_status_is_a_jobs_are_known_by_value_and_by_name() {
    let lines: [(&[&str], bool); 5] = [
        (&["runtime", "run", "x"], true),
        (&["runtime", "attach", "job-1"], true),
        (&["runtime", "wait", "job-1", "job-2"], true),
        (&["runtime", "logs", "-f", "job-1"], false),
        (&["runtime", "submit", "x"], false),
    ];
    for (line, like_run) in lines {
        assert_eq!(parse(&words(line)).unwrap().verb.is_like_run(), like_run, "{line:?}");
        assert_eq!(is_like_run(Some(OsStr::new(line[1]))), like_run, "{line:?}");
    }
    assert!(!is_like_run(None));
}

#[test]
fn what_does_not_parse_is_refused() {
    let lines: &[&[&str]] = &[
        &["runtime"],
        &["runtime", "run"],
        &["runtime", "run", "--"],
        &["runtime", "run", "--timeot", "3s", "--", "true"],
        &["runtime", "run", "--embedded", "--endpoint", "unix:/a", "--", "true"],
        &["runtime", "ps", "--state", "sleeping"],
        &["runtime", "cancel"],
        &["runtime", "wait"],
        &["runtime", "rm"],
        &["runtime", "signal", "job-1"],
        &["runtime", "logs", "--stdout", "--stderr", "job-1"],
        &["runtime", "ps", "--watch", "--all"],
        &["runtime", "ps", "--max", "5", "--all"],
        &["runtime", "drain", "--undo", "--deadline", "5s"],
        &["runtime", "run", "--stdin-file", "/a", "-i", "--", "true"],
        &["runtime", "run", "--stdin-file", "/a", "-t", "--", "true"],
        &["runtime", "run", "--detach", "--embedded", "--", "true"],
        &["runtime", "run", "--detach", "--report", "-", "--", "true"],
        &["runtime", "run", "--keep", "some", "--", "true"],
        &["runtime", "nonsense"],
    ];
    for line in lines {
        assert!(parse(&words(line)).is_err(), "{line:?}");
    }
}

#[test]
fn the_verb_of_a_bad_line_is_guessed() {
    let table: &[(&[&str], Option<&str>, bool)] = &[
        (&["runtime", "run", "--bad"], Some("run"), false),
        (&["runtime", "--endpoint", "unix:/a", "--json", "run", "--bad"], Some("run"), true),
        (&["runtime", "--endpoint=unix:/a", "ps", "--bad"], Some("ps"), false),
        (&["runtime", "run", "--", "--json"], Some("run"), false),
        (&["runtime", "--bad"], None, false),
    ];
    for (line, verb, json) in table {
        let line = words(line);
        assert_eq!(guess_verb(&line), (verb.map(OsStr::new), *json), "{line:?}");
    }
}

#[test]
fn the_definition_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}
