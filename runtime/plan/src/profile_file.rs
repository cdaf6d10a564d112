//! One profile's file as it is written, before what it extends is merged in. Every key and its meaning is in
//! `sandbox-profiles/default.toml`; a key that is not known, a wrong type, a number out of bounds is an error at its place.

use crate::{
    limit::LimitName,
    profile::ProfileMount,
    source::{ParseError, Place, SourceFile},
    suggest,
    toml_reader::{Placed, Reader, Table},
    wall::{Requirement, Wall},
};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// From TERM to KILL at most: an end that takes longer is no end.
const KILL_GRACE_MS_MAX: u64 = 300_000;
/// A host name (hostname(7)).
const HOSTNAME_BYTES_MAX: usize = 63;
/// Landlock ABIs that a file may ask for; newer kernels have more than this build uses.
const LANDLOCK_ABI_MAX: u64 = 64;

/// Walls without which nothing else stands, and which every kernel that we run on has.
pub(crate) const ALWAYS_REQUIRED: [Wall; 10] = [
    Wall::User,
    Wall::Mount,
    Wall::Pid,
    Wall::Net,
    Wall::Ipc,
    Wall::Uts,
    Wall::ReadOnlyRoot,
    Wall::Rlimits,
    Wall::NoNewPrivs,
    Wall::Capabilities,
];

/// Paths that the planner itself fills: no mount of a profile may be there, or beneath. /etc as a whole is closed below.
const RESERVED_TARGETS: [&str; 13] = [
    "/proc",
    "/dev",
    "/tmp",
    "/workspace",
    "/sys",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/run",
    "/var/run",
];
/// Directories that are ours, in which a mount may be, but which no mount may replace.
const OWN_DIRECTORIES: [&str; 3] = ["/etc", "/var", "/var/tmp"];
/// Host paths that no profile may show: they would undo a wall.
const FORBIDDEN_SOURCES: [&str; 4] = ["/proc", "/dev", "/sys", "/run"];

/// A profile's file. `None` is "as in the profile that it extends".
#[derive(Debug, Clone)]
pub(crate) struct ProfileFile {
    pub(crate) name: String,
    pub(crate) origin: String,
    pub(crate) start: Place,
    pub(crate) description: String,
    pub(crate) extends: Option<(String, Place)>,
    pub(crate) walls: BTreeMap<Wall, Requirement>,
    /// `None` within is "none": no such limit.
    pub(crate) limits: BTreeMap<LimitName, (Option<u64>, Place)>,
    pub(crate) kill_grace_ms: Option<u64>,
    pub(crate) fixed_limits: Option<Vec<LimitName>>,
    pub(crate) mounts: Vec<ProfileMount>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) umask: Option<u32>,
    pub(crate) hostname: Option<String>,
    pub(crate) landlock_abi_min: Option<u32>,
    pub(crate) proc_subset_pid: Option<bool>,
    pub(crate) exec_from_writable: Option<bool>,
    pub(crate) syscalls: SyscallsSection,
}

/// `[syscalls]`: the sets, or what changes in the sets of the profile that is extended.
#[derive(Debug, Clone, Default)]
pub(crate) struct SyscallsSection {
    pub(crate) sets: Option<Vec<(String, Place)>>,
    pub(crate) add: Vec<(String, Place)>,
    pub(crate) remove: Vec<(String, Place)>,
}

/// Reads a profile's file.
pub(crate) fn parse(file: &SourceFile) -> Result<ProfileFile, Vec<ParseError>> {
    let reader = Reader::new(file);
    let profile = reader.document().map(|document| {
        let table = Table::new(&reader, &document, "a profile", 0..0);
        let profile = read(file, &table, reader.place(&(0..0)));
        table.finish();
        profile
    });
    let errors = reader.into_errors();
    match profile {
        Some(profile) if errors.is_empty() => Ok(profile),
        _ => Err(errors),
    }
}

fn read(file: &SourceFile, table: &Table<'_, '_>, start: Place) -> ProfileFile {
    if !crate::spec::is_name(file.stem()) {
        let message = format!(
            "{:?} cannot name a profile: lower-case letters, digits, `-` and `_`, at most 64",
            file.stem()
        );
        table.error(&table.span(), message);
    }
    let description = table.string("description").filter(|text| !text.value.trim().is_empty());
    if description.is_none() {
        table.missing("description", "one sentence for `runtime profile list`");
    }
    let limits = table.table("limits", "[limits]");
    let (limits, kill_grace_ms) = limits.map(|limits| read_limits(&limits)).unwrap_or_default();
    ProfileFile {
        name: file.stem().to_owned(),
        origin: file.path.clone(),
        start,
        description: description.map(|text| text.value).unwrap_or_default(),
        extends: table.string("extends").map(|name| with_place(table, name)),
        walls: table.table("walls", "[walls]").map(|walls| read_walls(&walls)).unwrap_or_default(),
        limits,
        kill_grace_ms,
        fixed_limits: table.strings("fixed_limits").map(|names| read_limit_names(table, names)),
        mounts: read_mounts(table),
        env: table.table("env", "[env]").map(|env| read_env(&env)).unwrap_or_default(),
        umask: bounded(table, "umask", 0, 0o777, "write it in octal, for example 0o022"),
        hostname: table.string("hostname").and_then(|name| read_hostname(table, name)),
        landlock_abi_min: bounded(
            table,
            "landlock_abi_min",
            1,
            LANDLOCK_ABI_MAX,
            "`runtime doctor` shows the kernel's",
        ),
        proc_subset_pid: table.boolean("proc_subset_pid").map(|flag| flag.value),
        exec_from_writable: table.boolean("exec_from_writable").map(|flag| flag.value),
        syscalls: table
            .table("syscalls", "[syscalls]")
            .map(|section| read_syscalls(&section))
            .unwrap_or_default(),
    }
}

