//! What the job was started with, and whether it can shake it off: root and cwd, variables, exec by another way.

use crate::{
    fact,
    identity::status_field,
    kernel::{self, End, errno_name},
    sys,
    verdict::{Probe, Step, Tried, breached, breached_if, broken, contained},
};
use std::{
    fs::File,
    io::Read,
    os::fd::{AsRawFd, OwnedFd},
    os::unix::fs::MetadataExt,
    process::{Command, ExitCode, Stdio},
};

/// The hidden verb that prints [`confinement`]: what E32 executes in other ways.
pub const CONFINEMENT_VERB: &str = "__confinement";

pub const PROBES: &[Probe] = &[
    Probe::new("E02.cwd", "the working directory is outside the root", "-", cwd)
        .note("the directory is entered after pivot_root; every launch does it, with any wall off"),
    Probe::new("E02.host_file", "a file of the host can be read", "mount", host_file)
        .needs(&["PROBE_HOST_FILE"])
        .note("PROBE_HOST_FILE: a world-readable file of the host outside every profile; landlock grants reading beneath /"),
    Probe::new("E32.memfd", "exec from a memfd sheds the confinement", "-", memfd_exec)
        .note("no wall makes exec keep the others: the kernel does"),
    Probe::new("E32.ld_so", "exec through the dynamic loader sheds the confinement", "-", loader_exec)
        .note("as E32.memfd"),
    Probe::new("E42.loader", "loader variables were inherited", "-", loader_variables)
        .note("the environment is built from a list, whatever walls stand"),
    Probe::new("E42.names", "a variable that no job is given", "-", unknown_names)
        .note("PROBE_ENV_ALLOWED: names that the profile or the caller adds, comma separated; no wall: as E42.loader"),
    Probe::new("E42.canary", "a variable of the daemon was inherited", "-", canary)
        .needs(&["PROBE_CANARY"])
        .note("PROBE_CANARY: the value of a variable in the daemon's own environment"),
];

fn cwd(_: &[i64]) -> Tried {
    let mut buffer = [0u8; 4096];
    let length = match sys!(libc::SYS_getcwd, buffer.as_mut_slice(), 4096) {
        Ok(length) => length as usize,
        Err(errno) => return broken(format!("getcwd: {}", errno_name(errno))),
    };
    if buffer[0] != b'/' {
        return breached(format!("getcwd says {}", String::from_utf8_lossy(&buffer[..length])));
    }
    // Up, by fd, further than any directory is deep.
    let mut at = kernel::open(".", libc::O_PATH | libc::O_DIRECTORY, 0).step("open .")?;
    for _ in 0..128 {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        at = sys!(libc::SYS_openat, &at, c"..", flags).map(kernel::owned).step("open ..")?;
    }
    let top = File::from(at).metadata().step("stat of the top")?;
    let root = std::fs::metadata("/").step("stat of /")?;
    breached_if(
        (top.dev(), top.ino()) != (root.dev(), root.ino()),
        format!("the climb ends at {}:{}, / is {}:{}", top.dev(), top.ino(), root.dev(), root.ino()),
    )
}

fn host_file(_: &[i64]) -> Tried {
    let path = fact("PROBE_HOST_FILE")?;
    match File::open(&path) {
        Ok(_) => breached(format!("{path} was opened")),
        Err(error) => contained(format!("{path}: {error}")),
    }
}

/// What exec must not change, as one line.
fn confinement() -> Result<String, crate::verdict::Broken> {
    let fields = [
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "Uid",
        "Gid",
    ];
    let mut line = String::new();
    for name in fields {
        let value = status_field(name)?.split_whitespace().collect::<Vec<_>>().join("/");
        line.push_str(&format!("{name}={value} "));
    }
    // Landlock has no line in /proc: what it refuses stands for it.
    let comm =
        std::fs::OpenOptions::new().write(true).open("/proc/self/comm").map(|_| ()).map_err(|e| e.kind());
    let file = File::create("/probe-outside").map(|_| ()).map_err(|error| error.kind());
    if file.is_ok() {
        std::fs::remove_file("/probe-outside").step("remove /probe-outside")?;
    }
    line.push_str(&format!("comm={comm:?} root={file:?}"));
    Ok(line)
}

/// The hidden verb.
pub fn print_confinement() -> ExitCode {
    match confinement() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs the program again and compares. As a verb of another program it has to name itself again.
fn compare(mut command: Command) -> Tried {
    let before = confinement()?;
    command.args(std::env::args().nth(1).filter(|verb| verb == crate::VERB));
    let output = match command.arg(CONFINEMENT_VERB).stderr(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => return contained(format!("exec refused: {error}")),
    };
    let after = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if after.is_empty() {
        return broken(format!("the second program said nothing: {}", output.status));
    }
    breached_if(after != before, format!("before {before}, after {after}"))
}

fn memfd_exec(_: &[i64]) -> Tried {
    let mut program = Vec::new();
    File::open("/proc/self/exe")
        .and_then(|mut file| file.read_to_end(&mut program))
        .step("read of its own program")?;
    let fd: OwnedFd = match sys!(libc::SYS_memfd_create, c"probe", 0) {
        Ok(fd) => kernel::owned(fd),
        Err(errno) => return contained(format!("memfd_create: {}", errno_name(errno))),
    };
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::write(&path, &program).step("fill the memfd")?;
    compare(Command::new(path))
}

fn loader_exec(_: &[i64]) -> Tried {
    let loader = if cfg!(target_arch = "aarch64") {
        "/lib/ld-linux-aarch64.so.1"
    } else {
        "/lib64/ld-linux-x86-64.so.2"
    };
    if !std::path::Path::new(loader).exists() {
        return broken(format!("{loader} is missing"));
    }
    let mut command = Command::new(loader);
    command.arg(std::fs::read_link("/proc/self/exe").step("readlink of its own program")?);
    compare(command)
}

fn loader_variables(_: &[i64]) -> Tried {
    let found: Vec<_> = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("LD_"))
        .collect();
    breached_if(!found.is_empty(), format!("variables that begin with LD_: {found:?}"))
}

/// What a job is given (with a terminal TERM too), and what a shell in between sets by itself.
const GIVEN: [&str; 13] = [
    "PATH", "HOME", "TMPDIR", "TZ", "LANG", "TERM", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "SHLVL", "_",
];

fn unknown_names(_: &[i64]) -> Tried {
    let allowed = std::env::var("PROBE_ENV_ALLOWED").unwrap_or_default();
    let found: Vec<_> = std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("PROBE_") && !GIVEN.contains(&name.as_str()))
        .filter(|name| !allowed.split(',').any(|other| other == name))
        .collect();
    breached_if(!found.is_empty(), format!("other variables: {found:?}"))
}

fn canary(_: &[i64]) -> Tried {
    let value = fact("PROBE_CANARY")?;
    let found: Vec<_> = std::env::vars_os()
        .filter(|(name, text)| name != "PROBE_CANARY" && text.to_string_lossy().contains(&value))
        .map(|(name, _)| name)
        .collect();
    // A child's view of its own block, should the loader have hidden something.
    let hidden = kernel::run_child(|| {
        let block = std::fs::read("/proc/self/environ").unwrap_or_default();
        let times = block.windows(value.len().max(1)).filter(|window| *window == value.as_bytes()).count();
        i32::from(times > 1)
    });
    breached_if(
        !found.is_empty() || hidden == Ok(End::Exited(1)),
        format!("variables with the canary: {found:?}"),
    )
}
