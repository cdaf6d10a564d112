//! States of made-up launchers, with everything that one can have.

use super::*;
use crate::{
    inside::step::{ExitStatus, Failure, Record, Step},
    launcher::upgrade::state::{
        Ended, Ending, Fd, Group, Held, Job, Lease, Origin, PathBytes, Recipe, Stdio, Times,
    },
    made_up,
};
use runtime_plan::{
    launch::LaunchPlan,
    limit::LimitName,
    link::{JobId, LauncherId, Pipes, SealKey},
    outcome::LimitHit,
    spec::UncheckedSpec,
    wall::Enforcement,
};
use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A plan with bytes in it that are no text.
fn plan() -> LaunchPlan {
    made_up::plan(UncheckedSpec {
        argv: vec![b"tool".to_vec(), b"\xff\n".to_vec()],
        env: vec![(b"NAME".to_vec(), b"v\xfe".to_vec())],
        ..made_up::spec()
    })
}

/// A job at the end of its life, with everything that a job can have.
fn job() -> Job {
    let time = |seconds| Some(Duration::from_secs(seconds));
    let failure = Failure { step: Step::Exec, item: 1, errno: 2 };
    let status = ExitStatus::Exited(7);
    let exited = Record::Exited { status, cpu_user_us: 1, cpu_system_us: 2, scratch_full: (true, false) };
    let hit = LimitHit {
        limit: LimitName::WallTime,
        allowed: u64::MAX,
        used: Some(1),
        count: 1,
        evidence: "the launcher's timer".to_owned(),
    };
    Job {
        id: JobId::try_from("job-2".to_owned()).unwrap(),
        serial: 8,
        record: vec![0, 255],
        stdio: Stdio::Terminal(Fd(20), Fd(21), Some(Fd(22))),
        plan: Box::new(Described(plan())),
        enforcement: Described(Enforcement::default()),
        init: (77, Fd(23)),
        socket: None,
        leader: Some(Fd(24)),
        group: Some(Group { name: "job-2".to_owned(), applied: [true, false, true, false, true, false] }),
        slot: Some(0x7000_0020),
        times: Times {
            taken: Duration::from_nanos(1),
            started: time(2),
            ended: None,
            started_wall: time(3),
            ended_wall: time(4),
            kill: time(5),
            stuck: time(6),
            poll: None,
        },
        ending: Some(Ending::Limit(Described(hit))),
        failed: Some(Record::Failed(failure).to_bytes().to_vec()),
        exited: Some(exited.to_bytes().to_vec()),
        signals_asked: 1 << 14,
        polled: Some((None, Some(3))),
    }
}

fn state() -> State {
    let path = |text: &str| PathBytes::from(Path::new(text));
    let lease = |fd| Lease { path: path("/run/runtime/x"), lock: Fd(fd) };
    let id = |text: &str| JobId::try_from(text.to_owned()).unwrap();
    State {
        identity: Described(LauncherId { instance: "00".repeat(8), boot_id: "b".to_owned(), pid: 7 }),
        seal_key: SealKey([3; 32]),
        generation: 4,
        serial: 9,
        findings: Described((Vec::new(), true)),
        drain_timeout: Duration::from_secs(3),
        origin: Origin {
            program: path("/usr/bin/runtime"),
            profiles: Some(path("/etc/runtime/profiles")),
            policies: None,
            sockets: vec![PathBytes::from(Path::new(std::ffi::OsStr::from_bytes(b"/run/a\xffb.sock")))],
            state_dir: path("/var/lib/runtime"),
        },
        instance: (lease(5), path("/run/runtime")),
        slots: Some((lease(6), 0x7000_0000, vec![2, 1])),
        lifeline: None,
        zygote: Fd(7),
        recipe: Recipe {
            arguments: vec!["--unix-listener-fd".to_owned(), "8=/run/a".to_owned()],
            fds: vec![Fd(8)],
            faults: vec!["crash-at=started".to_owned()],
            directory: Fd(9),
            uid: Some(0x7010_0001),
            lease: Some(lease(10)),
        },
        jobs: vec![job()],
        ended: vec![(
            3,
            Ended {
                id: id("job-1"),
                record: vec![1, 2],
                pipes: Described(Pipes {
                    kind: link::PipesKind::Streams { stdin: true },
                    output_bytes_max: 5,
                    idle_ms_max: None,
                }),
                stdio: Stdio::Streams(Some(Fd(11)), Fd(12), Fd(13)),
                started: None,
                finished: vec![9],
            },
        )],
        quarantine: vec![Held {
            job: id("job-0"),
            init: Some((1, Fd(14))),
            group: Some(Group { name: "job-0".to_owned(), applied: [true; 6] }),
            slot: Some(0x7000_0010),
        }],
    }
}

#[test]
fn a_state_survives_its_bytes() {
    let bytes = encode(&state()).unwrap();
    assert_eq!(decode(&bytes).unwrap(), state());
    let socket: PathBuf = state().origin.sockets[0].clone().into();
    assert_eq!(socket.as_os_str().as_bytes(), b"/run/a\xffb.sock");
}

#[test]
fn a_type_with_other_fields_is_not_taken_for_this_one() {
    #[derive(Serialize)]
    struct Newer {
        instance: String,
        boot_id: String,
        process: u32,
    }
    let newer = Newer { instance: "i".to_owned(), boot_id: "b".to_owned(), process: 7 };
    let bytes = postcard::to_stdvec(&Described(newer)).unwrap();
    assert!(postcard::from_bytes::<Described<LauncherId>>(&bytes).is_err());
    let same = LauncherId { instance: "i".to_owned(), boot_id: "b".to_owned(), pid: 7 };
    let bytes = postcard::to_stdvec(&Described(same.clone())).unwrap();
    assert_eq!(postcard::from_bytes::<Described<LauncherId>>(&bytes).unwrap(), Described(same));
}

#[test]
fn what_another_version_wrote_is_refused_with_both_numbers() {
    let mut bytes = encode(&state()).unwrap();
    bytes[8] = 77;
    let refused = decode(&bytes).unwrap_err();
    assert_eq!(refused, StateError::Format { format: 77, link: link::VERSION });
    assert!(refused.to_string().contains("format 77"), "{refused}");
    bytes[8] = FORMAT as u8;
    bytes[12] ^= 0xff;
    assert!(matches!(decode(&bytes), Err(StateError::Format { .. })));
}

#[test]
fn what_is_no_state_is_no_state() {
    assert_eq!(decode(b""), Err(StateError::NoState));
    assert_eq!(decode(b"something else of some length"), Err(StateError::NoState));
    let mut bytes = encode(&state()).unwrap();
    bytes.push(0);
    assert!(matches!(decode(&bytes), Err(StateError::Damaged(_))));
    bytes.truncate(200);
    assert!(matches!(decode(&bytes), Err(StateError::Damaged(_))));
}
