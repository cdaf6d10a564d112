use super::*;
use proptest::prelude::*;

fn all(pieces: &[&[u8]]) -> String {
    let mut escaper = Escaper::default();
    let mut out: String = pieces.iter().map(|piece| escaper.push(piece)).collect();
    out.push_str(&escaper.finish());
    out
}

#[test]
fn what_drives_a_terminal_is_shown_instead() {
    let table: &[(&[u8], &str)] = &[
        ("plain ü 漢 👩\u{200d}🔬\n".as_bytes(), "plain ü 漢 👩\u{200d}🔬\n"),
        (b"a\tb\r\nc", "a\tb\r\nc"),
        (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        (b"\x1b]52;c;aGk=\x1b\\", "\\x1b]52;c;aGk=\\x1b\\"),
        (b"bell\x07 back\x08 nul\0 del\x7f", "bell\\x07 back\\x08 nul\\x00 del\\x7f"),
        (b"\x9b2J", "\\x9b2J"),
        ("\u{9b}2J".as_bytes(), "\\xc2\\x9b2J"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"\xe2\x82", "\\xe2\\x82"),
        ("\u{202e}abc".as_bytes(), "\\u{202e}abc"),
    ];
    for (bytes, shown) in table {
        assert_eq!(all(&[bytes]), *shown, "{bytes:?}");
    }
}

#[test]
fn a_cut_character_waits_for_its_rest_and_no_longer() {
    let mut escaper = Escaper::default();
    assert_eq!(escaper.push(b"a\xe2\x82"), "a");
    assert_eq!(escaper.push(b"\xacb"), "€b");
    assert_eq!(escaper.push(b"\xf0\x9f"), "");
    assert_eq!(escaper.push(b"x"), "\\xf0\\x9fx");
    assert_eq!(escaper.push(b"\xc2"), "");
    assert_eq!(escaper.push(b"\x9b"), "\\xc2\\x9b", "an eight-bit control cut in two");
    assert_eq!(escaper.push(b"\xc3"), "");
    assert_eq!(escaper.finish(), "\\xc3");
    assert_eq!(escaper.finish(), "");
}

/// Bytes in which the interesting ones are frequent.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<char>().prop_map(|c| c.to_string().into_bytes()),
        prop_oneof![Just("\x1b["), Just("\x1b]"), Just("\u{9b}"), Just("\u{202e}"), Just("\n"), Just("é")]
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn where_the_pieces_are_cut_changes_nothing(bytes in bytes(), cuts in proptest::collection::vec(0usize..160, 0..12)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(all(&pieces), all(&[&bytes]));
    }

    #[test]
    fn nothing_that_drives_a_terminal_comes_out(bytes in bytes()) {
        let shown = all(&[&bytes]);
        let safe = |c: char| matches!(c, '\n' | '\t' | '\r') || !(c.is_control() || turns(c));
        prop_assert!(shown.chars().all(safe), "{:?}", shown);
    }

    #[test]
    fn text_that_prints_stays_as_it_is(text in "[\\PC\n\t]{0,60}") {
        prop_assume!(!text.chars().any(turns));
        prop_assert_eq!(all(&[text.as_bytes()]), text);
    }

    #[test]
    fn at_most_three_bytes_wait(bytes in bytes()) {
        let mut escaper = Escaper::default();
        escaper.push(&bytes);
        prop_assert!(escaper.pending.len() <= 3);
    }
}
