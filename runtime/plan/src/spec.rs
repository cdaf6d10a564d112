//! What a caller asks for, checked: bounds hold, no NUL where the kernel takes none, no host path anywhere.

use crate::limit::LimitRequest;
use serde::{Deserialize, Serialize};

/// Arguments, the command included: at most this many (execve(2) counts pages, not entries; this bounds our own work).
pub const ARGV_COUNT_MAX: usize = 65_536;
/// One argument or one `NAME=value`, its NUL included: the kernel's MAX_ARG_STRLEN, 32 pages (execve(2)).
pub const STRING_BYTES_MAX: usize = 131_072;
/// All arguments and all environment strings together: 1.5 MiB, below the kernel's quarter of an 8 MiB stack (execve(2)).
pub const ARGV_ENV_BYTES_MAX: usize = 1_572_864;
/// Environment variables of the caller.
pub const ENV_COUNT_MAX: usize = 4_096;
/// A path inside the sandbox: PATH_MAX less its NUL (path_resolution(7)).
pub const PATH_BYTES_MAX: usize = 4_095;
/// A profile's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Highest uid and gid that a caller may ask for: 65534 stands for ids that are not mapped (user_namespaces(7)).
pub const ID_MAX: u32 = 65_533;
/// Lines and columns of a terminal.
pub const TERMINAL_SIDE_MAX: u16 = 4_096;

/// A job as its caller wants it. Made by [`Spec::check`] only, on each side of every border that it crosses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedSpec", into = "UncheckedSpec")]
pub struct Spec {
    inner: UncheckedSpec,
}

/// The same before the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncheckedSpec {
    /// The command and its arguments, as bytes.
    pub argv: Vec<Vec<u8>>,
    /// Environment of the caller: names and values.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the command starts: absolute, inside the sandbox, without `..`.
    pub workdir: Option<Vec<u8>>,
    /// The profile's name.
    pub profile: String,
    /// What is mounted at /workspace.
    pub workspace: WorkspaceRequest,
    /// What the command reads.
    pub stdin: StdinSource,
    /// Its terminal; without one stdout and stderr are two streams.
    pub terminal: Option<Terminal>,
    /// Uid inside, 1 to [`ID_MAX`]; `None` is the profile's.
    pub user: Option<u32>,
    /// Gid inside, 1 to [`ID_MAX`]; `None` is the number of `user`, or the profile's.
    pub group: Option<u32>,
    /// Limits that the caller asks for.
    pub limits: LimitRequest,
}

/// What a command reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum StdinSource {
    /// Nothing: end of file at once.
    #[default]
    Empty,
    /// A stream from the caller. With a terminal: what is typed.
    Stream,
    /// A file inside, opened with the job's rights behind its walls: absolute, without `..`.
    File(Vec<u8>),
}

/// A terminal of the job's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Lines, 1 to [`TERMINAL_SIDE_MAX`].
    pub rows: u16,
    /// Columns, 1 to [`TERMINAL_SIDE_MAX`].
    pub columns: u16,
    /// Value of TERM: 1 to 64 of `a-z A-Z 0-9 . + -`.
    pub term: String,
}

