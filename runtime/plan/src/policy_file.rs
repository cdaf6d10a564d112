//! A policy's file. Every key and its meaning is in `policies/local.toml`.

use crate::{
    digest,
    limit::{LimitName, LimitRequest},
    policy::Policy,
    profile_file,
    source::{ParseErrors, SourceFile},
    spec, suggest,
    toml_reader::{Reader, Table},
};

/// Jobs at once, at most: each leases 16 host ids, and the range for them has room for this many.
const JOBS_RUNNING_MAX: u64 = 16_384;
/// Jobs that wait, at most: each holds its spec in memory.
const JOBS_QUEUED_MAX: u64 = 1_000_000;

/// Reads a policy.
pub(crate) fn parse(file: &SourceFile) -> Result<Policy, ParseErrors> {
    let reader = Reader::new(file);
    let policy = reader.document().map(|document| {
        let table = Table::new(&reader, &document, "a policy", 0..0);
        let policy = read(file, &table);
        table.finish();
        policy
    });
    let errors = reader.into_errors();
    let mut policy = policy.unwrap_or_else(nothing);
    policy.digest = digest::of("runtime policy 1", &policy);
    policy.origin = file.path.clone();
    ParseErrors::or(errors, policy)
}

/// A policy that lets nobody do anything; it stands in while a file is wrong, and is never handed out.
const fn nothing() -> Policy {
    Policy {
        name: String::new(),
        origin: String::new(),
        digest: String::new(),
        profiles: Some(Vec::new()),
        ceilings: LimitRequest {
            wall_time_ms: None,
            cpu_time_ms: None,
            idle_time_ms: None,
            memory_bytes: None,
            swap_bytes: None,
            cpu_millicores: None,
            pids: None,
            files: None,
            output_bytes: None,
            scratch_bytes: None,
            scratch_inodes: None,
        },
        must_set: Vec::new(),
        jobs_running_max: 0,
        jobs_queued_max: 0,
        host_directory: false,
    }
}

fn read(file: &SourceFile, table: &Table<'_, '_>) -> Policy {
    let ceilings = table.table("ceilings", "[ceilings]");
    let host_directory = table.boolean("host_directory");
    if host_directory.is_none() {
        table.missing("host_directory", "whether `--dir` of the embedded form is allowed, true or false");
    }
    Policy {
        name: file.stem().to_owned(),
        profiles: read_profiles(table),
        ceilings: ceilings.map(|ceilings| read_ceilings(&ceilings)).unwrap_or_default(),
        must_set: read_must_set(table),
        jobs_running_max: read_number(table, "jobs_running_max", 1, JOBS_RUNNING_MAX),
        jobs_queued_max: read_number(table, "jobs_queued_max", 0, JOBS_QUEUED_MAX),
        host_directory: host_directory.is_some_and(|flag| flag.value),
        ..nothing()
    }
}

fn read_profiles(table: &Table<'_, '_>) -> Option<Vec<String>> {
    let names = table.strings("profiles")?;
    for name in names.iter().filter(|name| !spec::is_name(&name.value)) {
        table.error(&name.span, format!("{:?} cannot name a profile", name.value));
    }
    Some(names.into_iter().map(|name| name.value).collect())
}

fn read_must_set(table: &Table<'_, '_>) -> Vec<LimitName> {
    let names = table.strings("must_set").unwrap_or_default();
    for name in &names {
        let always = LimitName::from_name(&name.value).is_some_and(|limit| {
            !matches!(limit, LimitName::WallTime | LimitName::CpuTime | LimitName::IdleTime)
        });
        if always {
            let message = format!(
                "`{}` need not be listed: it always has a value; wall_time and cpu_time may be none",
                name.value
            );
            table.error(&name.span, message);
        }
    }
    profile_file::read_limit_names(table, names)
}

fn read_ceilings(table: &Table<'_, '_>) -> LimitRequest {
    let mut ceilings = LimitRequest::default();
    for (name, value) in table.entries() {
        match LimitName::from_name(&name.value) {
            Some(limit) => {
                if let Some(number) = profile_file::read_limit(table, limit, value) {
                    ceilings.set(limit, number);
                }
            }
            None => {
                let hint = suggest::hint(&name.value, &LimitName::ALL.map(LimitName::name));
                table.error(&name.span, format!("there is no limit `{}`: {hint}", name.value));
            }
        }
    }
    ceilings
}

fn read_number(table: &Table<'_, '_>, key: &'static str, least: u64, most: u64) -> u32 {
    let Some(number) = table.number(key) else {
        if table.get(key).is_none() {
            table.missing(key, &format!("a whole number, {least} to {most}"));
        }
        return 0;
    };
    if !(least..=most).contains(&number.value) {
        table.error(&number.span, format!("`{key}` is {} and must be {least} to {most}", number.value));
    }
    u32::try_from(number.value).unwrap_or(0)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
