//! Text of jobs, daemons and files made safe for a terminal: no control characters, no characters that turn or hide text.

/// One line: everything that moves a cursor, turns the reading order or cannot be seen becomes `\n`, `\x1b` or `\u{202e}`.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x100 && c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_hidden(c) => out.push_str(&format!("\\u{{{:04x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Bytes as a line: those that are no UTF-8 become `\xff`.
pub fn bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&line(chunk.valid()));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// A command line: arguments joined by blanks, quoted where a shell would need it.
pub fn command(argv: &[impl AsRef<[u8]>]) -> String {
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./:=,+@%^~".contains(c))
    };
    let words = argv.iter().map(|argument| {
        let shown = bytes(argument.as_ref());
        if plain(&shown) { shown } else { format!("'{}'", shown.replace('\'', "'\\''")) }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Cut to so many characters, with an ellipsis where something was lost.
pub fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters_max.saturating_sub(1)).collect();
    kept + "…"
}

/// Marks of direction, separators of lines, invisible joiners and tags (Unicode, "Trojan Source").
const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_shown_instead() {
        let table = [
            ("plain ü 漢", "plain ü 漢"),
            ("a\x1b]0;title\x07b", "a\\x1b]0;title\\x07b"),
            ("c1 \u{9b}2J", "c1 \\x9b2J"),
            ("a\r\n\tb", "a\\r\\n\\tb"),
            ("bidi \u{202e}x\u{2066}", "bidi \\u{202e}x\\u{2066}"),
            ("\u{200b}\u{feff}", "\\u{200b}\\u{feff}"),
            ("\u{7f}", "\\x7f"),
        ];
        for (text, shown) in table {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_by_number() {
        assert_eq!(bytes(b"ok \xff\xfe\n"), "ok \\xff\\xfe\\n");
    }

    #[test]
    fn a_command_is_quoted_where_needed() {
        assert_eq!(command(&[b"sh".as_slice(), b"-c", b"echo it's", b""]), "sh -c 'echo it'\\''s' ''");
    }

    #[test]
    fn a_cut_is_seen() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äbcd", 4), "äbcd");
    }
}