/// What is mounted at /workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceRequest {
    /// Scratch that goes with the job.
    #[default]
    Scratch,
    /// The directory that the launcher was started with (embedded form only).
    HostDirectory,
}

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is no command.
    #[error("the command is empty: give the program and its arguments after `--`")]
    NoCommand,
    /// Too many arguments.
    #[error("{count} arguments are over the bound of {ARGV_COUNT_MAX}: pass the data on stdin or in a file")]
    TooManyArguments {
        /// How many there were.
        count: usize,
    },
    /// Too many variables.
    #[error(
        "{count} environment variables are over the bound of {ENV_COUNT_MAX}: pass the data on stdin or in a file"
    )]
    TooManyVariables {
        /// How many there were.
        count: usize,
    },
    /// One string is too long for the kernel.
    #[error(
        "{what} is {bytes} bytes long, over the kernel's bound of {STRING_BYTES_MAX}: pass the data on stdin or in a file"
    )]
    StringTooLong {
        /// Which one.
        what: String,
        /// Its length.
        bytes: usize,
    },
    /// All strings together are too long.
    #[error(
        "arguments and environment together are {bytes} bytes, over the bound of {ARGV_ENV_BYTES_MAX}: pass the data on stdin or in a file"
    )]
    TooLong {
        /// Their length.
        bytes: usize,
    },
    /// A NUL where the kernel's strings end.
    #[error(
        "{what} contains a NUL byte, which no argument, variable or path can carry: remove it or pass the data on stdin"
    )]
    Nul {
        /// Where.
        what: String,
    },
    /// A variable's name is empty or has a `=`.
    #[error(
        "the environment variable name {name:?} is empty or contains `=`: names are one or more bytes without `=`"
    )]
    BadVariableName {
        /// The name, lossy.
        name: String,
    },
    /// The same variable twice.
    #[error("the environment variable {name:?} is given twice: keep one")]
    DuplicateVariable {
        /// The name, lossy.
        name: String,
    },
    /// A path inside that is not absolute or climbs.
    #[error(
        "the working directory {path:?} must be absolute inside the sandbox, without `..`, at most {PATH_BYTES_MAX} bytes: for example /workspace/src"
    )]
    BadWorkdir {
        /// The path, lossy.
        path: String,
    },
    /// A profile name that no profile can have.
    #[error(
        "the profile name {name:?} is not one: lower-case letters, digits, `-` and `_`, 1 to {NAME_BYTES_MAX} bytes; `runtime profile list` shows them"
    )]
    BadProfileName {
        /// The name.
        name: String,
    },
    /// A file for stdin that is not absolute or climbs.
    #[error(
        "the stdin file {path:?} must be absolute inside the sandbox, without `..`, at most {PATH_BYTES_MAX} bytes: for example /workspace/input"
    )]
    BadStdinFile {
        /// The path, lossy.
        path: String,
    },
    /// A terminal and something else than typing.
    #[error("a command with a terminal reads from the terminal: leave stdin as a stream")]
    StdinWithTerminal,
    /// A terminal of no size, or of no type.
    #[error(
        "the terminal {rows}x{columns} of type {term:?} is none: 1 to {TERMINAL_SIDE_MAX} lines and columns, a type of 1 to 64 letters, digits, `.`, `+`, `-`"
    )]
    BadTerminal {
        /// Lines.
        rows: u16,
        /// Columns.
        columns: u16,
        /// Type.
        term: String,
    },
    /// An id that cannot be one inside.
    #[error("the {what} {id} is out of range: 1 to {ID_MAX}; 0 stays with the sandbox's init")]
    BadId {
        /// "uid" or "gid".
        what: &'static str,
        /// The number.
        id: u32,
    },
}

impl Spec {
    /// Checks every bound. Pure.
    pub fn check(unchecked: UncheckedSpec) -> Result<Spec, SpecError> {
        if unchecked.argv.first().is_none_or(|command| command.is_empty()) {
            return Err(SpecError::NoCommand);
        }
        if unchecked.argv.len() > ARGV_COUNT_MAX {
            return Err(SpecError::TooManyArguments { count: unchecked.argv.len() });
        }
        if unchecked.env.len() > ENV_COUNT_MAX {
            return Err(SpecError::TooManyVariables { count: unchecked.env.len() });
        }
        let mut bytes = 0;
        for (index, argument) in unchecked.argv.iter().enumerate() {
            bytes += check_string(&format!("argument {index}"), argument, 1)?;
        }
        check_environment(&unchecked.env, &mut bytes)?;
        if bytes > ARGV_ENV_BYTES_MAX {
            return Err(SpecError::TooLong { bytes });
        }
        if let Some(workdir) = &unchecked.workdir {
            check_workdir(workdir)?;
        }
        check_stdio(&unchecked)?;
        for (what, id) in [("uid", unchecked.user), ("gid", unchecked.group)] {
            if let Some(id) = id
                && !(1..=ID_MAX).contains(&id)
            {
                return Err(SpecError::BadId { what, id });
            }
        }
        if !is_name(&unchecked.profile) {
            return Err(SpecError::BadProfileName { name: unchecked.profile.chars().take(80).collect() });
        }
        Ok(Spec { inner: unchecked })
    }
}

