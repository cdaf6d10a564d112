//! A message on the socket between server and launcher. No bytes panic a decoder; a spec that comes out of one keeps every
//! bound; what was understood is said again and understood the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_plan::{
    link::{self, ToLauncher, ToServer},
    spec::{self, Spec, StdinSource, UncheckedSpec},
};

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = link::decode::<ToLauncher>(data) {
        if let ToLauncher::Start { spec, .. } | ToLauncher::Plan { spec, .. } = &message {
            check_bounds(spec);
        }
        if let ToLauncher::Start { job, .. }
        | ToLauncher::Cancel { job, .. }
        | ToLauncher::Signal { job, .. }
        | ToLauncher::LimitReached { job, .. }
        | ToLauncher::CloseStdin { job }
        | ToLauncher::Acknowledge { job } = &message
        {
            let name = job.as_str();
            assert!(
                !name.is_empty() && name.len() <= link::JOB_ID_BYTES_MAX && !name.contains(['/', '.', '\0'])
            );
        }
        let again = link::encode(&message).expect("it came in a message that fits");
        assert_eq!(link::decode::<ToLauncher>(&again), Ok(message));
    }
    if let Ok(message) = link::decode::<ToServer>(data) {
        let again = link::encode(&message).expect("it came in a message that fits");
        assert_eq!(link::decode::<ToServer>(&again), Ok(message));
    }
});

/// The bounds, said apart from the code that is tested.
fn check_bounds(spec: &Spec) {
    assert!(!spec.argv.is_empty() && !spec.argv[0].is_empty() && spec.argv.len() <= spec::ARGV_COUNT_MAX);
    assert!(spec.env.len() <= spec::ENV_COUNT_MAX);
    let strings = spec.argv.iter().chain(spec.env.iter().flat_map(|(name, value)| [name, value]));
    assert!(strings.clone().all(|string| string.len() < spec::STRING_BYTES_MAX && !string.contains(&0)));
    assert!(strings.map(Vec::len).sum::<usize>() <= spec::ARGV_ENV_BYTES_MAX);
    assert!(spec.env.iter().all(|(name, _)| !name.is_empty() && !name.contains(&b'=')));
    if let Some(workdir) = &spec.workdir {
        assert!(workdir.starts_with(b"/") && workdir.len() <= spec::PATH_BYTES_MAX && !workdir.contains(&0));
        assert!(!workdir.split(|&byte| byte == b'/').any(|part| part == b".."));
    }
    if let StdinSource::File(path) = &spec.stdin {
        assert!(path.starts_with(b"/") && path.len() <= spec::PATH_BYTES_MAX && !path.contains(&0));
        assert!(!path.split(|&byte| byte == b'/').any(|part| part == b".."));
    }
    if let Some(terminal) = &spec.terminal {
        let side = 1..=spec::TERMINAL_SIDE_MAX;
        assert!(
            side.contains(&terminal.rows) && side.contains(&terminal.columns) && !terminal.term.is_empty()
        );
        assert_eq!(spec.stdin, StdinSource::Stream);
    }
    assert!(spec.user.into_iter().chain(spec.group).all(|id| (1..=spec::ID_MAX).contains(&id)));
    assert!(spec::is_name(&spec.profile));
    assert!(Spec::check(UncheckedSpec::from(spec.clone())).is_ok());
}
