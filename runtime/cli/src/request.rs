//! From the arguments of `run` to the first message of `Run`. Pure: the caller's environment comes in as a function.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use runtime_plan::limit::{self, LimitName, LimitRequest};
use runtime_plan::quantity;
use runtime_plan::spec::{Spec, UncheckedSpec, WorkspaceRequest};
use runtime_proto::v1::{
    EnvironmentVariable, HostDirectoryWorkspace, JobSpec, Limits, OnDisconnect, RunStart, ScratchWorkspace,
    Workspace, workspace,
};

use crate::{args::RunArgs, error::Error};

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

/// The first message of `Run`, checked as the daemon will check it. `variable` gives the caller's environment.
pub fn run_start(args: &RunArgs, variable: impl Fn(&OsStr) -> Option<OsString>) -> Result<RunStart, Error> {
    let workspace =
        if args.dir.is_some() { WorkspaceRequest::HostDirectory } else { WorkspaceRequest::Scratch };
    let unchecked = UncheckedSpec {
        argv: args.command.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
        env: args.env.iter().map(|text| environment(text, &variable)).collect::<Result<_, _>>()?,
        workdir: args.workdir.as_ref().map(|path| path.as_bytes().to_vec()),
        profile: args.profile.clone(),
        workspace,
        stdin: args.interactive,
        limits: limits(args)?,
    };
    let checked = Spec::check(unchecked).map_err(|error| Error::Usage { message: error.to_string() })?;
    Ok(RunStart { spec: Some(to_message(checked.into())), validate_only: args.plan })
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

fn limits(args: &RunArgs) -> Result<LimitRequest, Error> {
    let mut request = LimitRequest::default();
    if let Some(text) = &args.timeout {
        let milliseconds = quantity::parse_duration(text)
            .map_err(|error| Error::Usage { message: format!("--timeout: {error}") })?;
        request.set(LimitName::WallTime, milliseconds);
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

/// A spec in the words of the API. This client does not come back after a disconnect, so its job is not kept waiting for it.
fn to_message(spec: UncheckedSpec) -> JobSpec {
    let kind = match spec.workspace {
        WorkspaceRequest::Scratch => workspace::Kind::Scratch(ScratchWorkspace {}),
        WorkspaceRequest::HostDirectory => workspace::Kind::HostDirectory(HostDirectoryWorkspace {}),
    };
    let variable =
        |(name, value): (Vec<u8>, Vec<u8>)| EnvironmentVariable { name: name.into(), value: value.into() };
    JobSpec {
        argv: spec.argv.into_iter().map(Into::into).collect(),
        env: spec.env.into_iter().map(variable).collect(),
        workdir: spec.workdir.unwrap_or_default().into(),
        profile: spec.profile,
        workspace: Some(Workspace { kind: Some(kind) }),
        stdin: spec.stdin,
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
        on_disconnect: OnDisconnect::CancelNow.into(),
    }
}

fn duration(milliseconds: u64) -> prost_types::Duration {
    // A time in milliseconds of 64 bits has fewer seconds than i64 holds, and fewer than 1e9 nanoseconds are left.
    let seconds = i64::try_from(milliseconds / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(milliseconds % 1_000 * 1_000_000).unwrap_or(0);
    prost_types::Duration { seconds, nanos }
}

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
