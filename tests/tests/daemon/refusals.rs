//! Requests that are refused: the code, the reason that programs read, and a daemon that goes on.

use crate::api::{connect, first, on, run, spec, with_daemon};
use runtime_proto::v1::{
    AttachRequest, CancelRequest, EnvironmentVariable, GetRequest, HostDirectoryWorkspace, JobInput, JobSpec,
    Limits, ListRequest, RunRequest, Workspace, job_input::Input, job_service_client::JobServiceClient,
    run_request, run_response::Event, workspace,
};
use runtime_tests::{Daemon, Stage, eventually, stories};
use std::{ffi::OsStr, process::Stdio};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

stories!(
    a_spec_that_is_none_is_refused_with_its_reason,
    a_job_that_is_not_there_is_not_found,
    a_stream_that_begins_otherwise_is_refused,
    a_message_over_four_mebibytes_is_refused,
    a_host_directory_cannot_be_asked_for,
    the_daemon_goes_on_after_every_refusal,
    more_jobs_than_the_policy_lets_wait_are_refused,
);

async fn refused(channel: &Channel, requests: Vec<RunRequest>) -> Status {
    let mut client = JobServiceClient::new(channel.clone());
    let mut stream = match client.run(tokio_stream::iter(requests)).await {
        Err(status) => return status,
        Ok(answer) => answer.into_inner(),
    };
    loop {
        match stream.message().await {
            Err(status) => return status,
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was not refused"),
        }
    }
}

fn assert_reason(status: &Status, code: Code, reason: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "runtime.v1"), "{status:?}");
    assert!(!status.message().is_empty());
}

fn variable(name: &[u8], value: &[u8]) -> EnvironmentVariable {
    EnvironmentVariable { name: name.to_vec().into(), value: value.to_vec().into() }
}

fn bad_specs() -> Vec<(JobSpec, Code, &'static str)> {
    let plain = || spec("exit 0");
    let argv =
        |argv: &[&[u8]]| JobSpec { argv: argv.iter().map(|word| word.to_vec().into()).collect(), ..plain() };
    let env = |env: Vec<EnvironmentVariable>| JobSpec { env, ..plain() };
    let limits = |limits: Limits| JobSpec { limits: Some(limits), ..plain() };
    vec![
        (argv(&[]), Code::InvalidArgument, "NO_COMMAND"),
        (argv(&[b""]), Code::InvalidArgument, "NO_COMMAND"),
        (argv(&[b"echo", b"a\0b"]), Code::InvalidArgument, "NUL_BYTE"),
        (argv(&[b"echo", &[b'x'; 131_072]]), Code::InvalidArgument, "STRING_TOO_LONG"),
        (argv(&[&[b'x'; 100_000][..]; 16]), Code::InvalidArgument, "ARGUMENTS_TOO_LONG"),
        (argv(&[b"x".as_slice(); 65_537]), Code::InvalidArgument, "TOO_MANY_ARGUMENTS"),
        (env(vec![variable(b"A", b"x\0y")]), Code::InvalidArgument, "NUL_BYTE"),
        (env(vec![variable(b"A\0", b"x")]), Code::InvalidArgument, "NUL_BYTE"),
        (env(vec![variable(b"", b"x")]), Code::InvalidArgument, "BAD_VARIABLE_NAME"),
        (env(vec![variable(b"A=B", b"x")]), Code::InvalidArgument, "BAD_VARIABLE_NAME"),
        (env(vec![variable(b"A", b"x"), variable(b"A", b"y")]), Code::InvalidArgument, "DUPLICATE_VARIABLE"),
        (
            env((0..4_097).map(|n| variable(format!("V{n}").as_bytes(), b"")).collect()),
            Code::InvalidArgument,
            "TOO_MANY_VARIABLES",
        ),
        (
            JobSpec { workdir: b"/tmp/../etc".to_vec().into(), ..plain() },
            Code::InvalidArgument,
            "BAD_WORKDIR",
        ),
        (JobSpec { workdir: b"tmp".to_vec().into(), ..plain() }, Code::InvalidArgument, "BAD_WORKDIR"),
        (JobSpec { workdir: b"/tmp\0".to_vec().into(), ..plain() }, Code::InvalidArgument, "NUL_BYTE"),
        (JobSpec { profile: "../default".to_owned(), ..plain() }, Code::InvalidArgument, "BAD_PROFILE_NAME"),
        (JobSpec { profile: "nodee".to_owned(), ..plain() }, Code::NotFound, "UNKNOWN_PROFILE"),
        (JobSpec { on_disconnect: 77, ..plain() }, Code::InvalidArgument, "BAD_ENUM"),
        (
            limits(Limits { memory_bytes: Some(u64::MAX), ..Limits::default() }),
            Code::InvalidArgument,
            "LIMIT_OUT_OF_RANGE",
        ),
        (limits(Limits { pids: Some(0), ..Limits::default() }), Code::InvalidArgument, "LIMIT_OUT_OF_RANGE"),
        (
            limits(Limits {
                wall_time: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
                ..Limits::default()
            }),
            Code::InvalidArgument,
            "BAD_DURATION",
        ),
    ]
}

