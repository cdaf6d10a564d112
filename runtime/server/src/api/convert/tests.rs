//! Tables and properties of the conversions.

use super::*;
use crate::api::errors::DOMAIN;
use crate::jobs::{Keep, OnDisconnect, Request};
use crate::logs::{Stream, reader};
use proptest::prelude::*;
use prost::Message;
use runtime_plan::limit::LimitName;
use runtime_plan::outcome::{LimitHit, Outcome, SpawnFailure};
use runtime_plan::spec::{StdinSource, WorkspaceRequest};
use runtime_proto::v1;
use tonic_types::StatusExt;

fn spec(argv: &[&str]) -> v1::JobSpec {
    let argv = argv.iter().map(|argument| argument.as_bytes().to_vec().into()).collect();
    v1::JobSpec { argv, ..Default::default() }
}

fn taken(wire: v1::JobSpec) -> Request {
    request_from_wire(wire, String::new(), Caller::Stays).unwrap()
}

fn reason_of(wire: v1::JobSpec) -> String {
    reason_in(&request_from_wire(wire, String::new(), Caller::Stays).unwrap_err())
}

fn reason_in(status: &tonic::Status) -> String {
    let info = status.get_error_details().error_info().cloned().unwrap();
    assert_eq!(info.domain, DOMAIN);
    info.reason
}

#[test]
fn an_empty_field_is_its_default() {
    let request = taken(spec(&["true"]));
    let Request { spec, labels, org, priority, on_disconnect, keep, keep_output_bytes, key } = request;
    assert_eq!(spec.profile, "default");
    assert_eq!(spec.workspace, WorkspaceRequest::Scratch);
    assert_eq!(spec.workdir, None);
    assert_eq!((&spec.stdin, &spec.terminal), (&StdinSource::Empty, &None));
    assert_eq!((spec.user, spec.group), (None, None));
    assert_eq!((labels.len(), org.as_str(), priority), (0, "default", 0));
    assert_eq!((on_disconnect, keep, keep_output_bytes, key), (OnDisconnect::Cancel, Keep::All, None, None));
}

#[test]
fn a_terminal_has_defaults_and_is_read_from() {
    let terminal = v1::JobSpec { terminal: Some(v1::Terminal::default()), ..spec(&["sh"]) };
    let spec = taken(terminal).spec;
    assert_eq!(spec.stdin, StdinSource::Stream);
    let terminal = spec.terminal.clone().unwrap();
    assert_eq!((terminal.rows, terminal.columns, terminal.term.as_str()), (24, 80, "xterm-256color"));
}

#[test]
fn stdin_is_nothing_a_stream_or_a_file() {
    let stream = v1::JobSpec { stdin: true, ..spec(&["cat"]) };
    assert_eq!(taken(stream).spec.stdin, StdinSource::Stream);
    let file = v1::JobSpec { stdin_file: "/workspace/in".into(), ..spec(&["cat"]) };
    assert_eq!(taken(file).spec.stdin, StdinSource::File(b"/workspace/in".to_vec()));
}

#[test]
fn a_submitted_job_goes_on_without_a_client() {
    let with = |on_disconnect: v1::OnDisconnect| {
        let wire = v1::JobSpec { on_disconnect: on_disconnect.into(), ..spec(&["true"]) };
        request_from_wire(wire, String::new(), Caller::Leaves)
    };
    for fine in [v1::OnDisconnect::Unspecified, v1::OnDisconnect::Continue] {
        assert_eq!(with(fine).unwrap().on_disconnect, OnDisconnect::Continue);
    }
    for refused in [v1::OnDisconnect::Cancel, v1::OnDisconnect::CancelNow] {
        assert_eq!(reason_in(&with(refused).unwrap_err()), "CONTRADICTION");
    }
}

