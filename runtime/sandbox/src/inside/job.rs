//! The job's own process, from the last fork to exec: nothing is logged here, and a failure is one fixed record.
//!
//! The order matters, and each line says why it stands where it stands.

use crate::inside::{
    enter::{Entered, at, leave_keyring},
    order::{Order, OrderFds, Pipes},
    step::{Failure, Record, Step},
};
use runtime_plan::{launch::Rlimit, spec::StdinSource, wall::Wall};
use runtime_sys::{
    Errno, Error, caps, file,
    process::{self, ExecStrings},
    rlimit::{self, Resource},
    seccomp, terminal,
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Everything that the job's process needs, made ready before the fork.
#[derive(Debug)]
pub struct Prepared {
    candidates: Vec<CString>,
    argv: ExecStrings,
    env: ExecStrings,
    workdir: CString,
    stdio: Stdio,
    stdin_file: Option<CString>,
    filters: Vec<seccomp::Program>,
}

/// What the job has as 0, 1 and 2.
#[derive(Debug)]
enum Stdio {
    /// Pipes, not sockets and not files: no fd can be passed to the job through them, and nothing can be truncated.
    Pipes {
        /// A pipe, or /dev/null, which a file takes the place of later.
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// The slave of its own terminal, three times.
    Terminal(OwnedFd),
}

/// The errno that stands for "there is a script, but not the interpreter that it names": ELIBBAD, which execve(2) gives for
/// an interpreter of a wrong form and which says the same to the user.
pub const MISSING_INTERPRETER: i32 = 80;

/// Makes ready what can be made ready.
pub fn prepare(order: &Order, fds: &mut OrderFds, slave: Option<OwnedFd>) -> Result<Prepared, Failure> {
    let command = &order.plan.command;
    let c_string = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_nul| Failure {
            step: Step::ReceiveOrder,
            item: 0,
            errno: Errno::EINVAL.0,
        })
    };
    let strings = |list: &[Vec<u8>]| list.iter().map(|bytes| c_string(bytes)).collect::<Result<Vec<_>, _>>();
    let stdin_file = match &command.stdin {
        StdinSource::File(path) => Some(c_string(path)?),
        StdinSource::Empty | StdinSource::Stream => None,
    };
    let mut filters = Vec::with_capacity(order.filters.len());
    for bytes in &order.filters {
        filters.push(seccomp::Program::from_bytes(bytes).map_err(at(Step::Seccomp))?);
    }
    Ok(Prepared {
        candidates: strings(&candidates(&command.argv, &command.path))?,
        argv: ExecStrings::new(strings(&command.argv)?),
        env: ExecStrings::new(strings(&command.env)?),
        workdir: c_string(&command.workdir)?,
        stdio: stdio(fds.pipes.take(), slave)?,
        stdin_file,
        filters,
    })
}

fn stdio(pipes: Option<Pipes>, slave: Option<OwnedFd>) -> Result<Stdio, Failure> {
    match (pipes, slave) {
        (None, Some(slave)) => Ok(Stdio::Terminal(slave)),
        (Some(Pipes { stdin, stdout, stderr }), None) => {
            let stdin = match stdin {
                Some(stdin) => stdin,
                None => file::open_read(c"/dev/null").map_err(at(Step::Stdio))?,
            };
            Ok(Stdio::Pipes { stdin, stdout, stderr })
        }
        // The order says one or the other.
        (None, None) | (Some(_), Some(_)) => {
            Err(Failure { step: Step::ReceiveOrder, item: 0, errno: Errno::EINVAL.0 })
        }
    }
}

/// Where the program may be: itself when it has a `/`, else in each directory of the PATH.
fn candidates(argv: &[Vec<u8>], path: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let Some(program) = argv.first() else { return Vec::new() };
    if program.contains(&b'/') {
        return vec![program.clone()];
    }
    let join = |directory: &Vec<u8>| [directory.as_slice(), b"/", program].concat();
    path.iter().map(join).collect()
}

