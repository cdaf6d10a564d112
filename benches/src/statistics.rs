//! Percentiles, medians and ratios. Pure: numbers in, numbers out.

use std::time::Duration;

/// The middle and the ends of a series of times, all in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many samples.
    pub count: usize,
    /// The smallest.
    pub min_us: f64,
    /// Half of the samples are at or below it.
    pub p50_us: f64,
    /// 99 of 100 samples are at or below it; with fewer than 100 samples this is the largest.
    pub p99_us: f64,
    /// The largest.
    pub max_us: f64,
}

/// Sums up a series; `None` when it is empty.
pub fn summarize(samples: &[Duration]) -> Option<Summary> {
    let mut us: Vec<f64> = samples.iter().map(|sample| sample.as_secs_f64() * 1e6).collect();
    us.sort_by(f64::total_cmp);
    Some(Summary {
        count: us.len(),
        min_us: *us.first()?,
        p50_us: percentile(&us, 50)?,
        p99_us: percentile(&us, 99)?,
        max_us: *us.last()?,
    })
}

/// The nearest-rank percentile of a sorted series: the smallest member with at least `percent` of the series at or below it.
/// `None` when the series is empty. `percent` is 1 to 100.
pub fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// The middle of a series, the mean of the two middle members when their number is even; `None` when it is empty.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        1 => Some(upper),
        _ => Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0),
    }
}

/// How many times `reference` goes into `value`; `None` when there is no reference, or it is 0.
pub fn ratio(value: f64, reference: Option<f64>) -> Option<f64> {
    reference.filter(|reference| *reference > 0.0).map(|reference| value / reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(values: &[u64]) -> Vec<Duration> {
        values.iter().map(|value| Duration::from_millis(*value)).collect()
    }

    #[test]
    fn a_percentile_is_a_member_of_the_series() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        let table = [(1, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)];
        for (percent, expected) in table {
            assert_eq!(percentile(&hundred, percent), Some(expected), "p{percent}");
        }
        assert_eq!(percentile(&[1.0, 2.0, 3.0], 50), Some(2.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 50), Some(2.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 99), Some(4.0));
        assert_eq!(percentile(&[7.0], 1), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[1.0], 0), None);
    }

    #[test]
    fn a_summary_does_not_depend_on_the_order_of_the_samples() {
        let summary = summarize(&ms(&[9, 1, 5])).unwrap();
        let expected = Summary { count: 3, min_us: 1e3, p50_us: 5e3, p99_us: 9e3, max_us: 9e3 };
        assert_eq!(summary, expected);
        assert_eq!(summarize(&[]), None);
    }

    #[test]
    fn one_slow_sample_of_a_hundred_is_above_p99_and_two_are_not() {
        let mut samples = vec![1; 99];
        samples.push(50);
        assert_eq!(summarize(&ms(&samples)).unwrap().p99_us, 1e3);
        samples[0] = 40;
        assert_eq!(summarize(&ms(&samples)).unwrap().p99_us, 4e4);
    }

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_ratio_needs_a_reference() {
        assert_eq!(ratio(6.0, Some(2.0)), Some(3.0));
        assert_eq!(ratio(6.0, Some(0.0)), None);
        assert_eq!(ratio(6.0, None), None);
    }
}
