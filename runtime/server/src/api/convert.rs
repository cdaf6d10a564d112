//! Between the wire and our own types. Pure: nothing here reads a clock, a file or a socket.
//!
//! Wire types stop here: what comes in is checked once, what goes out is complete.

mod job;
mod outcome;
mod output;
mod request;
mod spec;

pub use job::{finished_to_wire, job_to_wire, row_state, started_to_wire, state_from_wire, state_to_wire};
pub use outcome::{enforcement_to_wire, exit_status, outcome_to_wire};
pub use output::{Piece, piece_to_wire};
pub use request::{
    Caller, duration_up_to, labels_from_wire, micros, org_from_wire, request_from_wire, wanted_from_wire,
};
pub use spec::size_from_wire;

/// Microseconds as the wire's duration.
pub fn duration_from_us(us: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(us / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(us % 1_000_000 * 1_000).unwrap_or_default(),
    }
}

/// Microseconds since 1970 as the wire's timestamp.
pub fn timestamp_from_us(us: u64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(us / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(us % 1_000_000 * 1_000).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
