//! Between the wire and our own types. Pure: nothing here reads a clock, a file or a socket.
//!
//! Wire types stop here: what comes in is checked once, what goes out is complete.

mod job;
mod outcome;
mod spec;

pub use job::{finished_to_wire, job_to_wire, started_to_wire, state_from_wire, state_to_wire};
pub use outcome::{enforcement_to_wire, exit_status, outcome_to_wire};
pub use spec::{on_disconnect_from_wire, spec_from_wire};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds as the wire's duration.
pub fn duration_from_us(us: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(us / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(us % 1_000_000 * 1_000).unwrap_or_default(),
    }
}

/// A time as the wire's timestamp.
pub fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}

/// Microseconds since 1970 as the wire's timestamp.
pub fn timestamp_from_us(us: u64) -> prost_types::Timestamp {
    timestamp(UNIX_EPOCH + Duration::from_micros(us))
}

#[cfg(test)]
mod tests;
