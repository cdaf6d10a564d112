//! Measured amounts for people: rounded, with a unit. Limits that must be exact are `runtime_plan::quantity`'s.

use runtime_plan::limit::LimitName;

/// Bytes with one decimal, in powers of 1024.
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, factor)| bytes >= *factor) {
        Some((unit, factor)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(factor);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

/// Milliseconds as seconds, minutes or hours.
pub fn time(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 if milliseconds.is_multiple_of(1_000) => format!("{} s", milliseconds / 1_000),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000..3_600_000 if milliseconds.is_multiple_of(60_000) => format!("{} min", milliseconds / 60_000),
        60_000..3_600_000 => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
        _ => format!("{} h {} min", milliseconds / 3_600_000, milliseconds % 3_600_000 / 60_000),
    }
}

/// An amount of a limit, in the limit's own unit.
pub fn of_limit(limit: LimitName, amount: u64) -> String {
    match limit {
        LimitName::WallTime | LimitName::CpuTime | LimitName::IdleTime => time(amount),
        LimitName::Memory | LimitName::Swap | LimitName::Output | LimitName::Scratch => size(amount),
        LimitName::Cpu => format!("{}.{:03} cores", amount / 1_000, amount % 1_000),
        LimitName::Pids | LimitName::Files | LimitName::Inodes => format!("{amount} {}", limit.unit()),
    }
}

/// A value for `--limit` that gives twice as much.
pub fn twice(limit: LimitName, allowed: u64) -> String {
    limit.show(allowed.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_rounded_for_people() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1 << 30), "1.0 GiB");
        assert_eq!(size(1_500_000), "1.4 MiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
        let times = [
            (5, "5 ms"),
            (2_000, "2 s"),
            (2_340, "2.3 s"),
            (600_000, "10 min"),
            (61_000, "1 min 1 s"),
            (3_660_000, "1 h 1 min"),
        ];
        for (milliseconds, text) in times {
            assert_eq!(time(milliseconds), text);
        }
    }

    #[test]
    fn twice_can_be_typed_back() {
        assert_eq!(twice(LimitName::Memory, 1 << 30), "2GiB");
        assert_eq!(twice(LimitName::WallTime, 30_000), "1min");
        assert_eq!(twice(LimitName::Cpu, 500), "1");
        assert_eq!(twice(LimitName::Pids, 256), "512");
    }
}
