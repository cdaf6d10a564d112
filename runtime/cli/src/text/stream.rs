//! Output of a job made safe for a terminal, piece by piece as it comes. Pure; the one place that does so.
//!
//! State: the bytes of a character that is not whole yet, at most three. Kept as they are: newline, tab, carriage return and
//! UTF-8 that prints. Everything else is shown by its bytes: the ESC of an OSC or CSI sequence becomes `\x1b`, the eight-bit
//! controls `\xc2\x9b`, what is no UTF-8 `\xff`. Marks that turn the reading order become `\u{202e}`; joiners stay, scripts and
//! emoji need them.

use std::fmt::Write;

/// One stream's state.
#[derive(Debug, Default, Clone)]
pub struct Escaper {
    pending: Vec<u8>,
}

impl Escaper {
    /// What to print for these bytes. A character that is cut at the end waits for its rest.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let joined;
        let bytes = if self.pending.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.pending).as_slice(), bytes].concat();
            joined.as_slice()
        };
        let whole = bytes.len() - cut_off(bytes);
        self.pending.extend_from_slice(&bytes[whole..]);
        show(&bytes[..whole])
    }

    /// What is left at the end of the stream.
    pub fn finish(&mut self) -> String {
        show(&std::mem::take(&mut self.pending))
    }
}

/// How many bytes at the end begin a character that may still become whole.
fn cut_off(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    match std::str::from_utf8(&bytes[from..]) {
        Ok(_) => 0,
        // The tail may start inside a character: look at its last invalid run only.
        Err(_) => (1..=bytes.len() - from)
            .rev()
            .find(|count| {
                let tail = &bytes[bytes.len() - count..];
                let unfinished = std::str::from_utf8(tail).err();
                unfinished.is_some_and(|error| error.error_len().is_none() && error.valid_up_to() == 0)
            })
            .unwrap_or(0),
    }
}

fn show(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| character(c, &mut out));
        by_bytes(chunk.invalid(), &mut out);
    }
    out
}

fn character(c: char, out: &mut String) {
    match c {
        '\n' | '\t' | '\r' => out.push(c),
        c if c.is_control() => by_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), out),
        c if turns(c) => push(out, format_args!("\\u{{{:04x}}}", u32::from(c))),
        c => out.push(c),
    }
}

fn by_bytes(bytes: &[u8], out: &mut String) {
    bytes.iter().for_each(|byte| push(out, format_args!("\\x{byte:02x}")));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes whatever is written to it.
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

/// Overrides and isolates of direction, separators of lines and paragraphs, tags.
const fn turns(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
#[path = "stream/tests.rs"]
mod tests;