fn a_spec_that_is_none_is_refused_with_its_reason(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        for (spec, code, reason) in bad_specs() {
            assert_reason(&refused(&channel, vec![first(spec)]).await, code, reason);
        }
        let listed = JobServiceClient::new(channel).list(ListRequest::default()).await.unwrap().into_inner();
        assert_eq!(listed.jobs.len(), 0, "none of them became a job");
    });
}

fn a_job_that_is_not_there_is_not_found(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let mut client = JobServiceClient::new(channel);
        let job_id = "job-00000000000000000000000000".to_owned();
        let got = client.get(GetRequest { job_id: job_id.clone() }).await.unwrap_err();
        assert_reason(&got, Code::NotFound, "JOB_NOT_FOUND");
        let cancelled =
            client.cancel(CancelRequest { job_id, ..CancelRequest::default() }).await.unwrap_err();
        assert_reason(&cancelled, Code::NotFound, "JOB_NOT_FOUND");
        let page = ListRequest { page_size: 1_001, ..ListRequest::default() };
        assert_reason(&client.list(page).await.unwrap_err(), Code::InvalidArgument, "BAD_PAGE");
        let page = ListRequest { page_token: "nonsense".to_owned(), ..ListRequest::default() };
        assert_reason(&client.list(page).await.unwrap_err(), Code::InvalidArgument, "BAD_PAGE");
    });
}

fn a_stream_that_begins_otherwise_is_refused(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let input = |input| RunRequest {
            request: Some(run_request::Request::Input(JobInput { input: Some(input) })),
        };
        let stdin = || input(Input::Stdin(b"x".to_vec().into()));
        assert_reason(&refused(&channel, vec![stdin()]).await, Code::InvalidArgument, "MISSING_START");
        assert_reason(
            &refused(&channel, vec![RunRequest { request: None }]).await,
            Code::InvalidArgument,
            "MISSING_START",
        );
        let twice = vec![first(spec("sleep 5")), first(spec("sleep 5"))];
        assert_reason(&refused(&channel, twice).await, Code::InvalidArgument, "UNEXPECTED_START");
        let no_stdin = vec![first(spec("sleep 5")), stdin()];
        assert_reason(&refused(&channel, no_stdin).await, Code::FailedPrecondition, "NO_STDIN");
        let mut client = JobServiceClient::new(channel);
        let attach = client.attach(tokio_stream::iter([AttachRequest { request: None }])).await;
        let status = match attach {
            Err(status) => status,
            Ok(mut answer) => answer.get_mut().message().await.unwrap_err(),
        };
        assert_reason(&status, Code::InvalidArgument, "MISSING_START");
    });
}

fn a_message_over_four_mebibytes_is_refused(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let argv = vec![vec![b'x'; 5 << 20].into()];
        let status = refused(&channel, vec![first(JobSpec { argv, ..JobSpec::default() })]).await;
        assert!(
            [Code::OutOfRange, Code::ResourceExhausted, Code::InvalidArgument].contains(&status.code()),
            "{status:?}"
        );
        assert!(status.message().contains("4194304"), "the text names the bound: {status:?}");
    });
}

fn a_host_directory_cannot_be_asked_for(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let kind = Some(workspace::Kind::HostDirectory(HostDirectoryWorkspace {}));
        let spec = JobSpec { workspace: Some(Workspace { kind }), ..spec("exit 0") };
        assert_reason(
            &refused(&channel, vec![first(spec)]).await,
            Code::FailedPrecondition,
            "NO_HOST_DIRECTORY",
        );
    });
}

fn the_daemon_goes_on_after_every_refusal(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        for (spec, _, _) in bad_specs() {
            refused(&channel, vec![first(spec)]).await;
            let events = run(&channel, first(self::spec("exit 3"))).await;
            let Some(Event::Finished(finished)) = events.last() else { panic!("{:?}", events.last()) };
            assert_eq!(finished.outcome.as_ref().unwrap().exit_status, 3);
        }
    });
}

fn more_jobs_than_the_policy_lets_wait_are_refused(stage: &Stage) {
    let policies = stage.home().join("policies");
    let script = r#"umask 022; mkdir "$1"; printf 'jobs_running_max = 1\njobs_queued_max = 1\nhost_directory = true\n[ceilings]\n' >"$1/local.toml""#;
    assert!(stage.command("/bin/sh").args(["-c", script, "sh"]).arg(&policies).status().unwrap().success());
    let daemon = Daemon::start(stage, &[OsStr::new("--policies"), policies.as_os_str()], "");
    let client = |script: &str| {
        daemon.client(&["run", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap()
    };
    let count = |state: &str| crate::ask(&daemon, &["ps", "--json", "--state", state]).lines().count();
    let running = client("while [ ! -e /tmp/never ]; do sleep 0.02; done");
    eventually("the first runs", || count("running") == 1);
    let second = client("echo second");
    eventually("the second waits", || count("queued") == 1);
    on(async {
        let channel = connect(&daemon).await;
        assert_reason(
            &refused(&channel, vec![first(spec("exit 0"))]).await,
            Code::ResourceExhausted,
            "QUEUE_FULL",
        );
    });
    let queued = crate::newest_in_state(&daemon, "queued");
    let jobs = crate::jobs(&daemon);
    let other = jobs.iter().find(|job| job["job_id"] != queued.as_str()).unwrap();
    crate::ask(&daemon, &["cancel", "--kill", other["job_id"].as_str().unwrap()]);
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(143));
    let output = second.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"second\n".as_slice()));
}