impl std::ops::Deref for Spec {
    type Target = UncheckedSpec;
    fn deref(&self) -> &UncheckedSpec {
        &self.inner
    }
}

impl From<Spec> for UncheckedSpec {
    fn from(spec: Spec) -> UncheckedSpec {
        spec.inner
    }
}

impl TryFrom<UncheckedSpec> for Spec {
    type Error = SpecError;
    fn try_from(unchecked: UncheckedSpec) -> Result<Self, SpecError> {
        Spec::check(unchecked)
    }
}

/// Whether `name` can name a profile: lower-case letters, digits, `-`, `_`, 1 to 64 bytes.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

fn check_string(what: &str, string: &[u8], extra: usize) -> Result<usize, SpecError> {
    if string.contains(&0) {
        return Err(SpecError::Nul { what: what.to_owned() });
    }
    let bytes = string.len() + extra;
    if bytes > STRING_BYTES_MAX {
        return Err(SpecError::StringTooLong { what: what.to_owned(), bytes });
    }
    Ok(bytes)
}

fn check_environment(env: &[(Vec<u8>, Vec<u8>)], bytes: &mut usize) -> Result<(), SpecError> {
    let mut names = std::collections::BTreeSet::new();
    for (name, value) in env {
        let shown = String::from_utf8_lossy(name).into_owned();
        if name.is_empty() || name.contains(&b'=') {
            return Err(SpecError::BadVariableName { name: shown });
        }
        if !names.insert(name.as_slice()) {
            return Err(SpecError::DuplicateVariable { name: shown });
        }
        check_string(&format!("the name of variable {shown:?}"), name, 0)?;
        // `NAME=value\0`: the value's bound leaves room for the rest.
        *bytes += check_string(&format!("variable {shown:?}"), value, name.len() + 2)?;
    }
    Ok(())
}

fn check_workdir(workdir: &[u8]) -> Result<(), SpecError> {
    if workdir.contains(&0) {
        return Err(SpecError::Nul { what: "the working directory".to_owned() });
    }
    if !is_path_inside(workdir) {
        return Err(SpecError::BadWorkdir { path: String::from_utf8_lossy(workdir).into_owned() });
    }
    Ok(())
}

/// Absolute, not climbing, not longer than the kernel takes.
fn is_path_inside(path: &[u8]) -> bool {
    let climbs = path.split(|&byte| byte == b'/').any(|part| part == b"..");
    path.first() == Some(&b'/') && !climbs && path.len() <= PATH_BYTES_MAX
}

fn check_stdio(spec: &UncheckedSpec) -> Result<(), SpecError> {
    if let StdinSource::File(path) = &spec.stdin {
        if path.contains(&0) {
            return Err(SpecError::Nul { what: "the stdin file".to_owned() });
        }
        if !is_path_inside(path) {
            return Err(SpecError::BadStdinFile { path: String::from_utf8_lossy(path).into_owned() });
        }
    }
    let Some(terminal) = &spec.terminal else { return Ok(()) };
    if spec.stdin != StdinSource::Stream {
        return Err(SpecError::StdinWithTerminal);
    }
    let side = 1..=TERMINAL_SIDE_MAX;
    let term = &terminal.term;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let is_type = !term.is_empty() && term.len() <= NAME_BYTES_MAX && term.bytes().all(plain);
    if !side.contains(&terminal.rows) || !side.contains(&terminal.columns) || !is_type {
        return Err(SpecError::BadTerminal {
            rows: terminal.rows,
            columns: terminal.columns,
            term: term.chars().take(80).collect(),
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