#[test]
fn a_key_is_short_printable_ascii() {
    let with = |key: &str| request_from_wire(spec(&["true"]), key.to_owned(), Caller::Stays);
    for fine in ["k", "0f8fad5b-d9cb-469f-a165-70867728950e", "a b~", &"k".repeat(128)] {
        assert_eq!(with(fine).unwrap().key.as_deref(), Some(fine));
    }
    for wrong in ["k\n", "\u{7f}", "schlüssel", &"k".repeat(129)] {
        assert_eq!(reason_in(&with(wrong).unwrap_err()), "BAD_KEY", "{wrong:?}");
    }
}

#[test]
fn labels_at_their_bounds_come_through_and_no_further() {
    let with = |labels: Vec<(String, String)>| {
        let wire = v1::JobSpec { labels: labels.into_iter().collect(), ..spec(&["true"]) };
        request_from_wire(wire, String::new(), Caller::Stays).map(|request| request.labels)
    };
    let label = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    for fine in [label("a", ""), label(&"k".repeat(63), &"v".repeat(255)), label("ci.example/run_1-a", "Ä\n")]
    {
        assert_eq!(with(fine.clone()).unwrap().into_iter().collect::<Vec<_>>(), fine);
    }
    let many = |count: usize| (0..count).map(|n| (format!("k{n}"), String::new())).collect::<Vec<_>>();
    assert_eq!(with(many(64)).unwrap().len(), 64);
    for wrong in [
        many(65),
        label("", "v"),
        label(&"k".repeat(64), "v"),
        label("Key", "v"),
        label("a b", "v"),
        label("ä", "v"),
        label("k", &"v".repeat(256)),
    ] {
        assert_eq!(reason_in(&with(wrong.clone()).unwrap_err()), "BAD_LABEL", "{wrong:?}");
    }
}

#[test]
fn which_output_is_wanted_is_said_in_one_way() {
    let logs = || v1::StreamLogsRequest { job_id: "j".to_owned(), ..v1::StreamLogsRequest::default() };
    let wanted = wanted_from_wire(&logs()).unwrap();
    assert_eq!(wanted, reader::Wanted::default());
    let second = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let since = v1::StreamLogsRequest { since: second(5, 7_000), stream: 2, tail_bytes: Some(0), ..logs() };
    let wanted = wanted_from_wire(&since).unwrap();
    assert_eq!(
        (wanted.since_us, wanted.only, wanted.tail_bytes),
        (Some(5_000_007), Some(Stream::Stderr), Some(0))
    );
    let before = v1::StreamLogsRequest { since: second(-1, 0), ..logs() };
    assert_eq!(wanted_from_wire(&before).unwrap().since_us, Some(0));
    for (wrong, reason) in [
        (v1::StreamLogsRequest { tail_bytes: Some(1), stdout_offset_bytes: 1, ..logs() }, "CONTRADICTION"),
        (v1::StreamLogsRequest { tail_bytes: Some(1), stderr_offset_bytes: 1, ..logs() }, "CONTRADICTION"),
        (v1::StreamLogsRequest { stream: 3, ..logs() }, "BAD_ENUM"),
        (v1::StreamLogsRequest { since: second(0, -1), ..logs() }, "BAD_TIMESTAMP"),
        (v1::StreamLogsRequest { since: second(0, 1_000_000_000), ..logs() }, "BAD_TIMESTAMP"),
        (v1::StreamLogsRequest { since: second(i64::MAX, 0), ..logs() }, "BAD_TIMESTAMP"),
    ] {
        assert_eq!(reason_in(&wanted_from_wire(&wrong).unwrap_err()), reason, "{wrong:?}");
    }
}

#[test]
fn a_wait_has_a_bound() {
    let hour = std::time::Duration::from_secs(3_600);
    let asked =
        |seconds, nanos| duration_up_to("timeout", Some(prost_types::Duration { seconds, nanos }), hour);
    assert_eq!(duration_up_to("timeout", None, hour).unwrap(), None);
    assert_eq!(asked(3_600, 0).unwrap(), Some(hour));
    for (seconds, nanos) in [(3_600, 1), (i64::MAX, 0), (-1, 0), (0, 0)] {
        assert_eq!(reason_in(&asked(seconds, nanos).unwrap_err()), "BAD_DURATION", "{seconds} {nanos}");
    }
}

