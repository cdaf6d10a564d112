//! Output and gaps, from the log to the wire.

use super::timestamp_from_us;
use crate::logs::reader::{Chunk, Data, Gap};
use crate::logs::{GapReason, Stream};
use runtime_proto::v1;

/// Output, or the word that there was some.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Output.
    Output(v1::OutputChunk),
    /// A gap.
    Gap(v1::OutputGap),
}

/// What a reader found.
pub fn piece_to_wire(chunk: Chunk) -> Piece {
    match chunk {
        Chunk::Data(Data { stream, offset, time_us, data, .. }) => Piece::Output(v1::OutputChunk {
            stream: stream_to_wire(stream).into(),
            offset_bytes: offset,
            time: Some(timestamp_from_us(time_us)),
            data,
        }),
        Chunk::Gap(Gap { stream, offset, length, reason, .. }) => Piece::Gap(v1::OutputGap {
            stream: stream_to_wire(stream).into(),
            offset_bytes: offset,
            length_bytes: length,
            reason: match reason {
                GapReason::JobCap => v1::GapReason::JobCap,
                GapReason::OrgCap => v1::GapReason::OrgCap,
                GapReason::Age => v1::GapReason::Age,
                GapReason::NotKept => v1::GapReason::NotKept,
                GapReason::Damaged => v1::GapReason::Damaged,
            }
            .into(),
        }),
    }
}

fn stream_to_wire(stream: Stream) -> v1::OutputStream {
    match stream {
        Stream::Stdout => v1::OutputStream::Stdout,
        Stream::Stderr => v1::OutputStream::Stderr,
    }
}