fn with_place(table: &Table<'_, '_>, text: Placed<String>) -> (String, Place) {
    let place = table.place(&text.span);
    (text.value, place)
}

fn bounded(table: &Table<'_, '_>, key: &'static str, least: u64, most: u64, hint: &str) -> Option<u32> {
    let number = table.number(key)?;
    if !(least..=most).contains(&number.value) {
        let message = format!("`{key}` is {} and must be {least} to {most}: {hint}", number.value);
        table.error(&number.span, message);
    }
    u32::try_from(number.value).ok()
}

fn read_hostname(table: &Table<'_, '_>, name: Placed<String>) -> Option<String> {
    let text = name.value;
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if text.is_empty()
        || text.len() > HOSTNAME_BYTES_MAX
        || !plain
        || text.starts_with('-')
        || text.ends_with('-')
    {
        let message =
            format!("{text:?} is no host name: a-z, 0-9 and - between, at most {HOSTNAME_BYTES_MAX}");
        table.error(&name.span, message);
        return None;
    }
    Some(text)
}

fn read_walls(table: &Table<'_, '_>) -> BTreeMap<Wall, Requirement> {
    let mut walls = BTreeMap::new();
    for (name, value) in table.entries() {
        let Some(wall) = Wall::from_name(&name.value) else {
            let hint = suggest::hint(&name.value, &Wall::ALL.map(Wall::name));
            table.error(&name.span, format!("there is no wall `{}`: {hint}", name.value));
            continue;
        };
        let known = ["required", "required-when-rootful", "optional"];
        let requirement = match value.get_ref().as_str() {
            Some("required") => Requirement::Required,
            Some("required-when-rootful") => Requirement::RequiredWhenRootful,
            Some("optional") => Requirement::Optional,
            other => {
                let wrong = other.unwrap_or_default();
                let hint = suggest::hint(wrong, &known);
                table.error(&value.span(), format!("{wrong:?} is no requirement of a wall: {hint}"));
                continue;
            }
        };
        if requirement != Requirement::Required && ALWAYS_REQUIRED.contains(&wall) {
            let message = format!(
                "the wall `{wall}` is always required: the others stand on it, and every kernel has it"
            );
            table.error(&value.span(), message);
        }
        walls.insert(wall, requirement);
    }
    walls
}

type LimitSettings = BTreeMap<LimitName, (Option<u64>, Place)>;

fn read_limits(table: &Table<'_, '_>) -> (LimitSettings, Option<u64>) {
    let mut limits = BTreeMap::new();
    let mut kill_grace_ms = None;
    for (name, value) in table.entries() {
        if name.value == "kill_grace" {
            let text = Table::scalar_text(value.get_ref()).unwrap_or_default();
            match crate::quantity::parse_duration(&text) {
                Ok(grace) if grace <= KILL_GRACE_MS_MAX => kill_grace_ms = Some(grace),
                Ok(_) => table.error(&value.span(), "kill_grace must be at most 5min"),
                Err(error) => table.error(&value.span(), error.to_string()),
            }
            continue;
        }
        let Some(limit) = LimitName::from_name(&name.value) else {
            let mut known = LimitName::ALL.map(LimitName::name).to_vec();
            known.push("kill_grace");
            let hint = suggest::hint(&name.value, &known);
            table.error(&name.span, format!("there is no limit `{}`: {hint}", name.value));
            continue;
        };
        let may_be_none = matches!(limit, LimitName::WallTime | LimitName::CpuTime | LimitName::IdleTime);
        if may_be_none && value.get_ref().as_str() == Some("none") {
            limits.insert(limit, (None, table.place(&value.span())));
        } else if let Some(number) = read_limit(table, limit, value) {
            limits.insert(limit, (Some(number), table.place(&value.span())));
        }
    }
    (limits, kill_grace_ms)
}