/// Becomes the job, or writes a record to `failures` and exits.
pub fn run(order: &Order, entered: &Entered, prepared: &Prepared, failures: BorrowedFd<'_>) -> ! {
    let failure = become_job(order, entered, prepared);
    // When even this write fails there is nobody left to tell: init sees the exit code.
    let told = file::write_fd(failures, &Record::Failed(failure).to_bytes());
    process::exit_now(if told.is_ok() { 125 } else { 126 })
}

fn become_job(order: &Order, entered: &Entered, prepared: &Prepared) -> Failure {
    match confine(order, entered, prepared) {
        Err(failure) => failure,
        Ok(()) => execute(order, prepared),
    }
}

/// Raises the walls that belong to the process.
fn confine(order: &Order, entered: &Entered, prepared: &Prepared) -> Result<(), Failure> {
    let plan = &order.plan;
    order.begin(Step::Session)?;
    // A session of its own: no terminal of ours to push input into, and signals to the group reach the job only.
    process::new_session().map_err(at(Step::Session))?;
    leave_keyring(order)?;
    process::set_umask(plan.command.umask).map_err(at(Step::Stdio))?;
    connect(order, &prepared.stdio)?;
    order.begin(Step::Affinity)?;
    // So that `nproc`, JVM and Node size themselves by the cpu limit.
    process::set_affinity_count(plan.cpus as usize).map_err(at(Step::Affinity))?;
    set_rlimits(order)?;
    drop_privilege(order, &prepared.workdir)?;
    order.begin(Step::CloseFiles)?;
    // Whatever was inherited by mistake ends at exec.
    process::cloexec_range_from(3).map_err(at(Step::CloseFiles))?;
    order.begin(Step::NoNewPrivs)?;
    if order.raises(Wall::NoNewPrivs) {
        // Before landlock and the filter: without it an unprivileged process may load neither.
        process::set_no_new_privs().map_err(at(Step::NoNewPrivs))?;
    }
    order.begin(Step::Landlock)?;
    if let Some(landlock) = &entered.landlock {
        landlock.restrict_self().map_err(at(Step::Landlock))?;
    }
    order.begin(Step::OpenStdin)?;
    if let Some(path) = &prepared.stdin_file {
        // With the job's ids, in its root, behind landlock: it reads nothing that the job could not read itself.
        let opened = file::open_input(path).map_err(at(Step::OpenStdin))?;
        process::dup_onto(opened.as_fd(), 0).map_err(at(Step::OpenStdin))?;
    }
    order.begin(Step::Signals)?;
    // CLONE_CLEAR_SIGHAND leaves ignored signals ignored, and Rust's runtime ignores SIGPIPE.
    process::reset_signals().map_err(at(Step::Signals))?;
    order.begin(Step::Seccomp)?;
    // Last: from here on only what the profile allows can be called, and exec is the one call that is left.
    for (item, filter) in prepared.filters.iter().enumerate() {
        let failed = |error: Error| Failure { step: Step::Seccomp, item: item as u32, errno: error.errno.0 };
        seccomp::install(filter).map_err(failed)?;
    }
    Ok(())
}

/// 0, 1 and 2. A terminal is the session's own from here on: /dev/tty is it, and its keys send signals to the job.
fn connect(order: &Order, stdio: &Stdio) -> Result<(), Failure> {
    order.begin(Step::Stdio)?;
    let [stdin, stdout, stderr] = match stdio {
        Stdio::Pipes { stdin, stdout, stderr } => [stdin, stdout, stderr],
        Stdio::Terminal(slave) => [slave, slave, slave],
    };
    process::dup_onto(stdin.as_fd(), 0).map_err(at(Step::Stdio))?;
    process::dup_onto(stdout.as_fd(), 1).map_err(at(Step::Stdio))?;
    process::dup_onto(stderr.as_fd(), 2).map_err(at(Step::Stdio))?;
    order.begin(Step::ControllingTerminal)?;
    match stdio {
        Stdio::Pipes { .. } => Ok(()),
        Stdio::Terminal(slave) => {
            terminal::take_as_controlling(slave.as_fd()).map_err(at(Step::ControllingTerminal))
        }
    }
}

