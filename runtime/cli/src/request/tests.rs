use super::*;

fn nothing(_: &OsStr) -> Option<OsString> {
    None
}

fn args() -> RunArgs {
    RunArgs { profile: "default".into(), command: vec!["true".into()], ..Default::default() }
}

fn spec(args: &RunArgs) -> JobSpec {
    run_start(args, nothing).unwrap().spec.unwrap()
}

fn refusal(args: &RunArgs) -> String {
    run_start(args, nothing).unwrap_err().to_string()
}

#[test]
fn a_bare_command_asks_for_nothing() {
    let spec = spec(&args());
    assert_eq!(spec.argv, [b"true".as_slice()]);
    assert!(spec.env.is_empty() && spec.workdir.is_empty() && !spec.stdin);
    assert_eq!(spec.limits, Some(Limits::default()));
    assert_eq!(spec.workspace.unwrap().kind, Some(workspace::Kind::Scratch(ScratchWorkspace {})));
    assert_eq!(spec.on_disconnect, i32::from(OnDisconnect::CancelNow));
}

#[test]
fn variables_are_given_or_handed_on() {
    let args = RunArgs { env: vec!["A=b=c".into(), "EMPTY=".into(), "OURS".into()], ..args() };
    let ours = |name: &OsStr| (name == "OURS").then(|| OsString::from_vec(b"v\xff".to_vec()));
    let env = run_start(&args, ours).unwrap().spec.unwrap().env;
    let pairs: Vec<(&[u8], &[u8])> =
        env.iter().map(|entry| (entry.name.as_ref(), entry.value.as_ref())).collect();
    assert_eq!(pairs, [(&b"A"[..], &b"b=c"[..]), (b"EMPTY", b""), (b"OURS", b"v\xff")]);
}

#[test]
fn a_variable_that_is_not_there_is_an_error_with_the_next_step() {
    let message = refusal(&RunArgs { env: vec!["TOKEN".into()], ..args() });
    assert!(message.contains("not set here") && message.contains("--env TOKEN=VALUE"), "{message}");
    for bad in ["", "=x"] {
        assert!(run_start(&RunArgs { env: vec![bad.into()], ..args() }, nothing).is_err(), "{bad:?}");
    }
    let twice = refusal(&RunArgs { env: vec!["A=1".into(), "A=2".into()], ..args() });
    assert!(twice.contains("twice"), "{twice}");
}

#[test]
fn limits_carry_their_units() {
    let limit = ["memory=512MiB", "cpu=1.5", "cpu_time=1500ms", "pids=64"].map(String::from).to_vec();
    let limits = spec(&RunArgs { timeout: Some("30s".into()), limit, ..args() }).limits.unwrap();
    assert_eq!(limits.wall_time, Some(prost_types::Duration { seconds: 30, nanos: 0 }));
    assert_eq!(limits.cpu_time, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
    assert_eq!(limits.memory_bytes, Some(512 << 20));
    assert_eq!(limits.cpu_millicores, Some(1_500));
    assert_eq!(limits.pids, Some(64));
    assert_eq!(limits.swap_bytes, None);
}

#[test]
fn limits_that_could_mean_two_things_are_refused() {
    let message = refusal(&RunArgs { timeout: Some("30".into()), ..args() });
    assert!(message.contains("30s") && message.contains("30ms"), "{message}");
    let message = refusal(&RunArgs { limit: vec!["memory=512".into()], ..args() });
    assert!(message.contains("512MiB"), "{message}");
    let both = RunArgs { timeout: Some("1s".into()), limit: vec!["wall_time=2s".into()], ..args() };
    assert!(refusal(&both).contains("--timeout is wall_time"));
    let message = refusal(&RunArgs { limit: vec!["memroy=1GiB".into()], ..args() });
    assert!(message.contains("memory"), "{message}");
}

#[test]
fn what_no_job_can_have_is_refused_here_already() {
    assert!(
        refusal(&RunArgs { workdir: Some("/workspace/../etc".into()), ..args() }).contains("without `..`")
    );
    assert!(refusal(&RunArgs { profile: "No Such".into(), ..args() }).contains("profile"));
    let long = RunArgs { command: vec!["x".into(), "a".repeat(200_000).into()], ..args() };
    assert!(refusal(&long).contains("bytes long"));
}

#[test]
fn a_directory_may_be_read_only() {
    let wish = |path: &str, read_only| DirectoryWish { path: path.into(), read_only };
    assert_eq!(directory("/srv".as_ref()).unwrap(), wish("/srv", false));
    assert_eq!(directory(".:ro".as_ref()).unwrap(), wish(".", true));
    assert_eq!(directory("odd:ro/".as_ref()).unwrap(), wish("odd:ro/", false));
    assert!(directory("".as_ref()).is_err() && directory(":ro".as_ref()).is_err());
    let args = RunArgs { dir: Some("/srv".into()), ..args() };
    let kind = spec(&args).workspace.unwrap().kind;
    assert_eq!(kind, Some(workspace::Kind::HostDirectory(HostDirectoryWorkspace {})));
}
