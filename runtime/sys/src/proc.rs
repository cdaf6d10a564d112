//! What /proc tells about other processes, and the kernel's version.
//!
//! The readers take the root directory, so that a test can give them a tree of its own. Numbers of
//! processes are used again: what is read may be about another process unless the caller holds this one.

mod status;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clone::Pid;
use crate::error::{Errno, Error, Result};
use crate::file::read_all_bounded;

pub use status::{Status, all, status};

/// The longest file that is read here; a list of children takes eight bytes for each.
const FILE_BYTES_MAX: usize = 1 << 20;
/// The most processes that are listed, and the most directories looked at.
const PROCESSES_MAX: usize = 65_536;

/// Every descendant of a process, each before its own children. It is no snapshot: processes that start or
/// end meanwhile may be missed. A descendant whose parent ended has another parent now and is not found.
///
/// # Errors
/// `ENOENT` when there is no such process or the kernel lists no children (`CONFIG_PROC_CHILDREN`).
/// `EOVERFLOW` above 65 536.
pub fn children_of(proc_root: &Path, pid: Pid) -> Result<Vec<Pid>> {
    let mut found: Vec<Pid> = Vec::new();
    let mut left = direct_children(proc_root, pid)?;
    left.reverse();
    while let Some(child) = left.pop() {
        if found.len() == PROCESSES_MAX {
            return Err(Error::new("list children", Errno::EOVERFLOW));
        }
        found.push(child);
        match direct_children(proc_root, child) {
            Ok(children) => left.extend(children.into_iter().rev()),
            // It has ended meanwhile.
            Err(error) if [Errno::ENOENT, Errno::ESRCH].contains(&error.errno) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn direct_children(proc_root: &Path, pid: Pid) -> Result<Vec<Pid>> {
    let failed = |error: std::io::Error| crate::error::from_io("list tasks", &error);
    let mut children = Vec::new();
    let mut tasks: Vec<PathBuf> = Vec::new();
    for task in std::fs::read_dir(place(proc_root, pid, "task")).map_err(failed)? {
        tasks.push(task.map_err(failed)?.path());
    }
    tasks.sort();
    for task in tasks {
        let text = match read_all_bounded(&task.join("children"), FILE_BYTES_MAX) {
            // The thread has ended; the process is asked for again when it was the last.
            Err(error) if error.errno == Errno::ENOENT && !task.exists() => continue,
            other => other?,
        };
        for number in String::from_utf8_lossy(&text).split_ascii_whitespace() {
            children.push(Pid(parse("read children", Some(number))?));
        }
    }
    Ok(children)
}

/// The memory of a process that is in RAM now, shared pages included, in bytes.
///
/// # Errors
/// `ENOENT` or `ESRCH` when there is no such process, `EINVAL` when the file is not as proc(5) says.
pub fn resident_bytes(proc_root: &Path, pid: Pid) -> Result<u64> {
    let text = read_text(&place(proc_root, pid, "statm"))?;
    let pages: u64 = parse("read statm", text.split_ascii_whitespace().nth(1))?;
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
    Ok(pages.saturating_mul(page))
}

/// The CPU time of a process, user and kernel mode, without that of its children. It counts in the ticks of
/// the kernel: 10 ms on most.
///
/// # Errors
/// As [`resident_bytes`].
pub fn cpu_time(proc_root: &Path, pid: Pid) -> Result<Duration> {
    let text = read_text(&place(proc_root, pid, "stat"))?;
    // The second field is the name in brackets, which may itself have brackets and spaces; the third field
    // comes after the last bracket, so user and kernel time are the 12th and 13th from there.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = parse("read stat", times.next())?;
    let system: u64 = parse("read stat", times.next())?;
    let ticks_a_second = rustix::param::clock_ticks_per_second().max(1);
    let ticks = u128::from(user) + u128::from(system);
    let nanos = ticks * 1_000_000_000 / u128::from(ticks_a_second);
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// The state of a process, as the letter of proc(5): `D` waits for something that does not listen to signals.
///
/// # Errors
/// As [`resident_bytes`].
pub fn state(proc_root: &Path, pid: Pid) -> Result<char> {
    let text = read_text(&place(proc_root, pid, "stat"))?;
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    parse("read stat", fields.split_ascii_whitespace().next())
}

/// The kernel's release, as `6.1.0-42-amd64`: uname(2).
pub fn kernel_release() -> Result<String> {
    Ok(rustix::system::uname().release().to_string_lossy().into_owned())
}

/// The kernel's version, patch level, and sublevel; 0 for a part that the release does not have.
///
/// # Errors
/// `EINVAL` when the release does not begin with two numbers.
pub fn kernel_version() -> Result<(u32, u32, u32)> {
    parse_version(&kernel_release()?)
}

fn parse_version(release: &str) -> Result<(u32, u32, u32)> {
    let mut parts = release.splitn(3, '.');
    let number = |part: Option<&str>| {
        let part = part.unwrap_or_default();
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        part.get(..digits).and_then(|digits| digits.parse().ok())
    };
    let wrong = || Error::new("read kernel version", Errno::EINVAL);
    let major = number(parts.next()).ok_or_else(wrong)?;
    let minor = number(parts.next()).ok_or_else(wrong)?;
    Ok((major, minor, number(parts.next()).unwrap_or(0)))
}

fn place(proc_root: &Path, pid: Pid, file: &str) -> PathBuf {
    proc_root.join(pid.0.to_string()).join(file)
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = read_all_bounded(path, FILE_BYTES_MAX)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse<N: std::str::FromStr>(act: &'static str, field: Option<&str>) -> Result<N> {
    field.and_then(|field| field.parse().ok()).ok_or(Error::new(act, Errno::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(root: &Path, pid: u32, tasks: &[(u32, &str)]) {
        for (task, children) in tasks {
            let dir = root.join(format!("{pid}/task/{task}"));
            std::fs::create_dir_all(&dir).expect("mkdir");
            std::fs::write(dir.join("children"), children).expect("write");
        }
    }

    #[test]
    fn descendants_are_listed_depth_first_over_all_threads() {
        let root = tempfile::tempdir().expect("a directory");
        process(root.path(), 10, &[(10, "20 30 "), (11, "40 ")]);
        process(root.path(), 20, &[(20, "21 22 ")]);
        process(root.path(), 21, &[(21, "")]);
        process(root.path(), 22, &[(22, "")]);
        process(root.path(), 40, &[(40, "41 ")]);
        // 30 and 41 have ended since they were listed.
        let found = children_of(root.path(), Pid(10)).expect("children");
        assert_eq!(found, [20, 21, 22, 30, 40, 41].map(Pid));
        assert_eq!(children_of(root.path(), Pid(99)).expect_err("no process").errno, Errno::ENOENT);
        process(root.path(), 50, &[(50, "x")]);
        assert_eq!(children_of(root.path(), Pid(50)).expect_err("no number").errno, Errno::EINVAL);
    }

    #[test]
    fn memory_is_in_bytes_and_time_survives_any_name() {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join("7")).expect("mkdir");
        std::fs::write(root.path().join("7/statm"), "900 12 3 1 0 5 0\n").expect("write");
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 1 0 100 0 0\n";
        std::fs::write(root.path().join("7/stat"), stat).expect("write");
        let page = rustix::param::page_size() as u64;
        assert_eq!(resident_bytes(root.path(), Pid(7)).expect("statm"), 12 * page);
        let second = rustix::param::clock_ticks_per_second();
        assert_eq!(state(root.path(), Pid(7)), Ok('S'));
        let time = cpu_time(root.path(), Pid(7)).expect("stat");
        assert_eq!(time, Duration::from_nanos(200 * 1_000_000_000 / second));
        std::fs::write(root.path().join("7/stat"), "7 (a) S 1").expect("write");
        assert_eq!(cpu_time(root.path(), Pid(7)).expect_err("too short").errno, Errno::EINVAL);
    }

    #[test]
    fn the_real_proc_can_be_read() {
        let own = Pid(std::process::id().cast_signed());
        let root = Path::new("/proc");
        assert!(resident_bytes(root, own).expect("statm") > 0);
        cpu_time(root, own).expect("stat");
        let mut child = std::process::Command::new("sleep").arg("30").spawn().expect("sleep");
        let pid = Pid(child.id().cast_signed());
        let listed = children_of(root, own);
        child.kill().expect("kill");
        child.wait().expect("wait");
        match listed {
            Ok(found) => assert!(found.contains(&pid), "{found:?} has {pid:?}"),
            Err(error) => crate::in_child::skip(&format!("this kernel lists no children: {error}")),
        }
    }

    #[test]
    fn versions_of_many_vendors_are_understood() {
        assert_eq!(parse_version("6.18.44-fc-v669").expect("version"), (6, 18, 44));
        assert_eq!(parse_version("6.1.0-42-amd64").expect("version"), (6, 1, 0));
        assert_eq!(parse_version("6.18").expect("version"), (6, 18, 0));
        assert_eq!(parse_version("6.19-rc1").expect("version"), (6, 19, 0));
        assert_eq!(parse_version("5.15.167.4-microsoft-standard-WSL2").expect("version"), (5, 15, 167));
        assert_eq!(parse_version("weird").expect_err("none").errno, Errno::EINVAL);
        assert!(kernel_version().expect("version") >= (5, 0, 0));
    }
}
