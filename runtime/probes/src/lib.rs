//! Tries attacks from inside a sandbox and prints, for each, whether it was contained.
//!
//! `probe list [--long]` says what there is; `probe all` or `probe ID…` tries it (`E05` names every `E05.…`). Each probe runs in
//! a child of its own with an alarm, so that a killed one does not stop the others. The program knows nothing of the crates that
//! build the walls: it sees what a hostile job sees. Where one fact can be known only outside (a planted socket, a pid of the
//! host), the harness passes it in `PROBE_*`. A probe that cannot be tried is `broken`, never `contained`.
//!
//! `walls` is the set that must all be off before the probe says `breached`, every other wall standing. A wall is off when
//!
//! - `capabilities`: the job keeps init's capabilities over the change of uid and over exec (keepcaps, ambient);
//! - `no_new_privs`: it is set neither by itself nor by landlock or seccomp;
//! - `user`: there is no user namespace, and nothing is written below /proc/sys/user;
//! - `mount`: the root is the host's, as the host mounted it (start in /tmp then: there is no /workspace);
//! - `pid`: processes are the host's, and so is /proc.
//!
//! A host may lack what a probe attacks (a kernel module, a device): run `probe all` without a sandbox first, and expect
//! `breached` only of those that say so there. Numbers of system calls are those of x86_64.

mod bombs;
mod devices;
mod environment;
mod families;
mod files;
mod identity;
mod information;
mod kernel;
mod limits;
mod mounts;
mod namespaces;
mod network;
mod presence;
mod proc;
mod processes;
mod rare;
mod setid;
mod streams;
mod surface;
mod terminal;
mod traces;
mod verdict;

use std::{
    io::{Read, Write},
    process::ExitCode,
};
use verdict::{Broken, Mode, Probe, Tried, Verdict};

/// The hidden verb of `runtime` that runs this program.
pub const VERB: &str = "__probe";

/// Every probe, in the order of `list`.
fn probes() -> impl Iterator<Item = &'static Probe> {
    [
        presence::PROBES,
        mounts::PROBES,
        namespaces::PROBES,
        identity::PROBES,
        environment::PROBES,
        proc::PROBES,
        information::PROBES,
        devices::PROBES,
        terminal::PROBES,
        families::PROBES,
        network::PROBES,
        surface::PROBES,
        rare::PROBES,
        processes::PROBES,
        files::PROBES,
        setid::PROBES,
        streams::PROBES,
        limits::PROBES,
        bombs::PROBES,
        traces::PROBES,
    ]
    .into_iter()
    .flatten()
}

/// Runs the program with these arguments, its own name left out.
pub fn main(args: &[String]) -> ExitCode {
    // Before anything is opened: what this process was given.
    streams::remember_open_fds();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["list"] => list(false),
        ["list", "--long"] => list(true),
        [environment::CONFINEMENT_VERB] => environment::print_confinement(),
        ["all"] => run(probes().filter(|probe| probe.mode == Mode::All).collect()),
        [] => usage(),
        names => {
            let mut chosen = Vec::new();
            for name in names {
                let before = chosen.len();
                chosen.extend(probes().filter(|probe| names_probe(name, probe)));
                if chosen.len() == before {
                    eprintln!("probe: no probe is named {name}: see `probe list`");
                    return ExitCode::from(2);
                }
            }
            run(chosen)
        }
    }
}

/// Whether `name` is the probe's id, or the row that it belongs to (then only those that `all` runs).
fn names_probe(name: &str, probe: &Probe) -> bool {
    probe.id == name || (probe.mode == Mode::All && probe.id.split('.').next() == Some(name))
}

fn usage() -> ExitCode {
    eprintln!("usage: probe list [--long] | probe all | probe ID…");
    ExitCode::from(2)
}

/// Prints `ID<TAB>name<TAB>walls`, and with `long` also mode, needs and note.
fn list(long: bool) -> ExitCode {
    let mut out = String::new();
    for probe in probes() {
        out.push_str(&format!("{}\t{}\t{}", probe.id, probe.name, probe.walls));
        if long {
            let mode = match probe.mode {
                Mode::All => "all",
                Mode::Solo => "solo",
                Mode::Half => "half",
            };
            let inside = if probe.inside { &["PROBE_INSIDE=1"][..] } else { &[] };
            let needs = inside.iter().chain(probe.needs).copied().collect::<Vec<_>>().join(",");
            let needs = if needs.is_empty() { "-" } else { &needs };
            out.push_str(&format!("\t{mode}\t{needs}\t{}", probe.note));
        }
        out.push('\n');
    }
    print(&out)
}

