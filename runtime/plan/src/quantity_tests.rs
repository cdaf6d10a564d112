//! Tables for the quantities.

use super::*;
use proptest::prelude::*;

#[test]
fn sizes_are_read_by_their_unit() {
    for (text, bytes) in [
        ("0", 0),
        ("0B", 0),
        ("512B", 512),
        ("1kB", 1_000),
        ("512MB", 512_000_000),
        ("1GiB", 1 << 30),
        ("1.5GiB", 3 << 29),
        (" 64 MiB ", 64 << 20),
        ("16777215TiB", 16_777_215 << 40),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn a_bare_size_is_refused_with_its_two_readings() {
    let error = parse_size("512").unwrap_err().to_string();
    assert_eq!(
        error,
        "the size \"512\" has no unit: it could be 512 bytes or 512 MiB; write \"512B\" or \"512MiB\""
    );
}

#[test]
fn a_bare_time_is_refused_with_its_two_readings() {
    let error = parse_duration("30").unwrap_err().to_string();
    assert_eq!(
        error,
        "the time \"30\" has no unit: it could be 30 seconds or 30 milliseconds; write \"30s\" or \"30ms\""
    );
    assert!(parse_duration("0").is_err());
}

#[test]
fn bad_sizes_are_refused() {
    for text in [
        "",
        "MiB",
        "-1MiB",
        "1.2.3MiB",
        "1.MiB",
        ".5MiB",
        "1mib",
        "1M",
        "1e3MiB",
        "1.5B",
        "16777216TiB",
        "٣MiB",
    ] {
        assert!(parse_size(text).is_err(), "{text}");
    }
    let long = format!("{}B", "9".repeat(60));
    assert!(matches!(parse_size(&long), Err(QuantityError::OutOfRange { .. })));
}

#[test]
fn times_are_read_by_their_unit() {
    for (text, milliseconds) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("10min", 600_000),
        ("10m", 600_000),
        ("1.5h", 5_400_000),
        ("1d", 86_400_000),
    ] {
        assert_eq!(parse_duration(text), Ok(milliseconds), "{text}");
    }
    for text in ["", "s", "1.5ms", "1 week", "-1s", "inf"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn cores_are_a_bare_number() {
    for (text, millicores) in [("1", 1_000), ("1.5", 1_500), ("0.01", 10), ("16", 16_000)] {
        assert_eq!(parse_cpu(text), Ok(millicores), "{text}");
    }
    for text in ["", "1cpu", "1.0001", "-1", "NaN"] {
        assert!(parse_cpu(text).is_err(), "{text}");
    }
}

#[test]
fn counts_are_whole_and_bare() {
    assert_eq!(parse_count("256"), Ok(256));
    for text in ["", "1.5", "-1", "1k", "0x10", "18446744073709551616"] {
        assert!(parse_count(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(bytes: u64, milliseconds: u64) {
        prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        prop_assert_eq!(parse_duration(&show_duration(milliseconds)), Ok(milliseconds));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,24}") {
        // The result is of no interest: that there is one is.
        prop_assert!(parse_size(&text).is_ok() || parse_size(&text).is_err());
        prop_assert!(parse_duration(&text).is_ok() || parse_duration(&text).is_err());
        prop_assert!(parse_cpu(&text).is_ok() || parse_cpu(&text).is_err());
    }
}