/// One limit's value, in its unit; also for ceilings of a policy.
pub(crate) fn read_limit(
    table: &Table<'_, '_>,
    limit: LimitName,
    value: &toml::Spanned<DeValue<'_>>,
) -> Option<u64> {
    let bare = matches!(limit, LimitName::Cpu | LimitName::Pids | LimitName::Files | LimitName::Inodes);
    let message = match (Table::scalar_text(value.get_ref()), value.get_ref().is_str()) {
        (Some(text), true) if bare => match limit.parse(&text) {
            Ok(_) => format!("{limit} is a bare number: write {limit} = {text}"),
            Err(error) => error.to_string(),
        },
        (Some(text), _) => match limit.parse(&text) {
            Ok(number) if number >= limit.floor() => return Some(number),
            Ok(_) => format!(
                "{limit} = {text} is below {}, the least that still runs a program",
                limit.show(limit.floor())
            ),
            Err(error) => error.to_string(),
        },
        (None, _) => {
            format!("{limit} must be a number with its unit in quotes, or a bare number for counts and cpu")
        }
    };
    table.error(&value.span(), message);
    None
}

/// Names of limits, for lists.
pub(crate) fn read_limit_names(table: &Table<'_, '_>, names: Vec<Placed<String>>) -> Vec<LimitName> {
    let mut limits = Vec::new();
    for name in names {
        match LimitName::from_name(&name.value) {
            Some(limit) if limits.contains(&limit) => {
                table.error(&name.span, format!("`{limit}` is listed twice"))
            }
            Some(limit) => limits.push(limit),
            None => {
                let hint = suggest::hint(&name.value, &LimitName::ALL.map(LimitName::name));
                table.error(&name.span, format!("there is no limit `{}`: {hint}", name.value));
            }
        }
    }
    limits
}

fn read_mounts(table: &Table<'_, '_>) -> Vec<ProfileMount> {
    let mut mounts: Vec<ProfileMount> = Vec::new();
    for entry in table.tables("mounts", "a mount").unwrap_or_default() {
        let source = entry.string("source");
        let target = entry.string("target");
        let optional = entry.boolean("optional").is_some_and(|flag| flag.value);
        let exec = entry.boolean("exec").is_some_and(|flag| flag.value);
        entry.finish();
        let Some(source) = source else {
            entry.missing("source", "which path of the host appears inside");
            continue;
        };
        if let Some(wrong) = check_path(&source.value, &FORBIDDEN_SOURCES) {
            entry.error(&source.span, format!("the source {:?} {wrong}", source.value));
        }
        let target = target.unwrap_or(Placed { value: source.value.clone(), span: source.span.clone() });
        if let Some(wrong) = check_path(&target.value, &RESERVED_TARGETS) {
            entry.error(&target.span, format!("the target {:?} {wrong}", target.value));
        }
        if OWN_DIRECTORIES.contains(&target.value.as_str()) {
            let message = format!(
                "the target {:?} is a directory of the sandbox's own: mount what is needed in it",
                target.value
            );
            entry.error(&target.span, message);
        }
        if mounts.iter().any(|mount| mount.target == target.value) {
            entry.error(&target.span, format!("something is mounted at {:?} already", target.value));
        }
        mounts.push(ProfileMount { source: source.value, target: target.value, optional, exec });
    }
    mounts
}

/// What is wrong with a path of a mount: it must be absolute, plain, not `/` and not one of (or beneath) the `closed` ones.
fn check_path(path: &str, closed: &[&str]) -> Option<String> {
    let plain = path.strip_prefix('/').is_some_and(|rest| {
        !rest.is_empty()
            && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !rest.contains('\0')
    });
    if !plain || path.len() > crate::spec::PATH_BYTES_MAX {
        return Some(
            "must be an absolute path other than /, without `.`, `..`, `//` or a slash at the end".to_owned(),
        );
    }
    let inside = |parent: &&str| {
        path == *parent || path.strip_prefix(*parent).is_some_and(|rest| rest.starts_with('/'))
    };
    closed
        .iter()
        .find(|parent| inside(parent))
        .map(|parent| format!("is in {parent}, which the runtime keeps to itself"))
}

fn read_env(table: &Table<'_, '_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, value) in table.entries() {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            table.error(&name.span, format!("{:?} cannot name a variable", name.value));
            continue;
        }
        match value.get_ref().as_str() {
            Some(text) if !text.contains('\0') => {
                env.insert(name.value, text.to_owned());
            }
            _ => table.error(
                &value.span(),
                format!("the value of {} must be a string in quotes, without NUL", name.value),
            ),
        }
    }
    env
}

fn read_syscalls(table: &Table<'_, '_>) -> SyscallsSection {
    let places = |names: Vec<Placed<String>>| {
        names.into_iter().map(|name| with_place(table, name)).collect::<Vec<_>>()
    };
    let sets = table.strings("sets").map(places);
    let add = table.strings("add").map(places).unwrap_or_default();
    let remove = table.strings("remove").map(places).unwrap_or_default();
    table.finish();
    if sets.is_some() && !(add.is_empty() && remove.is_empty()) {
        table.error(&table.span(), "[syscalls] has either `sets`, the whole list, or `add` and `remove`");
    }
    SyscallsSection { sets, add, remove }
}
