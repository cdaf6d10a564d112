//! From the arguments of `run` and `submit` to the spec of a job. Pure: the caller's environment comes in as a function.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use runtime_plan::limit::{self, LimitName, LimitRequest};
use runtime_plan::quantity;
use runtime_plan::spec::{self, Spec, StdinSource, UncheckedSpec, WorkspaceRequest};
use runtime_proto::v1::{
    EnvironmentVariable, HostDirectoryWorkspace, JobSpec, Keep, Limits, OnDisconnect, ScratchWorkspace,
    Terminal, Workspace, workspace,
};

use crate::args::{JobArgs, KeepWish};
use crate::error::Error;

/// A directory of this host that is wanted at /workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryWish {
    /// Its path; a relative one is relative to the working directory.
    pub path: PathBuf,
    /// Mounted read-only.
    pub read_only: bool,
}

/// Reads `--dir PATH[:ro]`. A path that itself ends in `:ro` is written with a slash behind it.
pub fn directory(text: &OsStr) -> Result<DirectoryWish, Error> {
    let bytes = text.as_bytes();
    let (path, read_only) = match bytes.strip_suffix(b":ro") {
        Some(path) => (path, true),
        None => (bytes, false),
    };
    if path.is_empty() {
        let message = "--dir needs a path: for example --dir . or --dir /srv/data:ro".to_owned();
        return Err(Error::Usage { message });
    }
    Ok(DirectoryWish { path: OsStr::from_bytes(path).into(), read_only })
}

/// What a job is besides its arguments: it depends on the verb, and on the terminal that we have.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// A directory of the host is mounted at /workspace.
    pub host_directory: bool,
    /// Stdin is a stream.
    pub stdin: bool,
    /// Size and type for `-t`.
    pub terminal: Option<spec::Terminal>,
    /// What happens when its last client goes away.
    pub on_disconnect: OnDisconnect,
}

/// The spec, checked as the daemon will check it. `variable` gives the caller's environment.
pub fn spec(
    args: &JobArgs,
    shape: Shape,
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> Result<JobSpec, Error> {
    let user = args.user.as_deref().map(user).transpose()?;
    let stdin = match &args.stdin_file {
        Some(path) => StdinSource::File(path.as_bytes().to_vec()),
        None if shape.stdin || shape.terminal.is_some() => StdinSource::Stream,
        None => StdinSource::Empty,
    };
    let unchecked = UncheckedSpec {
        argv: args.command.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
        env: args.env.iter().map(|text| environment(text, &variable)).collect::<Result<_, _>>()?,
        workdir: args.workdir.as_ref().map(|path| path.as_bytes().to_vec()),
        profile: args.profile.clone(),
        workspace: if shape.host_directory {
            WorkspaceRequest::HostDirectory
        } else {
            WorkspaceRequest::Scratch
        },
        stdin,
        terminal: shape.terminal,
        user: user.map(|(uid, _)| uid),
        group: user.and_then(|(_, gid)| gid),
        limits: limits(args)?,
    };
    let checked = Spec::check(unchecked).map_err(|error| Error::Usage { message: error.to_string() })?;
    let keep_output_bytes =
        args.keep_output.as_deref().map(|text| size("--keep-output", text)).transpose()?;
    let keep = match args.keep {
        KeepWish::All => Keep::All,
        KeepWish::Record => Keep::Record,
    };
    Ok(JobSpec {
        labels: labels(&args.label)?,
        org: args.org.clone(),
        priority: args.priority,
        keep_output_bytes,
        keep: keep.into(),
        on_disconnect: shape.on_disconnect.into(),
        ..to_message(checked.into())
    })
}

/// Reads a size for the flag `name`.
pub fn size(name: &str, text: &str) -> Result<u64, Error> {
    quantity::parse_size(text).map_err(|error| Error::Usage { message: format!("{name}: {error}") })
}

/// Reads a time for the flag `name`, in milliseconds.
pub fn milliseconds(name: &str, text: &str) -> Result<u64, Error> {
    quantity::parse_duration(text).map_err(|error| Error::Usage { message: format!("{name}: {error}") })
}

/// Reads labels: `NAME=VALUE`, each name once.
pub fn labels(texts: &[String]) -> Result<HashMap<String, String>, Error> {
    let mut labels = HashMap::new();
    for text in texts {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!("--label {text}: write NAME=VALUE, for example --label build=1234");
            return Err(Error::Usage { message });
        };
        if labels.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Error::Usage { message: format!("the label {name} is given twice: keep one") });
        }
    }
    Ok(labels)
}

