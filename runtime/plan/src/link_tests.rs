//! Properties of the messages: what was said is what is heard, and no bytes make either side panic or believe too much.

use super::*;
use crate::{
    limit::LimitRequest,
    spec::{self, StdinSource, Terminal, UncheckedSpec, WorkspaceRequest},
    wall::{Wall, WallReport, WallState},
};
use proptest::{collection::vec, prelude::*};

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(1u8..=255, 0..12)
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let env = proptest::collection::btree_map("[A-Z_]{1,5}", any_bytes(), 0..4);
    (vec(any_bytes(), 0..4), env, any::<Option<u64>>(), any::<bool>()).prop_map(
        |(mut argv, env, memory, stdin)| {
            argv.insert(0, b"command".to_vec());
            let unchecked = UncheckedSpec {
                argv,
                env: env.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect(),
                workdir: stdin.then(|| b"/workspace/src".to_vec()),
                profile: "default".to_owned(),
                workspace: WorkspaceRequest::HostDirectory,
                stdin: if stdin { StdinSource::Stream } else { StdinSource::File(b"/workspace/in".to_vec()) },
                terminal: stdin.then(|| Terminal { rows: 24, columns: 80, term: "xterm".to_owned() }),
                user: stdin.then_some(7),
                group: None,
                limits: LimitRequest { memory_bytes: memory, ..LimitRequest::default() },
            };
            Spec::check(unchecked).unwrap()
        },
    )
}

fn any_job() -> impl Strategy<Value = JobId> {
    "[a-z0-9][a-z0-9-]{0,63}".prop_map(|text| JobId::try_from(text).unwrap())
}

fn any_question() -> impl Strategy<Value = ToLauncher> {
    prop_oneof![
        any::<u32>().prop_map(|version| ToLauncher::Hello { version }),
        (any_job(), any_spec(), any_bytes()).prop_map(|(job, spec, record)| ToLauncher::Start {
            job,
            spec: Box::new(spec),
            record
        }),
        (any::<u64>(), any_spec())
            .prop_map(|(request, spec)| ToLauncher::Plan { request, spec: Box::new(spec) }),
        (any_job(), ".{0,8}", ".{0,8}", any::<bool>())
            .prop_map(|(job, by, reason, kill)| ToLauncher::Cancel { job, by, reason, kill }),
        (any_job(), any::<i32>(), any::<bool>()).prop_map(|(job, signal, all)| ToLauncher::Signal {
            job,
            signal,
            all
        }),
        (any_job(), any::<u64>(), any::<bool>()).prop_map(|(job, used, output)| {
            let limit = if output { MeasuredLimit::Output } else { MeasuredLimit::IdleTime };
            ToLauncher::LimitReached { job, limit, used }
        }),
        any_job().prop_map(|job| ToLauncher::CloseStdin { job }),
        Just(ToLauncher::Ready),
        any_job().prop_map(|job| ToLauncher::Acknowledge { job }),
        Just(ToLauncher::Goodbye),
    ]
}

fn any_answer() -> impl Strategy<Value = ToServer> {
    let enforcement = proptest::sample::select(Wall::ALL.to_vec()).prop_map(|wall| Enforcement {
        walls: vec![WallReport { wall, state: WallState::Fallback, detail: "weaker".to_owned() }],
        ..Enforcement::default()
    });
    prop_oneof![
        (any_job(), any_pipes()).prop_map(|(job, pipes)| ToServer::Accepted { job, pipes }),
        (any_job(), any_bytes(), any_pipes()).prop_map(|(job, record, pipes)| ToServer::Adopt {
            job,
            record,
            pipes
        }),
        (any_job(), ".{0,8}").prop_map(|(job, message)| {
            let refusal = Refusal { reason: RefusalReason::WallUnavailable, message };
            ToServer::Refused { job, refusal }
        }),
        (any_job(), any::<u64>(), enforcement).prop_map(|(job, time_us, enforcement)| ToServer::Started {
            job,
            time_us,
            enforcement: Box::new(enforcement)
        }),
        (any::<u64>(), ".{0,8}").prop_map(|(request, plan)| ToServer::Planned { request, result: Ok(plan) }),
        Just(ToServer::AdoptionComplete),
        Just(ToServer::Retire),
        Just(ToServer::ShutDown),
        Just(ToServer::Draining),
    ]
}

fn any_pipes() -> impl Strategy<Value = Pipes> {
    (any::<Option<bool>>(), any::<u64>(), any::<Option<u64>>()).prop_map(
        |(stdin, output_bytes_max, idle_ms_max)| Pipes {
            kind: stdin.map_or(PipesKind::Terminal, |stdin| PipesKind::Streams { stdin }),
            output_bytes_max,
            idle_ms_max,
        },
    )
}

