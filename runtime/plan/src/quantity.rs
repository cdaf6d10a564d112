//! Sizes, times, cores and counts as people write them. A size or a time needs its unit: what a bare number means is a guess,
//! and a guess about a limit is a limit that nobody set.

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// A size without a unit.
    #[error(
        "the size {text:?} has no unit: it could be {text} bytes or {text} MiB; write \"{text}B\" or \"{text}MiB\""
    )]
    SizeWithoutUnit {
        /// What was written.
        text: String,
    },
    /// A time without a unit.
    #[error(
        "the time {text:?} has no unit: it could be {text} seconds or {text} milliseconds; write \"{text}s\" or \"{text}ms\""
    )]
    TimeWithoutUnit {
        /// What was written.
        text: String,
    },
    /// A unit that does not exist.
    #[error("{text:?} has the unknown unit {unit:?}; units are {known}")]
    UnknownUnit {
        /// What was written.
        text: String,
        /// The unit.
        unit: String,
        /// Those that exist.
        known: &'static str,
    },
    /// No number at all.
    #[error("{text:?} is not {what}; write {example}")]
    NotANumber {
        /// What was written.
        text: String,
        /// What it should be.
        what: &'static str,
        /// How one looks.
        example: &'static str,
    },
    /// More than 64 bits hold, or less than the smallest step.
    #[error("{text:?} is out of range: {why}")]
    OutOfRange {
        /// What was written.
        text: String,
        /// Which bound.
        why: &'static str,
    },
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const SIZE_UNITS_SHOWN: &str = "B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024)";

const TIME_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("sec", 1_000),
    ("min", 60_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const TIME_UNITS_SHOWN: &str = "ms, s, min, h, d";

/// Bytes of a size such as `512MiB` or `1.5GB`. Fails without a unit.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split(text, "a size", "\"512MiB\"")?;
    if unit.is_empty() {
        // 0 of anything is 0: the one bare number without two readings.
        return if number.is_zero() {
            Ok(0)
        } else {
            Err(QuantityError::SizeWithoutUnit { text: text.to_owned() })
        };
    }
    let factor = factor(text, unit, SIZE_UNITS, SIZE_UNITS_SHOWN)?;
    number.times(factor).ok_or_else(|| out_of_range(text))
}

/// Milliseconds of a time such as `30s`, `500ms` or `1.5h`. Fails without a unit.
pub fn parse_duration(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split(text, "a time", "\"30s\"")?;
    if unit.is_empty() {
        return Err(QuantityError::TimeWithoutUnit { text: text.to_owned() });
    }
    let factor = factor(text, unit, TIME_UNITS, TIME_UNITS_SHOWN)?;
    number.times(factor).ok_or_else(|| out_of_range(text))
}

/// Thousandths of a core of a number of cores such as `2` or `0.5`; the one quantity that is a bare number.
pub fn parse_cpu(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = split(text, "a number of cores", "1.5")?;
    if !unit.is_empty() {
        return Err(QuantityError::UnknownUnit {
            text: text.to_owned(),
            unit: unit.to_owned(),
            known: "none: cpu is a bare number of cores, for example 1.5",
        });
    }
    number.times(1_000).ok_or_else(|| out_of_range(text))
}

/// A bare count such as `256`.
pub fn parse_count(text: &str) -> Result<u64, QuantityError> {
    let plain = text.trim();
    if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(QuantityError::NotANumber { text: text.to_owned(), what: "a count", example: "256" });
    }
    plain.parse().map_err(|_| out_of_range(text))
}

/// Bytes as people read them: the largest unit of 1024 that leaves no fraction.
pub fn show_size(bytes: u64) -> String {
    let units = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let decimal = [("GB", 1_000_000_000u64), ("MB", 1_000_000), ("kB", 1_000)];
    let exact = units
        .into_iter()
        .chain(decimal)
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    exact.map_or_else(|| format!("{bytes}B"), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// Milliseconds as people read them: the largest unit that leaves no fraction.
pub fn show_duration(milliseconds: u64) -> String {
    let units = [("h", 3_600_000u64), ("min", 60_000), ("s", 1_000)];
    let exact =
        units.into_iter().find(|(_, factor)| milliseconds >= *factor && milliseconds.is_multiple_of(*factor));
    exact.map_or_else(
        || format!("{milliseconds}ms"),
        |(unit, factor)| format!("{}{unit}", milliseconds / factor),
    )
}

/// A decimal number, exact: `digits / 10^places`. Floats would round limits.
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    const fn is_zero(&self) -> bool {
        self.digits == 0
    }

    /// The product, when it is whole and fits.
    fn times(&self, factor: u64) -> Option<u64> {
        let product = self.digits.checked_mul(u128::from(factor))?;
        let divisor = 10u128.checked_pow(self.places)?;
        if !product.is_multiple_of(divisor) {
            return None;
        }
        u64::try_from(product / divisor).ok()
    }
}

/// The number and the unit of a text; blanks around and between are allowed.
fn split<'a>(
    text: &'a str,
    what: &'static str,
    example: &'static str,
) -> Result<(Decimal, &'a str), QuantityError> {
    let not_a_number = || QuantityError::NotANumber { text: text.to_owned(), what, example };
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(not_a_number());
    }
    let digits = format!("{whole}{fraction}").parse().map_err(|_| out_of_range(text))?;
    let places = u32::try_from(fraction.len()).map_err(|_| out_of_range(text))?;
    Ok((Decimal { digits, places }, unit.trim()))
}

fn factor(text: &str, unit: &str, units: &[(&str, u64)], known: &'static str) -> Result<u64, QuantityError> {
    let found = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    found.ok_or_else(|| QuantityError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned(), known })
}

fn out_of_range(text: &str) -> QuantityError {
    QuantityError::OutOfRange {
        text: text.to_owned(),
        why: "the number must be whole in bytes, milliseconds or thousandths of a core, and below 2^64",
    }
}

#[cfg(test)]
#[path = "quantity_tests.rs"]
mod tests;
