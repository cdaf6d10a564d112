//! The daemon's file of settings, `runtime.toml`. Pure: text in, settings or every error at once out.
//!
//! Keys are those of the flags of `runtime serve`, and a flag stands before its key. Nothing is required; an empty file is fine.
//!
//! ```toml
//! listen = ["unix:/run/runtime/api.sock"]
//! insecure_tcp = false
//! state_dir = "/var/lib/runtime"
//! socket_group = "runtime"
//! metrics_listen = "127.0.0.1:9464"
//! drain_timeout = "30s"
//!
//! [retention]
//! age = "90d"        # records and output of finished jobs
//! records = 1000000  # finished jobs, at most
//! output = "10GiB"   # of each org, at most
//!
//! [org]
//! jobs_running_max = 16
//! ```

use crate::{
    quantity::{self, QuantityError},
    source::{ParseErrors, SourceFile},
    toml_reader::{Placed, Reader, Table},
};

/// Longest time that records are kept: a hundred years.
const AGE_MS_MAX: u64 = 100 * 366 * 86_400_000;
/// Longest drain: a day.
const DRAIN_MS_MAX: u64 = 86_400_000;
/// Jobs of one org at the same time, at most: as many as a daemon can run.
const JOBS_RUNNING_MAX: u64 = 16_384;

/// What the file says; `None` is what it leaves to the flags and the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Where to listen, as `--listen` spells it.
    pub listen: Option<Vec<String>>,
    /// Plain HTTP on loopback is allowed.
    pub insecure_tcp: Option<bool>,
    /// Where jobs are kept: an absolute path.
    pub state_dir: Option<String>,
    /// Members may use the sockets: a name or a number.
    pub socket_group: Option<String>,
    /// Where metrics are served: HOST:PORT.
    pub metrics_listen: Option<String>,
    /// How long jobs may go on after TERM, in milliseconds, at most a day.
    pub drain_timeout_ms: Option<u64>,
    /// What is kept of finished jobs.
    pub retention: Retention,
    /// Jobs of one org at the same time, 1 to 16 384.
    pub org_jobs_running_max: Option<u32>,
}

/// What is kept of finished jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long, in milliseconds: 1 s to 100 years.
    pub age_ms: Option<u64>,
    /// How many records, at least 1.
    pub records: Option<u64>,
    /// How much output of each org, in bytes.
    pub output_bytes: Option<u64>,
}

/// Reads the file.
///
/// # Errors
/// Everything that is wrong in it, by line.
pub fn parse(file: &SourceFile) -> Result<DaemonConfig, ParseErrors> {
    let reader = Reader::new(file);
    let config = reader.document().map(|document| {
        let table = Table::new(&reader, &document, "the file", 0..0);
        let config = read(&table);
        table.finish();
        config
    });
    ParseErrors::or(reader.into_errors(), config.unwrap_or_default())
}

/// Checks a time that records are kept, in milliseconds.
///
/// # Errors
/// The bounds.
pub fn check_age(milliseconds: u64) -> Result<u64, String> {
    within(milliseconds, 1_000, AGE_MS_MAX, "1s to 36600d")
}

/// Checks a number of records.
///
/// # Errors
/// The bound.
pub fn check_records(records: u64) -> Result<u64, String> {
    within(records, 1, u64::MAX, "at least 1")
}

/// Checks a drain timeout, in milliseconds.
///
/// # Errors
/// The bounds.
pub fn check_drain(milliseconds: u64) -> Result<u64, String> {
    within(milliseconds, 0, DRAIN_MS_MAX, "0s to 24h")
}

/// Checks a number of jobs of one org.
///
/// # Errors
/// The bounds.
pub fn check_jobs_running(jobs: u64) -> Result<u32, String> {
    let jobs = within(jobs, 1, JOBS_RUNNING_MAX, "1 to 16384")?;
    u32::try_from(jobs).map_err(|_| "must be 1 to 16384".to_owned())
}

fn within(value: u64, least: u64, most: u64, bounds: &str) -> Result<u64, String> {
    if (least..=most).contains(&value) { Ok(value) } else { Err(format!("must be {bounds}")) }
}

fn read(table: &Table<'_, '_>) -> DaemonConfig {
    let retention = table.table("retention", "[retention]");
    let org = table.table("org", "[org]");
    DaemonConfig {
        listen: read_listen(table),
        insecure_tcp: table.boolean("insecure_tcp").map(|flag| flag.value),
        state_dir: read_state_dir(table),
        socket_group: read_text(table, "socket_group"),
        metrics_listen: read_text(table, "metrics_listen"),
        drain_timeout_ms: read_quantity(table, "drain_timeout", quantity::parse_duration, check_drain),
        retention: retention.map(|retention| read_retention(&retention)).unwrap_or_default(),
        org_jobs_running_max: org.and_then(|org| {
            let max = read_number(&org, "jobs_running_max", check_jobs_running);
            org.finish();
            max
        }),
    }
}

fn read_retention(table: &Table<'_, '_>) -> Retention {
    let retention = Retention {
        age_ms: read_quantity(table, "age", quantity::parse_duration, check_age),
        records: read_number(table, "records", check_records),
        output_bytes: read_quantity(table, "output", quantity::parse_size, Ok),
    };
    table.finish();
    retention
}

fn read_listen(table: &Table<'_, '_>) -> Option<Vec<String>> {
    let listen = table.strings("listen")?;
    if listen.is_empty() {
        let span = table.get("listen").map_or(0..0, toml::Spanned::span);
        table.error(
            &span,
            "`listen` is empty: name at least one endpoint, or leave the key out for the default socket",
        );
    }
    Some(listen.into_iter().map(|endpoint| endpoint.value).collect())
}

fn read_state_dir(table: &Table<'_, '_>) -> Option<String> {
    let path = table.string("state_dir")?;
    if !path.value.starts_with('/') {
        table.error(
            &path.span,
            format!(
                "`state_dir` is {:?} and must be an absolute path: a daemon has no directory of its own",
                path.value
            ),
        );
    }
    Some(path.value)
}

fn read_text(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    let text = table.string(key)?;
    if text.value.is_empty() {
        table.error(&text.span, format!("`{key}` is empty: give a value, or leave the key out"));
    }
    Some(text.value)
}

fn read_quantity(
    table: &Table<'_, '_>,
    key: &'static str,
    parse: fn(&str) -> Result<u64, QuantityError>,
    check: fn(u64) -> Result<u64, String>,
) -> Option<u64> {
    let value = table.get(key)?;
    // A bare number has its own hint: which two readings it has.
    let text = Table::scalar_text(value.get_ref());
    let Some(text) = text.map(|text| Placed { value: text, span: value.span() }) else {
        let kind = value.get_ref().type_str();
        table.error(&value.span(), format!("`{key}` must be text with a unit, and is of type {kind}"));
        return None;
    };
    let checked = parse(&text.value).map_err(|error| format!("`{key}`: {error}")).and_then(|number| {
        check(number).map_err(|bounds| format!("`{key}` is {:?} and {bounds}", text.value))
    });
    checked.map_err(|message| table.error(&text.span, message)).ok()
}

fn read_number<T>(
    table: &Table<'_, '_>,
    key: &'static str,
    check: fn(u64) -> Result<T, String>,
) -> Option<T> {
    let number = table.number(key)?;
    check(number.value)
        .map_err(|bounds| table.error(&number.span, format!("`{key}` is {} and {bounds}", number.value)))
        .ok()
}

#[cfg(test)]
#[path = "daemon_config_tests.rs"]
mod tests;
