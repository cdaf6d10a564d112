//! Tables and properties of the conversions.

use super::*;
use crate::api::errors::DOMAIN;
use proptest::prelude::*;
use prost::Message;
use runtime_plan::limit::LimitName;
use runtime_plan::outcome::{LimitHit, Outcome, SpawnFailure};
use runtime_plan::spec::WorkspaceRequest;
use runtime_proto::v1;
use tonic_types::StatusExt;

fn spec(argv: &[&str]) -> v1::JobSpec {
    let argv = argv.iter().map(|argument| argument.as_bytes().to_vec().into()).collect();
    v1::JobSpec { argv, ..Default::default() }
}

fn reason_of(wire: v1::JobSpec) -> String {
    let status = spec_from_wire(wire).unwrap_err();
    let info = status.get_error_details().error_info().cloned().unwrap();
    assert_eq!(info.domain, DOMAIN);
    info.reason
}

#[test]
fn an_empty_field_is_its_default() {
    let spec = spec_from_wire(spec(&["true"])).unwrap();
    assert_eq!(spec.profile, "default");
    assert_eq!(spec.workspace, WorkspaceRequest::Scratch);
    assert_eq!(spec.workdir, None);
    assert!(!spec.stdin);
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
    ] {
        assert_eq!(reason_of(wire.clone()), reason, "{wire:?}");
    }
}

#[test]
fn a_part_of_a_millisecond_counts_as_one() {
    let limits =
        v1::Limits { cpu_time: Some(prost_types::Duration { seconds: 2, nanos: 1 }), ..Default::default() };
    let spec = spec_from_wire(v1::JobSpec { limits: Some(limits), ..spec(&["true"]) }).unwrap();
    assert_eq!(spec.limits.cpu_time_ms, Some(2_001));
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
        (Outcome::Signalled { signal: 11, core_dumped: false }, 139),
        (Outcome::Limit(limit), 124),
        (Outcome::Denied { syscall: Some(1) }, 159),
        (Outcome::Cancelled { by: String::new(), reason: String::new() }, 143),
        (spawn(126), 126),
        (spawn(127), 127),
        (spawn(0), 125),
        (Outcome::HostOom, 137),
        (Outcome::Lost { why: "launcher_died".into() }, 125),
    ] {
        assert_eq!(exit_status(&outcome), status, "{outcome:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_conversion_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(wire) = v1::JobSpec::decode(bytes.as_slice()) {
            match spec_from_wire(wire) {
                Ok(spec) => prop_assert!(!spec.argv.is_empty()),
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
        let spec = spec_from_wire(wire).unwrap();
        prop_assert_eq!(&spec.argv, &argv);
        prop_assert_eq!(&spec.env, &[(b"NAME".to_vec(), value)]);
        prop_assert!(spec.stdin);
        prop_assert_eq!(spec.limits.wall_time_ms, Some(seconds as u64 * 1_000 + ms as u64));
        prop_assert_eq!(spec.limits.memory_bytes, Some(memory));
    }
}