#[test]
fn a_window_has_a_size() {
    let size = |rows, columns| size_from_wire(v1::Resize { rows, columns });
    assert_eq!(size(1, 4_096).unwrap(), (1, 4_096));
    for (rows, columns) in [(0, 80), (24, 0), (4_097, 80), (24, 65_560), (u32::MAX, 1)] {
        assert_eq!(reason_in(&size(rows, columns).unwrap_err()), "BAD_TERMINAL");
    }
}

#[test]
fn each_mistake_has_its_reason() {
    let variable =
        |name: &str| v1::EnvironmentVariable { name: name.as_bytes().to_vec().into(), ..Default::default() };
    let wall_time = |seconds, nanos| {
        let limits =
            v1::Limits { wall_time: Some(prost_types::Duration { seconds, nanos }), ..Default::default() };
        v1::JobSpec { limits: Some(limits), ..spec(&["true"]) }
    };
    let idle_time = |seconds, nanos| {
        let limits =
            v1::Limits { idle_time: Some(prost_types::Duration { seconds, nanos }), ..Default::default() };
        v1::JobSpec { limits: Some(limits), ..spec(&["true"]) }
    };
    let terminal = |rows, columns, term: &str| {
        let terminal = v1::Terminal { rows, columns, term: term.to_owned() };
        v1::JobSpec { terminal: Some(terminal), ..spec(&["true"]) }
    };
    for (wire, reason) in [
        (spec(&[]), "NO_COMMAND"),
        (spec(&[""]), "NO_COMMAND"),
        (spec(&["a\0b"]), "NUL_BYTE"),
        (spec(&["x".repeat(200_000).as_str()]), "STRING_TOO_LONG"),
        (v1::JobSpec { env: vec![variable("A"), variable("A")], ..spec(&["true"]) }, "DUPLICATE_VARIABLE"),
        (v1::JobSpec { env: vec![variable("A=B")], ..spec(&["true"]) }, "BAD_VARIABLE_NAME"),
        (v1::JobSpec { workdir: "/a/../b".into(), ..spec(&["true"]) }, "BAD_WORKDIR"),
        (v1::JobSpec { profile: "../x".into(), ..spec(&["true"]) }, "BAD_PROFILE_NAME"),
        (v1::JobSpec { on_disconnect: 9, ..spec(&["true"]) }, "BAD_ENUM"),
        (v1::JobSpec { workspace: Some(v1::Workspace { kind: None }), ..spec(&["true"]) }, "EMPTY_INPUT"),
        (wall_time(0, 0), "BAD_DURATION"),
        (wall_time(0, 999_999), "BAD_DURATION"),
        (wall_time(-1, 0), "BAD_DURATION"),
        (wall_time(0, -5), "BAD_DURATION"),
        (wall_time(1, i32::MAX), "BAD_DURATION"),
        (wall_time(i64::MAX, 0), "BAD_DURATION"),
        (idle_time(0, 999_000_000), "LIMIT_OUT_OF_RANGE"),
        (v1::JobSpec { org: "A".into(), ..spec(&["true"]) }, "BAD_ORG"),
        (v1::JobSpec { org: "o".repeat(65), ..spec(&["true"]) }, "BAD_ORG"),
        (v1::JobSpec { priority: 101, ..spec(&["true"]) }, "BAD_PRIORITY"),
        (v1::JobSpec { priority: -101, ..spec(&["true"]) }, "BAD_PRIORITY"),
        (v1::JobSpec { keep: 3, ..spec(&["true"]) }, "BAD_ENUM"),
        (v1::JobSpec { keep_output_bytes: Some(65_535), ..spec(&["true"]) }, "BAD_KEEP"),
        (v1::JobSpec { user: Some(0), ..spec(&["true"]) }, "BAD_ID"),
        (v1::JobSpec { group: Some(65_534), ..spec(&["true"]) }, "BAD_ID"),
        (v1::JobSpec { stdin_file: "in".into(), ..spec(&["true"]) }, "BAD_STDIN_FILE"),
        (v1::JobSpec { stdin: true, stdin_file: "/in".into(), ..spec(&["true"]) }, "CONTRADICTION"),
        (v1::JobSpec { stdin_file: "/in".into(), ..terminal(1, 1, "") }, "CONTRADICTION"),
        (terminal(4_097, 1, ""), "BAD_TERMINAL"),
        (terminal(1, 70_000, ""), "BAD_TERMINAL"),
        (terminal(1, 1, "a b"), "BAD_TERMINAL"),
    ] {
        assert_eq!(reason_of(wire.clone()), reason, "{wire:?}");
    }
}

