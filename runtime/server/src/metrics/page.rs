//! The numbers as text, in the two forms that scrapers read. Pure.
//!
//! The forms differ in little: Prometheus text 0.0.4 names a counter with its `_total` in HELP and TYPE, too, and knows
//! no UNIT and no EOF.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

/// A form of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

impl Form {
    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Form::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What an Accept header asks for: OpenMetrics where it is named with a weight that is not zero and not below that
    /// of `text/plain`, else Prometheus text, which every scraper reads.
    pub fn wanted(accept: &str) -> Form {
        let weight = |kind: &str| accept.split(',').filter_map(|range| weight_of(range, kind)).max();
        match (weight("application/openmetrics-text"), weight("text/plain")) {
            (Some(open), plain) if open > 0 && open >= plain.unwrap_or(0) => Form::OpenMetrics,
            _ => Form::Prometheus,
        }
    }
}

/// The weight of one media range in thousandths, when it is of this kind (RFC 9110, section 12.5.1).
fn weight_of(range: &str, kind: &str) -> Option<u32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(kind) {
        return None;
    }
    let Some(weight) = parts.find_map(|part| part.strip_prefix("q=")) else { return Some(1_000) };
    let (whole, thousandths) = weight.split_once('.').unwrap_or((weight, ""));
    let digits: String = thousandths.chars().chain("000".chars()).take(3).collect();
    Some((whole.parse::<u32>().ok()? * 1_000 + digits.parse::<u32>().ok()?).min(1_000))
}

/// The whole page.
pub fn write(registry: &Registry, form: Form) -> String {
    let mut page = String::new();
    // Only a writer can fail, and a string does not.
    if text::encode(&mut page, registry).is_err() {
        return String::new();
    }
    match form {
        Form::OpenMetrics => page,
        Form::Prometheus => prometheus(&page),
    }
}

/// HELP and TYPE of a counter and of an info name the sample, and an info is a gauge that is 1.
fn prometheus(page: &str) -> String {
    let typed = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let suffixes: BTreeMap<&str, &str> = typed
        .filter_map(|(name, kind)| match kind {
            "counter" => Some((name, "_total")),
            "info" => Some((name, "_info")),
            _ => None,
        })
        .collect();
    let mut text = String::with_capacity(page.len());
    for line in page.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|kind| {
            let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
            Some((kind, name, suffixes.get(name)?, rest))
        });
        match described {
            Some((kind, name, suffix, rest)) => {
                let rest = if rest == "info" { "gauge" } else { rest };
                text.extend([kind, name, *suffix, " ", rest]);
            }
            None => text += line,
        }
        text.push('\n');
    }
    text
}
