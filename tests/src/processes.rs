//! Processes of the host as /proc shows them to a test: who is whose child, what each holds.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

/// How long something may take that happens by itself, before a test fails: far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid, as the host sees it.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its name (`comm`).
    pub name: String,
    /// Its real uid.
    pub uid: u32,
}

fn read(pid: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(Process {
        pid,
        parent: field("PPid:")?.parse().ok()?,
        name: field("Name:")?.to_owned(),
        uid: field("Uid:")?.split_whitespace().next()?.parse().ok()?,
    })
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).filter_map(read).collect()
}

/// Children of a process.
pub fn children(pid: u32) -> Vec<Process> {
    all().into_iter().filter(|process| process.parent == pid).collect()
}

/// Children, their children, and so on.
pub fn descendants(pid: u32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

/// The arguments of a process.
pub fn cmdline(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// What a process holds open: number and what it is.
///
/// # Panics
/// When it may not be looked at.
pub fn fds_of(pid: u32) -> BTreeMap<u32, String> {
    try_fds_of(pid).unwrap_or_else(|error| panic!("/proc/{pid}/fd: {error}"))
}

/// The same of a process that may be closed to us.
pub fn try_fds_of(pid: u32) -> std::io::Result<BTreeMap<u32, String>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let pair = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
    };
    Ok(entries.filter_map(|entry| pair(entry.ok()?)).collect())
}

/// The sockets among what a process holds.
pub fn sockets_of(pid: u32) -> Vec<String> {
    fds_of(pid).into_values().filter(|target| target.starts_with("socket:")).collect()
}

/// Waits until something holds.
///
/// # Panics
/// When it does not hold after a time that is far above what it takes.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "after {PATIENCE:?} it still does not hold that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
