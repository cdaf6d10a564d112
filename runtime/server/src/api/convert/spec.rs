//! From the wire's spec to a checked one.

use crate::api::errors::{Reason, from_spec};
use crate::jobs::OnDisconnect;
use runtime_plan::limit::LimitRequest;
use runtime_plan::spec::{Spec, UncheckedSpec, WorkspaceRequest};
use runtime_proto::v1;
use tonic::Status;

/// The profile of a spec that names none.
const DEFAULT_PROFILE: &str = "default";

/// A checked spec from what a client sent.
///
/// # Errors
/// INVALID_ARGUMENT with the first thing that is wrong.
pub fn spec_from_wire(wire: v1::JobSpec) -> Result<Spec, Status> {
    on_disconnect_from_wire(wire.on_disconnect)?;
    let profile = if wire.profile.is_empty() { DEFAULT_PROFILE.to_owned() } else { wire.profile };
    let unchecked = UncheckedSpec {
        argv: wire.argv.into_iter().map(Vec::from).collect(),
        env: wire.env.into_iter().map(|variable| (variable.name.into(), variable.value.into())).collect(),
        workdir: (!wire.workdir.is_empty()).then(|| wire.workdir.into()),
        profile,
        workspace: workspace_from_wire(wire.workspace)?,
        stdin: wire.stdin,
        limits: limits_from_wire(wire.limits.unwrap_or_default())?,
    };
    Spec::check(unchecked).map_err(|error| from_spec(&error))
}

/// What happens when the last client has gone.
///
/// # Errors
/// INVALID_ARGUMENT for a number that this version does not know.
pub fn on_disconnect_from_wire(number: i32) -> Result<OnDisconnect, Status> {
    match v1::OnDisconnect::try_from(number) {
        Ok(v1::OnDisconnect::Unspecified | v1::OnDisconnect::Cancel) => Ok(OnDisconnect::Cancel),
        Ok(v1::OnDisconnect::Continue) => Ok(OnDisconnect::Continue),
        Ok(v1::OnDisconnect::CancelNow) => Ok(OnDisconnect::CancelNow),
        Err(_) => {
            Err(Reason::BadEnum
                .status(format!("{number} is no value of on_disconnect that this version knows")))
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
    Ok(LimitRequest {
        wall_time_ms: milliseconds("wall_time", wire.wall_time)?,
        cpu_time_ms: milliseconds("cpu_time", wire.cpu_time)?,
        idle_time_ms: milliseconds("idle_time", wire.idle_time)?,
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

/// A duration in whole milliseconds; a part of one counts as one.
fn milliseconds(name: &str, wire: Option<prost_types::Duration>) -> Result<Option<u64>, Status> {
    let Some(duration) = wire else { return Ok(None) };
    let wrong =
        || Reason::BadDuration.status(format!("{name} must be at least 1 ms and in the range of a duration"));
    if !(0..1_000_000_000).contains(&duration.nanos) {
        return Err(wrong());
    }
    let nanos = u64::try_from(duration.nanos).map_err(|_| wrong())?;
    let seconds = u64::try_from(duration.seconds).map_err(|_| wrong())?;
    if seconds == 0 && nanos < 1_000_000 {
        return Err(wrong());
    }
    let whole = seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(nanos.div_ceil(1_000_000)));
    whole.map(Some).ok_or_else(wrong)
}
