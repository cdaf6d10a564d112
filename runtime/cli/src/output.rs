//! What this command itself prints: to stdout for answers, to stderr for one-line messages. Job output is `stdio`'s.

use serde_json::Value;
use std::io::{IsTerminal, Write};

use crate::{error::Error, terminal};

/// Writes text to stdout. A reader that went away (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write to", "stdout", error))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON object as one line to stdout.
pub fn print_json(value: &Value) -> Result<(), Error> {
    print(&format!("{value}\n"))
}

/// Writes one line, or several, to stderr. When nobody can read it, nothing else can be done.
pub fn complain(text: &str) {
    let written = std::io::stderr().lock().write_all(line(text).as_bytes());
    drop(written);
}

/// A line, or several, as our terminal shows them: while it is raw nobody else returns the carriage.
pub fn line(text: &str) -> String {
    let text = text.trim_end();
    match terminal::is_raw() {
        true => format!("\r{}\r\n", text.replace('\n', "\r\n")),
        false => format!("{text}\n"),
    }
}

/// Whether stdout takes colours: a terminal, and no `NO_COLOR` (no-color.org: set and not empty).
pub fn has_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How a word is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Doubtful,
    /// Wrong.
    Bad,
}

/// The word, coloured when colours are wanted.
pub fn paint(word: &str, tone: Tone, colour: bool) -> String {
    let code = match tone {
        Tone::Good => 32,
        Tone::Doubtful => 33,
        Tone::Bad => 31,
    };
    if colour { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
}

/// A table whose first column holds one of these words, each line painted by its word.
pub fn paint_first(table: &str, tones: &[(&str, Tone)], colour: bool) -> String {
    let painted = |line: &str| {
        let found = tones.iter().find_map(|(word, tone)| Some((word, tone, line.strip_prefix(word)?)));
        match found {
            Some((word, tone, rest)) => format!("{}{rest}\n", paint(word, *tone, colour)),
            None => format!("{line}\n"),
        }
    };
    table.lines().map(painted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_there_when_wanted() {
        assert_eq!(paint("ok", Tone::Good, false), "ok");
        assert_eq!(paint("ok", Tone::Bad, true), "\u{1b}[31mok\u{1b}[0m");
    }

    #[test]
    fn only_the_first_word_of_a_line_is_painted() {
        let table = "STATE  X\nok     ok\n";
        assert_eq!(paint_first(table, &[("ok", Tone::Good)], false), table);
        let painted = paint_first(table, &[("ok", Tone::Good)], true);
        assert_eq!(painted, "STATE  X\n\u{1b}[32mok\u{1b}[0m     ok\n");
    }
}
