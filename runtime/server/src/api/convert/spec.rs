//! From the wire's spec to a checked one.

use super::request::milliseconds;
use crate::api::errors::{Reason, from_spec};
use runtime_plan::limit::LimitRequest;
use runtime_plan::spec::{Spec, SpecError, StdinSource, Terminal, UncheckedSpec, WorkspaceRequest};
use runtime_proto::v1;
use tonic::Status;

/// The profile of a spec that names none.
const DEFAULT_PROFILE: &str = "default";
/// Lines of a terminal that says no number.
const DEFAULT_ROWS: u16 = 24;
/// Columns of a terminal that says no number.
const DEFAULT_COLUMNS: u16 = 80;
/// Type of a terminal that says none.
const DEFAULT_TERM: &str = "xterm-256color";
/// The shortest time without input and output that the server can measure.
const IDLE_MS_MIN: u64 = 1_000;

/// A checked spec from what a client sent: what the launcher needs of it.
///
/// # Errors
/// INVALID_ARGUMENT with the first thing that is wrong.
pub fn spec_from_wire(wire: v1::JobSpec) -> Result<Spec, Status> {
    let stdin = stdin_from_wire(&wire)?;
    let profile = if wire.profile.is_empty() { DEFAULT_PROFILE.to_owned() } else { wire.profile };
    let unchecked = UncheckedSpec {
        argv: wire.argv.into_iter().map(Vec::from).collect(),
        env: wire.env.into_iter().map(|variable| (variable.name.into(), variable.value.into())).collect(),
        workdir: (!wire.workdir.is_empty()).then(|| wire.workdir.into()),
        profile,
        workspace: workspace_from_wire(wire.workspace)?,
        stdin,
        terminal: wire.terminal.map(terminal_from_wire).transpose()?,
        user: wire.user,
        group: wire.group,
        limits: limits_from_wire(wire.limits.unwrap_or_default())?,
    };
    Spec::check(unchecked).map_err(|error| from_spec(&error))
}

/// Lines and columns of a terminal that exists.
///
/// # Errors
/// INVALID_ARGUMENT when one is out of range.
pub fn size_from_wire(wire: v1::Resize) -> Result<(u16, u16), Status> {
    let v1::Resize { rows, columns } = wire;
    let side = |number: u32| {
        u16::try_from(number).ok().filter(|side| (1..=runtime_plan::spec::TERMINAL_SIDE_MAX).contains(side))
    };
    side(rows).zip(side(columns)).ok_or_else(|| {
        Reason::BadTerminal
            .status(format!("{rows} lines and {columns} columns are out of range: give 1 to 4096 of each"))
    })
}

/// A terminal is read from whatever `stdin` says, since there is always somebody who can type.
fn stdin_from_wire(wire: &v1::JobSpec) -> Result<StdinSource, Status> {
    match (wire.stdin_file.is_empty(), wire.stdin, &wire.terminal) {
        (false, true, _) => Err(Reason::Contradiction
            .status("stdin is either a stream or a file: leave out `stdin` or `stdin_file`")),
        (false, false, _) => Ok(StdinSource::File(wire.stdin_file.to_vec())),
        (true, false, None) => Ok(StdinSource::Empty),
        (true, true, _) | (true, _, Some(_)) => Ok(StdinSource::Stream),
    }
}

fn terminal_from_wire(wire: v1::Terminal) -> Result<Terminal, Status> {
    let v1::Terminal { rows, columns, term } = wire;
    let side = |number: u32, default| if number == 0 { Ok(default) } else { u16::try_from(number) };
    match (side(rows, DEFAULT_ROWS), side(columns, DEFAULT_COLUMNS)) {
        (Ok(rows), Ok(columns)) => {
            let term = if term.is_empty() { DEFAULT_TERM.to_owned() } else { term };
            Ok(Terminal { rows, columns, term })
        }
        _ => {
            let most = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
            let term = term.chars().take(80).collect();
            Err(from_spec(&SpecError::BadTerminal { rows: most(rows), columns: most(columns), term }))
        }
    }
}

fn workspace_from_wire(wire: Option<v1::Workspace>) -> Result<WorkspaceRequest, Status> {
    match wire.map(|workspace| workspace.kind) {
        None | Some(Some(v1::workspace::Kind::Scratch(_))) => Ok(WorkspaceRequest::Scratch),
        Some(Some(v1::workspace::Kind::HostDirectory(_))) => Ok(WorkspaceRequest::HostDirectory),
        // A kind of a newer version looks like none: scratch in its place would be a surprise.
        Some(None) => Err(Reason::EmptyInput
            .status("the workspace has no kind that this version knows: set scratch or host_directory")),
    }
}

fn limits_from_wire(wire: v1::Limits) -> Result<LimitRequest, Status> {
    let idle_time_ms = milliseconds("idle_time", wire.idle_time)?;
    if let Some(idle_ms) = idle_time_ms.filter(|idle_ms| *idle_ms < IDLE_MS_MIN) {
        return Err(Reason::LimitOutOfRange
            .status(format!("idle_time {idle_ms} ms is below its floor of 1 s: ask for at least 1 s")));
    }
    Ok(LimitRequest {
        wall_time_ms: milliseconds("wall_time", wire.wall_time)?,
        cpu_time_ms: milliseconds("cpu_time", wire.cpu_time)?,
        idle_time_ms,
        memory_bytes: wire.memory_bytes,
        swap_bytes: wire.swap_bytes,
        cpu_millicores: wire.cpu_millicores,
        pids: wire.pids,
        files: wire.files,
        output_bytes: wire.output_bytes,
        scratch_bytes: wire.scratch_bytes,
        scratch_inodes: wire.scratch_inodes,
    })
}