fn set_rlimits(order: &Order) -> Result<(), Failure> {
    order.begin(Step::ResourceLimit)?;
    if !order.raises(Wall::Rlimits) {
        return Ok(());
    }
    for (item, (limit, soft, hard)) in order.plan.rlimits.iter().enumerate() {
        let failed =
            |error: Error| Failure { step: Step::ResourceLimit, item: item as u32, errno: error.errno.0 };
        let number = |value: &Option<u64>| value.unwrap_or(u64::MAX);
        rlimit::set(sys_resource(*limit), number(soft), number(hard)).map_err(failed)?;
    }
    Ok(())
}

/// Ids and capabilities. The bounding set goes first, while CAP_SETPCAP is held; the secure bits lock uid 0 and the ambient
/// set out; the change of ids empties the rest when there is an id to change to; what is held after it is dropped by hand.
fn drop_privilege(order: &Order, workdir: &CStr) -> Result<(), Failure> {
    let identity = order.plan.identity;
    let capabilities = order.raises(Wall::Capabilities);
    order.begin(Step::Capabilities)?;
    if capabilities {
        caps::drop_bounding().map_err(at(Step::Capabilities))?;
        process::lock_securebits().map_err(at(Step::Capabilities))?;
    }
    order.begin(Step::JobIds)?;
    if identity.init_has_own_id {
        process::set_ids(identity.uid, identity.gid).map_err(at(Step::JobIds))?;
    }
    if capabilities {
        caps::clear_held().map_err(at(Step::Capabilities))?;
        if !caps::all_sets_empty().map_err(at(Step::Capabilities))? {
            return Err(Failure { step: Step::Capabilities, item: 0, errno: Errno::EPERM.0 });
        }
    }
    order.begin(Step::WorkDirectory)?;
    // With the job's own rights: a directory that the job may not enter is no place to start in. The answer of getcwd()
    // starts with `/` only when the directory lies in our root.
    process::chdir(workdir).map_err(at(Step::WorkDirectory))?;
    let here = process::current_dir().map_err(at(Step::WorkDirectory))?;
    if !here.is_absolute() {
        return Err(Failure { step: Step::WorkDirectory, item: 0, errno: Errno::ENOENT.0 });
    }
    Ok(())
}

/// Tries each candidate as execvp(3) does, but never hands a file to a shell that it did not ask for.
fn execute(order: &Order, prepared: &Prepared) -> Failure {
    if let Err(failure) = order.begin(Step::Exec) {
        return failure;
    }
    let mut errno = Errno::ENOENT;
    for path in &prepared.candidates {
        let error = process::exec(path, &prepared.argv, &prepared.env);
        match error.errno {
            Errno::ENOENT if file::exists(path) => {
                return Failure { step: Step::Exec, item: 0, errno: MISSING_INTERPRETER };
            }
            Errno::ENOENT | Errno::ENOTDIR => {}
            // Like a shell: another directory of the PATH may have one that can be executed.
            Errno::EACCES => errno = Errno::EACCES,
            other => return Failure { step: Step::Exec, item: 0, errno: other.0 },
        }
    }
    Failure { step: Step::Exec, item: 0, errno: errno.0 }
}

fn sys_resource(limit: Rlimit) -> Resource {
    match limit {
        Rlimit::Core => Resource::Core,
        Rlimit::Nofile => Resource::Nofile,
        Rlimit::Memlock => Resource::Memlock,
        Rlimit::Fsize => Resource::Fsize,
        Rlimit::Msgqueue => Resource::Msgqueue,
        Rlimit::Sigpending => Resource::Sigpending,
        Rlimit::Rtprio => Resource::Rtprio,
        Rlimit::Nice => Resource::Nice,
        Rlimit::Stack => Resource::Stack,
        Rlimit::Nproc => Resource::Nproc,
        Rlimit::Data => Resource::Data,
        Rlimit::Cpu => Resource::Cpu,
    }
}
