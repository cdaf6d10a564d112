//! Output as text on our own streams, or as JSON: one object for each piece.

use runtime_proto::v1::{GapReason, OutputChunk, OutputGap, OutputStream};
use serde_json::Value;

use crate::error::Error;
use crate::json::{Object, bytes, short, time};
use crate::screen::{Look, Screen};
use crate::stdio::{Stream, WriteFailure};

/// Prints what comes.
pub struct Printer {
    screen: Screen,
    json: bool,
}

impl Printer {
    /// Our stdout and stderr.
    pub fn start(look: Look, json: bool) -> Result<Printer, Error> {
        // Everything that is no character of ours is escaped in JSON itself.
        let look = if json { Look { raw: true, timestamps: false } } else { look };
        Ok(Printer { screen: Screen::start(look)?, json })
    }

    /// Somebody else's screen, for tests.
    #[cfg(test)]
    pub const fn with(screen: Screen, json: bool) -> Printer {
        Printer { screen, json }
    }

    /// The bytes that come next.
    pub fn cursors(&self) -> [Option<u64>; 2] {
        self.screen.cursors()
    }

    /// Prints a chunk; returns when there is room for the next.
    pub async fn output(&mut self, chunk: OutputChunk) -> Result<Result<(), WriteFailure>, Error> {
        let object = self.json.then(|| chunk_json(&chunk));
        self.screen.take(chunk)?;
        Ok(self.hand_over(object).await)
    }

    /// Tells a gap, as [`Printer::output`].
    pub async fn gap(&mut self, gap: &OutputGap) -> Result<Result<(), WriteFailure>, Error> {
        self.screen.skip(gap)?;
        let object = self.json.then(|| gap_json(gap));
        Ok(self.hand_over(object).await)
    }

    async fn hand_over(&mut self, object: Option<Value>) -> Result<(), WriteFailure> {
        if let Some(object) = object {
            self.screen.replace(Stream::Stdout, (object.to_string() + "\n").into());
        }
        let queue = self.screen.queue();
        while !self.screen.has_room() {
            match queue.reserve().await {
                Ok(room) => self.screen.hand_over(room),
                Err(_) => return self.done().await,
            }
        }
        Ok(())
    }

    /// What the writer says when it ends early; never, while it writes. Cancel safe.
    pub async fn done(&mut self) -> Result<(), WriteFailure> {
        match self.screen.is_writing() {
            true => {
                let done = self.screen.done().await.unwrap_or(Ok(()));
                self.screen.close();
                done
            }
            false => std::future::pending().await,
        }
    }

    /// Writes the rest.
    pub async fn finish(self) -> Result<(), WriteFailure> {
        self.screen.flush().await
    }
}

fn stream(stream: OutputStream) -> String {
    short(stream.as_str_name(), "OUTPUT_STREAM_").into_owned()
}

fn chunk_json(chunk: &OutputChunk) -> Value {
    let output = Object::default()
        .set("stream", stream(chunk.stream()))
        .set("offset_bytes", chunk.offset_bytes)
        .set_some("time", chunk.time.as_ref().map(time))
        .set("data", bytes(&chunk.data));
    Object::default().set("output", output).into()
}

fn gap_json(gap: &OutputGap) -> Value {
    let reason: GapReason = gap.reason();
    let gap = Object::default()
        .set("stream", stream(gap.stream()))
        .set("offset_bytes", gap.offset_bytes)
        .set("length_bytes", gap.length_bytes)
        .set("reason", short(reason.as_str_name(), "GAP_REASON_").into_owned());
    Object::default().set("gap", gap).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_piece_is_one_object_that_loses_no_byte() {
        let chunk = |data: &'static [u8]| OutputChunk {
            stream: OutputStream::Stderr.into(),
            offset_bytes: 7,
            time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            data: data.into(),
        };
        let text = json!({"output": {"stream": "stderr", "offset_bytes": 7, "time": "2023-11-14T22:13:20Z", "data": "a\u{1b}"}});
        assert_eq!(chunk_json(&chunk(b"a\x1b")), text);
        assert_eq!(chunk_json(&chunk(b"\xff"))["output"]["data"], json!({"hex": "ff"}));
    }

    #[test]
    fn a_gap_is_one_object() {
        let gap = OutputGap {
            stream: OutputStream::Stdout.into(),
            offset_bytes: 1,
            length_bytes: 2,
            reason: GapReason::OrgCap.into(),
        };
        let expected =
            json!({"gap": {"stream": "stdout", "offset_bytes": 1, "length_bytes": 2, "reason": "org_cap"}});
        assert_eq!(gap_json(&gap), expected);
    }
}
