use super::*;

fn nothing(_: &OsStr) -> Option<OsString> {
    None
}

fn args() -> JobArgs {
    JobArgs { profile: "default".into(), command: vec!["true".into()], ..Default::default() }
}

fn made(args: &JobArgs) -> JobSpec {
    spec(args, Shape::default(), nothing).unwrap()
}

fn refusal(args: &JobArgs) -> String {
    spec(args, Shape::default(), nothing).unwrap_err().to_string()
}

#[test]
fn a_bare_command_asks_for_nothing() {
    let spec = made(&args());
    assert_eq!(spec.argv, [b"true".as_slice()]);
    assert!(spec.env.is_empty() && spec.workdir.is_empty() && !spec.stdin);
    assert_eq!(spec.limits, Some(Limits::default()));
    assert_eq!(spec.workspace.unwrap().kind, Some(workspace::Kind::Scratch(ScratchWorkspace {})));
    assert_eq!((spec.keep, spec.priority, spec.keep_output_bytes), (i32::from(Keep::All), 0, None));
    assert!(spec.labels.is_empty() && spec.terminal.is_none() && spec.user.is_none() && spec.group.is_none());
}

#[test]
fn variables_are_given_or_handed_on() {
    let args = JobArgs { env: vec!["A=b=c".into(), "EMPTY=".into(), "OURS".into()], ..args() };
    let ours = |name: &OsStr| (name == "OURS").then(|| OsString::from_vec(b"v\xff".to_vec()));
    let env = spec(&args, Shape::default(), ours).unwrap().env;
    let pairs: Vec<(&[u8], &[u8])> =
        env.iter().map(|entry| (entry.name.as_ref(), entry.value.as_ref())).collect();
    assert_eq!(pairs, [(&b"A"[..], &b"b=c"[..]), (b"EMPTY", b""), (b"OURS", b"v\xff")]);
}

#[test]
fn a_variable_that_is_not_there_is_an_error_with_the_next_step() {
    let message = refusal(&JobArgs { env: vec!["TOKEN".into()], ..args() });
    assert!(message.contains("not set here") && message.contains("--env TOKEN=VALUE"), "{message}");
    for bad in ["", "=x"] {
        assert!(!refusal(&JobArgs { env: vec![bad.into()], ..args() }).is_empty(), "{bad:?}");
    }
    let twice = refusal(&JobArgs { env: vec!["A=1".into(), "A=2".into()], ..args() });
    assert!(twice.contains("twice"), "{twice}");
}

#[test]
fn limits_carry_their_units() {
    let limit = ["memory=512MiB", "cpu=1.5", "cpu_time=1500ms", "pids=64"].map(String::from).to_vec();
    let limits = made(&JobArgs { timeout: Some("30s".into()), limit, ..args() }).limits.unwrap();
    assert_eq!(limits.wall_time, Some(prost_types::Duration { seconds: 30, nanos: 0 }));
    assert_eq!(limits.cpu_time, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
    assert_eq!(limits.memory_bytes, Some(512 << 20));
    assert_eq!(limits.cpu_millicores, Some(1_500));
    assert_eq!(limits.pids, Some(64));
    assert_eq!(limits.swap_bytes, None);
}

#[test]
fn limits_that_could_mean_two_things_are_refused() {
    let message = refusal(&JobArgs { timeout: Some("30".into()), ..args() });
    assert!(message.contains("30s") && message.contains("30ms"), "{message}");
    let message = refusal(&JobArgs { limit: vec!["memory=512".into()], ..args() });
    assert!(message.contains("512MiB"), "{message}");
    let both = JobArgs { timeout: Some("1s".into()), limit: vec!["wall_time=2s".into()], ..args() };
    assert!(refusal(&both).contains("--timeout is wall_time"));
    let message = refusal(&JobArgs { limit: vec!["memroy=1GiB".into()], ..args() });
    assert!(message.contains("memory"), "{message}");
}

#[test]
fn what_no_job_can_have_is_refused_here_already() {
    assert!(
        refusal(&JobArgs { workdir: Some("/workspace/../etc".into()), ..args() }).contains("without `..`")
    );
    assert!(refusal(&JobArgs { profile: "No Such".into(), ..args() }).contains("profile"));
    let long = JobArgs { command: vec!["x".into(), "a".repeat(200_000).into()], ..args() };
    assert!(refusal(&long).contains("bytes long"));
}

#[test]
fn a_directory_may_be_read_only() {
    let wish = |path: &str, read_only| DirectoryWish { path: path.into(), read_only };
    assert_eq!(directory("/srv".as_ref()).unwrap(), wish("/srv", false));
    assert_eq!(directory(".:ro".as_ref()).unwrap(), wish(".", true));
    assert_eq!(directory("odd:ro/".as_ref()).unwrap(), wish("odd:ro/", false));
    assert!(directory("".as_ref()).is_err() && directory(":ro".as_ref()).is_err());
    let shape = Shape { host_directory: true, ..Shape::default() };
    let kind = spec(&args(), shape, nothing).unwrap().workspace.unwrap().kind;
    assert_eq!(kind, Some(workspace::Kind::HostDirectory(HostDirectoryWorkspace {})));
}

#[test]
fn labels_have_a_name_and_come_once() {
    let label = |texts: &[&str]| labels(&texts.iter().map(|text| text.to_string()).collect::<Vec<_>>());
    let found = label(&["a=b=c", "empty="]).unwrap();
    assert_eq!((found["a"].as_str(), found["empty"].as_str()), ("b=c", ""));
    for wrong in [&["a"][..], &["=x"], &["a=1", "a=2"]] {
        assert_eq!(label(wrong).unwrap_err().code(), "USAGE", "{wrong:?}");
    }
}

#[test]
fn a_user_is_a_number_or_two() {
    let of = |text: &str| {
        let spec = spec(&JobArgs { user: Some(text.into()), ..args() }, Shape::default(), nothing);
        spec.map(|spec| (spec.user, spec.group))
    };
    assert_eq!(of("1000").unwrap(), (Some(1000), None));
    assert_eq!(of("1000:100").unwrap(), (Some(1000), Some(100)));
    for wrong in ["root", "0", "1000:", ":5", "1:2:3", "65534", "-1"] {
        assert_eq!(of(wrong).unwrap_err().code(), "USAGE", "{wrong}");
    }
}

#[test]
fn stdin_is_empty_a_stream_or_a_file() {
    let terminal = spec::Terminal { rows: 24, columns: 80, term: "xterm".into() };
    let streams = [
        (Shape::default(), false),
        (Shape { stdin: true, ..Shape::default() }, true),
        (Shape { terminal: Some(terminal), ..Shape::default() }, true),
    ];
    for (shape, stream) in streams {
        assert_eq!(spec(&args(), shape.clone(), nothing).unwrap().stdin, stream, "{shape:?}");
    }
    let file = made(&JobArgs { stdin_file: Some("/workspace/in".into()), ..args() });
    assert_eq!((file.stdin, file.stdin_file.as_ref()), (false, &b"/workspace/in"[..]));
    assert!(refusal(&JobArgs { stdin_file: Some("in".into()), ..args() }).contains("absolute"));
}

#[test]
fn what_is_kept_is_said_with_a_unit() {
    let kept = JobArgs { keep_output: Some("1MiB".into()), keep: KeepWish::Record, ..args() };
    assert_eq!((made(&kept).keep_output_bytes, made(&kept).keep), (Some(1 << 20), Keep::Record.into()));
    assert!(refusal(&JobArgs { keep_output: Some("5".into()), ..args() }).contains("--keep-output"));
}