#[test]
fn a_part_of_a_millisecond_counts_as_one() {
    let limits =
        v1::Limits { cpu_time: Some(prost_types::Duration { seconds: 2, nanos: 1 }), ..Default::default() };
    let request = taken(v1::JobSpec { limits: Some(limits), ..spec(&["true"]) });
    assert_eq!(request.spec.limits.cpu_time_ms, Some(2_001));
}

#[test]
fn the_exit_status_is_what_a_shell_would_say() {
    let limit =
        LimitHit { limit: LimitName::Memory, allowed: 1, used: None, count: 1, evidence: String::new() };
    let spawn = |exit_status| {
        Outcome::SpawnFailed(SpawnFailure {
            step: "exec".into(),
            index: 1,
            steps: 1,
            errno: 2,
            wall: None,
            message: String::new(),
            exit_status,
        })
    };
    for (outcome, status) in [
        (Outcome::Exited { code: 0 }, 0),
        (Outcome::Exited { code: 255 }, 255),
        (Outcome::Exited { code: -1 }, 125),
        (Outcome::Signalled { signal: 11, core_dumped: false, evidence: String::new() }, 139),
        (Outcome::Limit(limit), 124),
        (Outcome::Denied { syscall: Some(1) }, 159),
        (Outcome::Cancelled { by: String::new(), reason: String::new() }, 143),
        (spawn(126), 126),
        (spawn(127), 127),
        (spawn(0), 125),
        (Outcome::HostOom { evidence: String::new() }, 137),
        (Outcome::Lost { why: "launcher_died".into() }, 125),
    ] {
        assert_eq!(exit_status(&outcome), status, "{outcome:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_conversion_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(wire) = v1::JobSpec::decode(bytes.as_slice()) {
            match request_from_wire(wire, String::new(), Caller::Stays) {
                Ok(request) => prop_assert!(!request.spec.argv.is_empty()),
                Err(status) => prop_assert!(status.get_error_details().error_info().is_some()),
            }
        }
    }

    #[test]
    fn what_is_valid_comes_through_whole(
        argv in proptest::collection::vec(proptest::collection::vec(1..=255u8, 1..20), 1..10),
        value in proptest::collection::vec(1..=255u8, 0..20),
        seconds in 0..1_000_000i64,
        ms in 1..1_000i32,
        memory: u64,
    ) {
        let wire = v1::JobSpec {
            argv: argv.iter().map(|argument| argument.clone().into()).collect(),
            env: vec![v1::EnvironmentVariable { name: "NAME".into(), value: value.clone().into() }],
            workdir: "/workspace/src".into(),
            stdin: true,
            limits: Some(v1::Limits {
                wall_time: Some(prost_types::Duration { seconds, nanos: ms * 1_000_000 }),
                memory_bytes: Some(memory),
                ..Default::default()
            }),
            ..Default::default()
        };
        let spec = taken(wire).spec;
        prop_assert_eq!(&spec.argv, &argv);
        prop_assert_eq!(&spec.env, &[(b"NAME".to_vec(), value)]);
        prop_assert_eq!(&spec.stdin, &StdinSource::Stream);
        prop_assert_eq!(spec.limits.wall_time_ms, Some(seconds as u64 * 1_000 + ms as u64));
        prop_assert_eq!(spec.limits.memory_bytes, Some(memory));
    }
}