fn run(chosen: Vec<&'static Probe>) -> ExitCode {
    for probe in chosen {
        let (verdict, detail) = match try_in_child(probe) {
            Ok(Verdict::Contained(detail)) => ("contained", detail),
            Ok(Verdict::Breached(detail)) => ("breached", detail),
            Err(Broken(detail)) => ("broken", detail),
        };
        let detail: String = detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        print(&format!("{}\t{verdict}\t{detail}\n", probe.id));
    }
    ExitCode::SUCCESS
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Whether the harness says that this is a sandbox.
pub fn inside() -> bool {
    std::env::var_os("PROBE_INSIDE").is_some_and(|value| value == "1")
}

/// A fact that only the harness knows.
pub fn fact(name: &str) -> Result<String, Broken> {
    std::env::var(name).map_err(|_| Broken(format!("{name} is not set")))
}

/// A number that the harness may set, else a default.
pub fn number(name: &str, default: u64) -> Result<u64, Broken> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| Broken(format!("{name} is no number"))),
        Err(_) => Ok(default),
    }
}

fn try_in_child(probe: &Probe) -> Tried {
    if probe.inside && !inside() {
        return Err(Broken("it would harm a host: set PROBE_INSIDE=1 in a sandbox".to_owned()));
    }
    for need in probe.needs {
        fact(need)?;
    }
    let (reader, writer) = kernel::pipe().map_err(|errno| Broken(kernel::errno_name(errno)))?;
    let pid = kernel::fork_child(|| {
        // A group of its own, so that what it leaves behind can be killed; failure only makes the clean-up weaker.
        sys!(libc::SYS_setpgid, 0, 0).ok();
        // SAFETY: alarm(2) and signal(2) take numbers only.
        unsafe {
            libc::signal(libc::SIGALRM, libc::SIG_DFL);
            libc::alarm(probe.seconds);
        }
        let (tag, text) = match (probe.run)(probe.args) {
            Ok(Verdict::Contained(text)) => ('c', text),
            Ok(Verdict::Breached(text)) => ('b', text),
            Err(Broken(text)) => ('x', text),
        };
        let text: String = text.chars().take(900).collect();
        let mut pipe = std::fs::File::from(writer);
        i32::from(write!(pipe, "{tag}{text}").is_err())
    })
    .map_err(|errno| Broken(format!("fork: {}", kernel::errno_name(errno))))?;
    let end = kernel::wait(pid);
    // Whatever the probe left behind; ESRCH, the usual answer, is as good.
    sys!(libc::SYS_kill, -pid, libc::SIGKILL).ok();
    read_answer(probe, reader, end)
}

fn read_answer(probe: &Probe, reader: std::os::fd::OwnedFd, end: Result<kernel::End, i32>) -> Tried {
    // A grandchild may still hold the writing end, so the end of the file is not waited for: what is there is all.
    sys!(libc::SYS_fcntl, &reader, libc::F_SETFL, libc::O_NONBLOCK).ok();
    let mut answer = [0u8; 4096];
    let length = std::fs::File::from(reader).read(&mut answer).unwrap_or(0);
    let text = String::from_utf8_lossy(answer.get(1..length).unwrap_or(&[])).into_owned();
    match (answer[0], end) {
        (b'c', _) => Ok(Verdict::Contained(text)),
        (b'b', _) => Ok(Verdict::Breached(text)),
        (b'x', _) => Err(Broken(text)),
        (_, Ok(kernel::End::Signalled(signal))) if probe.fatal == Some(signal) => {
            Ok(Verdict::Contained(format!("killed by signal {signal}")))
        }
        (_, Ok(kernel::End::Signalled(libc::SIGALRM))) => {
            Err(Broken(format!("no answer within {} s", probe.seconds)))
        }
        (_, end) => Err(Broken(format!("ended without an answer: {end:?}"))),
    }
}
