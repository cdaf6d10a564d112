//! Tables for the bounds of a spec: one byte below is taken, one above is refused with the next step.

use super::*;

fn good() -> UncheckedSpec {
    UncheckedSpec {
        argv: vec![b"true".to_vec()],
        env: Vec::new(),
        workdir: None,
        profile: "default".to_owned(),
        workspace: WorkspaceRequest::Scratch,
        stdin: StdinSource::Empty,
        terminal: None,
        user: None,
        group: None,
        limits: LimitRequest::default(),
    }
}

fn with_argv(argv: Vec<Vec<u8>>) -> UncheckedSpec {
    UncheckedSpec { argv, ..good() }
}

fn with_env(env: &[(&[u8], &[u8])]) -> UncheckedSpec {
    let env = env.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    UncheckedSpec { env, ..good() }
}

fn with_workdir(workdir: &[u8]) -> UncheckedSpec {
    UncheckedSpec { workdir: Some(workdir.to_vec()), ..good() }
}

#[test]
fn what_is_within_the_bounds_is_taken_as_it_is() {
    let longest = vec![b'a'; STRING_BYTES_MAX - 1];
    let directory = [b"/".to_vec(), vec![b'a'; PATH_BYTES_MAX - 1]].concat();
    for spec in [
        good(),
        with_argv(vec![b"a".to_vec(); ARGV_COUNT_MAX]),
        with_argv(vec![longest, Vec::new()]),
        with_env(&[(b"A", b""), (b"B", b"\xff=\xfe")]),
        with_workdir(&directory),
        with_workdir(b"/workspace/..hidden/a..b"),
        UncheckedSpec { profile: "a-b_9".to_owned(), ..good() },
    ] {
        assert_eq!(Spec::check(spec.clone()).map(UncheckedSpec::from), Ok(spec));
    }
}

#[test]
fn what_is_out_of_bounds_is_refused_by_name() {
    let long_path = [b"/".to_vec(), vec![b'a'; PATH_BYTES_MAX]].concat();
    let many = (0..=ENV_COUNT_MAX).map(|index| (index.to_string().into_bytes(), Vec::new())).collect();
    let name = |profile: &str| UncheckedSpec { profile: profile.to_owned(), ..good() };
    for (spec, expected) in [
        (with_argv(Vec::new()), SpecError::NoCommand),
        (with_argv(vec![Vec::new()]), SpecError::NoCommand),
        (
            with_argv(vec![b"a".to_vec(); ARGV_COUNT_MAX + 1]),
            SpecError::TooManyArguments { count: ARGV_COUNT_MAX + 1 },
        ),
        (
            with_argv(vec![b"a".to_vec(), vec![b'a'; STRING_BYTES_MAX]]),
            SpecError::StringTooLong { what: "argument 1".to_owned(), bytes: STRING_BYTES_MAX + 1 },
        ),
        (with_argv(vec![b"a\0b".to_vec()]), SpecError::Nul { what: "argument 0".to_owned() }),
        (with_argv(vec![vec![b'a'; 131_071]; 13]), SpecError::TooLong { bytes: 131_072 * 13 }),
        (UncheckedSpec { env: many, ..good() }, SpecError::TooManyVariables { count: ENV_COUNT_MAX + 1 }),
        (with_env(&[(b"", b"x")]), SpecError::BadVariableName { name: String::new() }),
        (with_env(&[(b"A=B", b"x")]), SpecError::BadVariableName { name: "A=B".to_owned() }),
        (with_env(&[(b"A", b"1"), (b"A", b"2")]), SpecError::DuplicateVariable { name: "A".to_owned() }),
        (with_env(&[(b"A", b"\0")]), SpecError::Nul { what: "variable \"A\"".to_owned() }),
        (with_env(&[(b"A\0", b"")]), SpecError::Nul { what: "the name of variable \"A\\0\"".to_owned() }),
        (with_workdir(b""), SpecError::BadWorkdir { path: String::new() }),
        (with_workdir(b"src"), SpecError::BadWorkdir { path: "src".to_owned() }),
        (with_workdir(b"/workspace/.."), SpecError::BadWorkdir { path: "/workspace/..".to_owned() }),
        (with_workdir(b"/a\0"), SpecError::Nul { what: "the working directory".to_owned() }),
        (
            with_workdir(&long_path),
            SpecError::BadWorkdir { path: String::from_utf8_lossy(&long_path).into_owned() },
        ),
        (name(""), SpecError::BadProfileName { name: String::new() }),
        (name("Default"), SpecError::BadProfileName { name: "Default".to_owned() }),
        (name("../default"), SpecError::BadProfileName { name: "../default".to_owned() }),
    ] {
        assert_eq!(Spec::check(spec), Err(expected));
    }
}

#[test]
fn a_refusal_says_what_to_do_next() {
    let error = Spec::check(with_argv(vec![b"a\0b".to_vec()])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 0 contains a NUL byte, which no argument, variable or path can carry: remove it or pass the data on stdin"
    );
}

#[test]
fn a_variable_counts_with_its_name_and_its_end() {
    let value = vec![b'v'; STRING_BYTES_MAX - 3];
    assert!(Spec::check(with_env(&[(b"A", &value)])).is_ok());
    assert_eq!(
        Spec::check(with_env(&[(b"AB", &value)])),
        Err(SpecError::StringTooLong { what: "variable \"AB\"".to_owned(), bytes: STRING_BYTES_MAX + 1 })
    );
}
