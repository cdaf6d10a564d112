//! From the wire to what is asked of the registry: the job's own words, times, and which output is wanted.

use super::spec::spec_from_wire;
use crate::api::errors::Reason;
use crate::jobs::{Keep, OnDisconnect, Request};
use crate::logs::{Stream, reader};
use runtime_plan::spec::is_name;
use runtime_proto::v1;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tonic::Status;

/// Labels of one job, and of one filter.
pub const LABELS_MAX: usize = 64;
/// Bytes of a label's key.
pub const LABEL_KEY_BYTES_MAX: usize = 63;
/// Bytes of a label's value.
pub const LABEL_VALUE_BYTES_MAX: usize = 255;
/// Bytes of an idempotency key.
pub const KEY_BYTES_MAX: usize = 128;
/// The highest priority; the lowest is its opposite.
pub const PRIORITY_MAX: i32 = 100;
/// The least output that a job may ask to be kept: a head, a tail, and segments that are not absurdly small.
pub const KEEP_BYTES_MIN: u64 = 64 * 1024;
/// The org of a spec that names none.
const DEFAULT_ORG: &str = "default";

/// Who asks, which decides what happens when they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Run: a client that stays.
    Stays,
    /// Submit: nobody stays.
    Leaves,
}

/// A request from what a client sent, every bound checked.
///
/// # Errors
/// INVALID_ARGUMENT with the first thing that is wrong.
pub fn request_from_wire(mut wire: v1::JobSpec, key: String, caller: Caller) -> Result<Request, Status> {
    let on_disconnect = on_disconnect_from_wire(wire.on_disconnect, caller)?;
    let labels = labels_from_wire(std::mem::take(&mut wire.labels))?;
    let org = std::mem::take(&mut wire.org);
    let org = if org.is_empty() { DEFAULT_ORG.to_owned() } else { org_from_wire(org)? };
    let priority = wire.priority;
    if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&priority) {
        let text = format!("the priority {priority} is out of range: give -{PRIORITY_MAX} to {PRIORITY_MAX}");
        return Err(Reason::BadPriority.status(text));
    }
    let keep_output_bytes = wire.keep_output_bytes;
    if let Some(bytes) = keep_output_bytes.filter(|bytes| *bytes < KEEP_BYTES_MIN) {
        return Err(Reason::BadKeep.status(format!(
            "keep_output_bytes {bytes} is below its floor of {KEEP_BYTES_MIN}: ask for more, or leave it out to keep all"
        )));
    }
    let keep = keep_from_wire(wire.keep)?;
    let key = key_from_wire(key)?;
    let spec = spec_from_wire(wire)?;
    Ok(Request { spec, labels, org, priority, on_disconnect, keep, keep_output_bytes, key })
}

/// What happens when the last client has gone.
fn on_disconnect_from_wire(number: i32, caller: Caller) -> Result<OnDisconnect, Status> {
    let asked = v1::OnDisconnect::try_from(number).map_err(|_| {
        Reason::BadEnum.status(format!("{number} is no value of on_disconnect that this version knows"))
    })?;
    match (asked, caller) {
        (v1::OnDisconnect::Continue, _) | (v1::OnDisconnect::Unspecified, Caller::Leaves) => {
            Ok(OnDisconnect::Continue)
        }
        (v1::OnDisconnect::Unspecified | v1::OnDisconnect::Cancel, Caller::Stays) => Ok(OnDisconnect::Cancel),
        (v1::OnDisconnect::CancelNow, Caller::Stays) => Ok(OnDisconnect::CancelNow),
        (v1::OnDisconnect::Cancel | v1::OnDisconnect::CancelNow, Caller::Leaves) => {
            Err(Reason::Contradiction.status(
                "a job that is submitted has no client whose going could cancel it: leave out `on_disconnect`, or use Run",
            ))
        }
    }
}

fn keep_from_wire(number: i32) -> Result<Keep, Status> {
    match v1::Keep::try_from(number) {
        Ok(v1::Keep::Unspecified | v1::Keep::All) => Ok(Keep::All),
        Ok(v1::Keep::Record) => Ok(Keep::Record),
        Err(_) => {
            Err(Reason::BadEnum.status(format!("{number} is no value of keep that this version knows")))
        }
    }
}

/// `None` for the empty key.
fn key_from_wire(key: String) -> Result<Option<String>, Status> {
    if key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Reason::BadKey.status(format!(
            "the idempotency key must be 1 to {KEY_BYTES_MAX} printable ASCII characters: use a UUID, for example"
        )));
    }
    Ok((!key.is_empty()).then_some(key))
}