/// Reads `UID[:GID]`.
fn user(text: &str) -> Result<(u32, Option<u32>), Error> {
    let wrong = || Error::Usage {
        message: format!(
            "--user {text}: write a uid, or uid and gid, as numbers: --user 1000 or --user 1000:100"
        ),
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

fn environment(
    text: &OsStr,
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let bytes = text.as_bytes();
    if let Some(equals) = bytes.iter().position(|byte| *byte == b'=') {
        return Ok((bytes[..equals].to_vec(), bytes[equals + 1..].to_vec()));
    }
    if bytes.is_empty() {
        return Err(Error::Usage { message: "--env needs NAME=VALUE, or NAME to hand on ours".to_owned() });
    }
    match variable(text) {
        Some(value) => Ok((bytes.to_vec(), value.into_vec())),
        None => {
            let name = text.to_string_lossy();
            let message = format!(
                "--env {name}: it is not set here, so there is nothing to hand on; set it, or write --env {name}=VALUE"
            );
            Err(Error::Usage { message })
        }
    }
}

fn limits(args: &JobArgs) -> Result<LimitRequest, Error> {
    let mut request = LimitRequest::default();
    if let Some(text) = &args.timeout {
        request.set(LimitName::WallTime, milliseconds("--timeout", text)?);
    }
    for text in &args.limit {
        let (name, amount) =
            limit::parse_assignment(text).map_err(|error| Error::Usage { message: error.to_string() })?;
        if request.get(name).is_some() {
            let also = if name == LimitName::WallTime { " (--timeout is wall_time)" } else { "" };
            return Err(Error::Usage { message: format!("the limit {name} is given twice{also}: keep one") });
        }
        request.set(name, amount);
    }
    Ok(request)
}

/// A checked spec in the words of the API.
fn to_message(spec: UncheckedSpec) -> JobSpec {
    let kind = match spec.workspace {
        WorkspaceRequest::Scratch => workspace::Kind::Scratch(ScratchWorkspace {}),
        WorkspaceRequest::HostDirectory => workspace::Kind::HostDirectory(HostDirectoryWorkspace {}),
    };
    let variable =
        |(name, value): (Vec<u8>, Vec<u8>)| EnvironmentVariable { name: name.into(), value: value.into() };
    let (stdin, stdin_file) = match spec.stdin {
        StdinSource::Empty => (false, Vec::new()),
        StdinSource::Stream => (true, Vec::new()),
        StdinSource::File(path) => (false, path),
    };
    let terminal = spec.terminal.map(|terminal| Terminal {
        rows: terminal.rows.into(),
        columns: terminal.columns.into(),
        term: terminal.term,
    });
    JobSpec {
        argv: spec.argv.into_iter().map(Into::into).collect(),
        env: spec.env.into_iter().map(variable).collect(),
        workdir: spec.workdir.unwrap_or_default().into(),
        profile: spec.profile,
        workspace: Some(Workspace { kind: Some(kind) }),
        stdin,
        stdin_file: stdin_file.into(),
        terminal,
        user: spec.user,
        group: spec.group,
        limits: Some(Limits {
            wall_time: spec.limits.wall_time_ms.map(duration),
            cpu_time: spec.limits.cpu_time_ms.map(duration),
            idle_time: spec.limits.idle_time_ms.map(duration),
            memory_bytes: spec.limits.memory_bytes,
            swap_bytes: spec.limits.swap_bytes,
            cpu_millicores: spec.limits.cpu_millicores,
            pids: spec.limits.pids,
            files: spec.limits.files,
            output_bytes: spec.limits.output_bytes,
            scratch_bytes: spec.limits.scratch_bytes,
            scratch_inodes: spec.limits.scratch_inodes,
        }),
        ..JobSpec::default()
    }
}

/// Milliseconds as the API has them.
pub fn duration(milliseconds: u64) -> prost_types::Duration {
    // A time in milliseconds of 64 bits has fewer seconds than i64 holds, and fewer than 1e9 nanoseconds are left.
    let seconds = i64::try_from(milliseconds / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(milliseconds % 1_000 * 1_000_000).unwrap_or(0);
    prost_types::Duration { seconds, nanos }
}

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
