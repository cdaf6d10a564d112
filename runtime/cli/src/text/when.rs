//! Points in time as people write them: RFC 3339, or how long ago. Pure: now comes in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use runtime_plan::quantity;

/// Reads `2026-01-31T08:00:00Z` (any offset) or `10min`, which is so long before `now`.
///
/// # Errors
/// One sentence that says what to write.
pub fn parse(text: &str, now: SystemTime) -> Result<Timestamp, String> {
    if let Ok(ago) = quantity::parse_duration(text) {
        let then = now.checked_sub(Duration::from_millis(ago)).filter(|then| *then >= UNIX_EPOCH);
        return Ok(Timestamp::from(then.unwrap_or(UNIX_EPOCH)));
    }
    text.trim().parse().map_err(|_| {
        format!("{text:?} is no time: write how long ago (10min, 2h), or a time such as 2026-01-31T08:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_point_or_a_distance() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let table = [
            ("10min", 1_699_999_400),
            ("0s", 1_700_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000),
            ("100000d", 0),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text, now).map(|time| time.seconds), Ok(seconds), "{text}");
        }
        for text in ["10", "yesterday", ""] {
            assert!(parse(text, now).unwrap_err().contains("10min"), "{text}");
        }
    }
}