/// A job's labels, or a filter's.
///
/// # Errors
/// INVALID_ARGUMENT with the first one that is out of bounds.
pub fn labels_from_wire(wire: HashMap<String, String>) -> Result<BTreeMap<String, String>, Status> {
    if wire.len() > LABELS_MAX {
        let text = format!("{} labels are over the bound of {LABELS_MAX}: leave some out", wire.len());
        return Err(Reason::BadLabel.status(text));
    }
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'/' | b'-')
    };
    let labels: BTreeMap<String, String> = wire.into_iter().collect();
    for (key, value) in &labels {
        let shown: String = key.chars().take(80).collect();
        if key.is_empty() || key.len() > LABEL_KEY_BYTES_MAX || !key.bytes().all(plain) {
            return Err(Reason::BadLabel.status(format!(
                "the label key {shown:?} must be 1 to {LABEL_KEY_BYTES_MAX} of a-z 0-9 . _ / -"
            )));
        }
        if value.len() > LABEL_VALUE_BYTES_MAX {
            return Err(Reason::BadLabel.status(format!(
                "the value of label {shown:?} is {} bytes, over the bound of {LABEL_VALUE_BYTES_MAX}: shorten it",
                value.len()
            )));
        }
    }
    Ok(labels)
}

/// An org's name, of a job or a filter.
///
/// # Errors
/// INVALID_ARGUMENT when no org can have it.
pub fn org_from_wire(org: String) -> Result<String, Status> {
    if is_name(&org) {
        return Ok(org);
    }
    let shown: String = org.chars().take(80).collect();
    Err(Reason::BadOrg.status(format!("the org {shown:?} must be 1 to 64 of a-z 0-9 - _")))
}

/// A duration in whole milliseconds; a part of one counts as one.
///
/// # Errors
/// INVALID_ARGUMENT for less than 1 ms, and for what is no duration.
pub fn milliseconds(name: &str, wire: Option<prost_types::Duration>) -> Result<Option<u64>, Status> {
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

/// A duration of at least 1 ms and at most this.
///
/// # Errors
/// INVALID_ARGUMENT outside of that.
pub fn duration_up_to(
    name: &str,
    wire: Option<prost_types::Duration>,
    most: Duration,
) -> Result<Option<Duration>, Status> {
    let asked = milliseconds(name, wire)?.map(Duration::from_millis);
    match asked {
        Some(asked) if asked > most => {
            let text = format!("{name} {} s is over the bound of {} s", asked.as_secs(), most.as_secs());
            Err(Reason::BadDuration.status(text))
        }
        asked => Ok(asked),
    }
}

/// A time in microseconds since 1970; what was before counts as 0.
///
/// # Errors
/// INVALID_ARGUMENT for what is no timestamp.
pub fn micros(name: &str, wire: Option<prost_types::Timestamp>) -> Result<Option<u64>, Status> {
    let Some(prost_types::Timestamp { seconds, nanos }) = wire else { return Ok(None) };
    let nanos = u64::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let Some(nanos) = nanos else {
        let text = format!("{name} has nanoseconds out of range: give 0 to 999999999");
        return Err(Reason::BadTimestamp.status(text));
    };
    let Ok(seconds) = u64::try_from(seconds) else { return Ok(Some(0)) };
    // Later than the year 9999 is no timestamp (google.protobuf.Timestamp).
    if seconds > 253_402_300_799 {
        return Err(Reason::BadTimestamp.status(format!("{name} is after the year 9999")));
    }
    Ok(Some(seconds * 1_000_000 + nanos / 1_000))
}

/// Which output a reader of logs wants.
///
/// # Errors
/// INVALID_ARGUMENT with the first thing that is wrong.
pub fn wanted_from_wire(wire: &v1::StreamLogsRequest) -> Result<reader::Wanted, Status> {
    let only = match v1::OutputStream::try_from(wire.stream) {
        Ok(v1::OutputStream::Unspecified) => None,
        Ok(v1::OutputStream::Stdout) => Some(Stream::Stdout),
        Ok(v1::OutputStream::Stderr) => Some(Stream::Stderr),
        Err(_) => {
            let text = format!("{} is no stream that this version knows", wire.stream);
            return Err(Reason::BadEnum.status(text));
        }
    };
    let from =
        reader::From { stdout_offset: wire.stdout_offset_bytes, stderr_offset: wire.stderr_offset_bytes };
    if wire.tail_bytes.is_some() && from != reader::From::default() {
        return Err(Reason::Contradiction.status(
            "output is wanted from an offset or from its end: leave out `tail_bytes` or the offsets",
        ));
    }
    let since_us = micros("since", wire.since)?;
    Ok(reader::Wanted { from, only, since_us, tail_bytes: wire.tail_bytes })
}