/// The bounds of a spec, said once more: what gets through `decode` must keep them.
fn keeps_its_bounds(spec: &Spec) -> bool {
    let strings = spec.argv.iter().chain(spec.env.iter().flat_map(|(name, value)| [name, value]));
    !spec.argv.is_empty()
        && !spec.argv[0].is_empty()
        && spec.argv.len() <= spec::ARGV_COUNT_MAX
        && spec.env.len() <= spec::ENV_COUNT_MAX
        && strings.clone().all(|string| string.len() <= spec::STRING_BYTES_MAX && !string.contains(&0))
        && strings.map(Vec::len).sum::<usize>() <= spec::ARGV_ENV_BYTES_MAX
        && spec.workdir.as_ref().is_none_or(|path| path.starts_with(b"/"))
        && spec::is_name(&spec.profile)
}

proptest! {
    #[test]
    fn what_was_said_is_what_is_heard(question in any_question(), answer in any_answer()) {
        prop_assert_eq!(decode::<ToLauncher>(&encode(&question).unwrap()).unwrap(), question);
        prop_assert_eq!(decode::<ToServer>(&encode(&answer).unwrap()).unwrap(), answer);
    }

    #[test]
    fn bytes_that_are_left_over_are_an_error(question in any_question(), extra in vec(any::<u8>(), 1..4)) {
        let mut bytes = encode(&question).unwrap();
        bytes.extend(extra);
        prop_assert!(decode::<ToLauncher>(&bytes).is_err());
    }

    #[test]
    fn a_message_cut_short_is_an_error(question in any_question(), cut in any::<proptest::sample::Index>()) {
        let bytes = encode(&question).unwrap();
        prop_assert!(decode::<ToLauncher>(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_message_with_a_byte_changed_keeps_the_bounds(
        question in any_question(), place in any::<proptest::sample::Index>(), byte: u8,
    ) {
        let mut bytes = encode(&question).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(ToLauncher::Start { spec, .. } | ToLauncher::Plan { spec, .. }) = decode::<ToLauncher>(&bytes) {
            prop_assert!(keeps_its_bounds(&spec));
        }
    }
}

/// The bytes of a spec that no check has seen, inside a message.
fn smuggled(spec: &UncheckedSpec) -> Vec<u8> {
    #[derive(Serialize)]
    enum Same<'a> {
        #[expect(dead_code, reason = "keeps the place of the first variant")]
        Hello {
            version: u32,
        },
        Start {
            job: &'a str,
            spec: &'a UncheckedSpec,
            record: &'a [u8],
        },
    }
    postcard::to_stdvec(&Same::Start { job: "job-1", spec, record: b"note" }).unwrap()
}

#[test]
fn a_spec_out_of_bounds_does_not_decode() {
    let good = UncheckedSpec {
        argv: vec![b"true".to_vec()],
        env: vec![(b"A".to_vec(), b"b".to_vec())],
        workdir: None,
        profile: "default".to_owned(),
        workspace: WorkspaceRequest::Scratch,
        stdin: StdinSource::Empty,
        terminal: None,
        user: None,
        group: None,
        limits: LimitRequest::default(),
    };
    assert!(decode::<ToLauncher>(&smuggled(&good)).is_ok());
    let bad = [
        UncheckedSpec { argv: Vec::new(), ..good.clone() },
        UncheckedSpec { argv: vec![b"a\0b".to_vec()], ..good.clone() },
        UncheckedSpec { argv: vec![vec![b'a'; spec::STRING_BYTES_MAX]], ..good.clone() },
        UncheckedSpec { argv: vec![b"a".to_vec(); spec::ARGV_COUNT_MAX + 1], ..good.clone() },
        UncheckedSpec { argv: vec![vec![b'a'; 131_000]; 13], ..good.clone() },
        UncheckedSpec { env: vec![(b"A=".to_vec(), Vec::new())], ..good.clone() },
        UncheckedSpec { env: vec![(b"A".to_vec(), Vec::new()), (b"A".to_vec(), Vec::new())], ..good.clone() },
        UncheckedSpec { workdir: Some(b"workspace".to_vec()), ..good.clone() },
        UncheckedSpec { workdir: Some(b"/workspace/../etc".to_vec()), ..good.clone() },
        UncheckedSpec { profile: "../default".to_owned(), ..good.clone() },
    ];
    for spec in bad {
        let decoded = decode::<ToLauncher>(&smuggled(&spec));
        assert!(matches!(decoded, Err(DecodeError::Malformed(_))), "{:?}", spec.profile);
    }
}

#[test]
fn a_job_id_can_name_a_directory_and_nothing_else() {
    for good in ["a", "job-01hx", "0"] {
        assert!(JobId::try_from(good.to_owned()).is_ok(), "{good}");
    }
    let long = "a".repeat(65);
    for bad in ["", "-a", "A", "a/b", "..", "a.b", "a\0", "ä", long.as_str()] {
        assert!(JobId::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn a_message_over_the_bound_is_refused_on_both_sides() {
    let result = Ok("x".repeat(MESSAGE_BYTES_MAX));
    let encoded = encode(&ToServer::Planned { request: 1, result });
    assert!(matches!(encoded, Err(DecodeError::TooLong { .. })));
    let decoded = decode::<ToLauncher>(&vec![0; MESSAGE_BYTES_MAX + 1]);
    assert_eq!(decoded, Err(DecodeError::TooLong { bytes: MESSAGE_BYTES_MAX + 1 }));
}
