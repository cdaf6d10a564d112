//! Time in ids. Lists go by id, and filters by time: where ids hold the time of their making, a filter by time is a
//! range of ids, and a list need not read what lies outside of it.

/// The name under which a profile stands among the labels, whose names are never empty.
pub(super) const PROFILE_TAG: &str = "";

const PREFIX: &str = "job-";
/// The ULID alphabet (github.com/ulid/spec), in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of the time, and of the whole.
const TIME_CHARACTERS: usize = 10;
const CHARACTERS: usize = 26;
/// What no filter can use: an id without a time.
pub(super) const NO_TIME: u64 = i64::MAX as u64;

/// By how much the time in an id differs from the time beside it, rounded up.
pub(super) fn skew_ms(id: &str, created_us: u64) -> u64 {
    time_ms(id).map_or(NO_TIME, |time_ms| (created_us / 1_000).abs_diff(time_ms))
}

/// Milliseconds since 1970.
fn time_ms(id: &str) -> Option<u64> {
    let ulid = id.strip_prefix(PREFIX)?.as_bytes();
    if ulid.len() != CHARACTERS || !ulid.iter().all(|byte| ALPHABET.contains(byte)) {
        return None;
    }
    let digits = ulid.get(..TIME_CHARACTERS)?.iter();
    digits
        .map(|byte| ALPHABET.iter().position(|one| one == byte))
        .try_fold(0u64, |time, digit| time.checked_mul(32)?.checked_add(u64::try_from(digit?).ok()?))
}

/// No job of this time or later has a smaller id; `None` where ids say nothing.
pub(super) fn first_id(created_us: u64, skew_ms: u64) -> Option<String> {
    (skew_ms < NO_TIME).then(|| id_of_ms((created_us / 1_000).saturating_sub(skew_ms)))
}

/// No job before this time has this id or a larger one; `None` where ids say nothing.
pub(super) fn end_id(created_us: u64, skew_ms: u64) -> Option<String> {
    let ms = (created_us / 1_000).checked_add(skew_ms)?.checked_add(1)?;
    // The time of a ULID has 48 bits.
    (ms < 1 << 48).then(|| id_of_ms(ms))
}

fn id_of_ms(ms: u64) -> String {
    let mut id = PREFIX.to_owned();
    for place in (0..TIME_CHARACTERS).rev() {
        let digit = usize::try_from((ms >> (5 * place)) & 31).unwrap_or(0);
        id.push(ALPHABET.get(digit).copied().map_or('0', char::from));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_without_a_time_narrows_nothing() {
        for id in [
            "job-1",
            "",
            "job-01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01arz3ndektsv4rrffq69g5fav",
            "job-01arz3ndektsv4rrffq69g5fau",
        ] {
            assert_eq!(skew_ms(id, 5), NO_TIME, "{id}");
        }
        assert_eq!(first_id(1_700_000_000_000_000, NO_TIME), None);
        assert_eq!(end_id(1_700_000_000_000_000, NO_TIME), None);
        // The example of the ULID specification: 01ARZ3NDEK is 1469922850259.
        assert_eq!(time_ms("job-01arz3ndektsv4rrffq69g5fav"), Some(1_469_922_850_259));
    }

    proptest! {
        #[test]
        fn the_bounds_hold_every_job_of_the_time(at_ms in 0u64..1 << 47, off in -100i64..100, from_us in 0u64..1 << 57, random: u128) {
            let id = format!("job-{}", ulid::Ulid::from_parts(at_ms, random)).to_ascii_lowercase();
            let created_us = at_ms.saturating_add_signed(off) * 1_000 + 7;
            let skew = skew_ms(&id, created_us);
            prop_assert!(skew <= 100);
            for from_us in [from_us, created_us, created_us + 1, created_us.saturating_sub(1)] {
                if created_us >= from_us {
                    prop_assert!(first_id(from_us, skew).is_none_or(|first| id >= first));
                } else if let Some(end) = end_id(from_us, skew) {
                    prop_assert!(id < end);
                }
            }
        }
    }
}
