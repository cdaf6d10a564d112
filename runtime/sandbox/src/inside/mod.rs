//! Inside the sandbox: init, pid 1 of the new namespaces, and the job's process until it is the program.
//!
//! Init is a copy of the zygote: one thread, no fd of any job but the ones of its own order. It raises the walls, starts
//! the job, waits for it, says how it ended, and exits, upon which the kernel ends everything else in the pid namespace.
//!
//! ```text
//! born → order → walls → fork → locked → started → leader gone → exited
//!          └────────┴──────┴───────┴─ failed {step, item, errno}
//! ```

mod enter;
pub mod job;
pub mod order;
mod root;
pub mod step;
mod terminal;

use crate::{frame, inside::order::OrderFds};
use enter::at;
use order::Order;
use runtime_plan::link;
use runtime_sys::{
    Error, caps,
    clone::{Cloned, Pid, SingleThreaded},
    file,
    pidfd::{self, WaitStatus},
    pipe, process, seccomp, socket,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use step::{ExitStatus, Failure, RECORD_BYTES, Record, Step};

/// Fds that one order may carry: stdio, a dozen cgroup files, the trees that the launcher had to open.
pub const ORDER_FDS_MAX: usize = 64;

/// tmpfs gives room by the page.
const PAGE_BYTES: u64 = 4096;

/// Runs init. `launcher` is the one fd that it was born with.
pub fn init(proof: &SingleThreaded, launcher: &OwnedFd) -> ! {
    if let Err(failure) = supervise(proof, launcher.as_fd()) {
        // When the launcher is gone there is nobody to tell; the exit ends the sandbox either way.
        let told = socket::send(launcher.as_fd(), &Record::Failed(failure).to_bytes(), &[], false);
        process::exit_now(if told.is_ok() { 1 } else { 2 });
    }
    process::exit_now(0)
}

fn supervise(proof: &SingleThreaded, launcher: BorrowedFd<'_>) -> Result<(), Failure> {
    // The zygote holds no job's fd, so there is none to inherit; this makes it so whatever happens there.
    process::close_all_except(&[0, 1, 2, launcher.as_raw_fd()]).map_err(at(Step::ReceiveOrder))?;
    process::set_parent_death_signal_kill().map_err(at(Step::ReceiveOrder))?;
    // The modes of what init makes are the plan's, whatever the operator's shell had.
    process::set_umask(0).map_err(at(Step::ReceiveOrder))?;
    let (order, mut fds) = receive_order(launcher)?;
    order.begin(Step::ReceiveOrder)?;
    let entered = enter::enter(launcher, &order, &mut fds)?;
    let (master, slave) =
        terminal::make(&order)?.map_or((None, None), |pty| (Some(pty.master), Some(pty.slave)));
    let prepared = job::prepare(&order, &mut fds, slave)?;
    let mut init_filters = Vec::with_capacity(order.init_filters.len());
    for bytes in &order.init_filters {
        init_filters.push(seccomp::Program::from_bytes(bytes).map_err(at(Step::InitLock))?);
    }
    order.begin(Step::Fork)?;
    let (failures, failures_end) = pipe::pipe().map_err(at(Step::Fork))?;
    match runtime_sys::clone::fork(proof).map_err(at(Step::Fork))? {
        Cloned::Child => {
            // Init's end of the terminal is not the job's, not even until exec.
            drop(master);
            job::run(&order, &entered, &prepared, failures_end.as_fd())
        }
        Cloned::Parent { pid, pidfd } => {
            drop((failures_end, fds, prepared));
            lock(&order, &init_filters)?;
            let theirs: Vec<BorrowedFd<'_>> = [&pidfd].into_iter().chain(&master).map(AsFd::as_fd).collect();
            tell_start(
                launcher,
                failures.as_fd(),
                &theirs,
                entered.landlock.as_ref().map_or(0, |l| l.restricted().abi),
            )?;
            // The launcher's copy of the master is the only one: when it closes, the terminal is gone.
            drop((failures, pidfd, master, entered.landlock));
            wait_for(launcher, pid, entered.scratch.as_ref())
        }
    }
}

fn receive_order(launcher: BorrowedFd<'_>) -> Result<(Order, OrderFds), Failure> {
    let malformed = || Failure { step: Step::ReceiveOrder, item: 0, errno: runtime_sys::Errno::EINVAL.0 };
    let mut buffer = vec![0; frame::BUFFER_BYTES];
    let frame = frame::receive(launcher, &mut buffer, ORDER_FDS_MAX, false);
    let Some(frame) = frame.map_err(|_error| malformed())? else {
        // The launcher thought better of it, or is gone.
        process::exit_now(0)
    };
    let order: Order = link::decode(&frame.body).map_err(|_error| malformed())?;
    let fds = OrderFds::sort(&order, frame.fds).ok_or_else(malformed)?;
    Ok((order, fds))
}

/// From here on init waits, reaps and writes to its socket: it gives up everything else, so that a job that gains control
/// of it has gained nothing.
fn lock(order: &Order, filters: &[seccomp::Program]) -> Result<(), Failure> {
    order.begin(Step::InitLock)?;
    caps::clear_all().map_err(at(Step::InitLock))?;
    process::set_no_new_privs().map_err(at(Step::InitLock))?;
    for filter in filters {
        seccomp::install(filter).map_err(at(Step::InitLock))?;
    }
    Ok(())
}

/// The pipe closes at exec; what it carries before is why there was none.
fn tell_start(
    launcher: BorrowedFd<'_>,
    failures: BorrowedFd<'_>,
    theirs: &[BorrowedFd<'_>],
    landlock_abi: i32,
) -> Result<(), Failure> {
    let mut record = [0; RECORD_BYTES];
    let length = file::read_fd(failures, &mut record).map_err(at(Step::Exec))?;
    if length > 0 {
        let failure = match Record::from_bytes(&record[..length]) {
            Some(Record::Failed(failure)) => failure,
            _ => Failure { step: Step::Exec, item: 0, errno: 0 },
        };
        return Err(failure);
    }
    let started = Record::Started { landlock_abi: landlock_abi as u32 };
    socket::send(launcher, &started.to_bytes(), theirs, false).map_err(at(Step::Exec))
}

/// Reaps whatever is handed to pid 1, until the leader is gone.
fn wait_for(launcher: BorrowedFd<'_>, leader: Pid, scratch: Option<&OwnedFd>) -> Result<(), Failure> {
    let (mut user, mut system) = (0, 0);
    loop {
        let (pid, reaped) = pidfd::reap_any_blocking().map_err(at(Step::Exec))?;
        user += reaped.user_cpu.as_micros() as u64;
        system += reaped.system_cpu.as_micros() as u64;
        if pid == leader {
            let status = match reaped.status {
                WaitStatus::Exited { code } => ExitStatus::Exited(code),
                WaitStatus::Signalled { signal, core_dumped } => {
                    ExitStatus::Signalled { signal, core_dumped }
                }
            };
            let scratch_full = scratch.map_or(Ok((false, false)), is_full).map_err(at(Step::Exec))?;
            let record = Record::Exited { status, cpu_user_us: user, cpu_system_us: system, scratch_full };
            return socket::send(launcher, &record.to_bytes(), &[], false).map_err(at(Step::Exec));
        }
    }
}

/// Less than a page, or no inode: the last write or creation was refused, or the next would be.
fn is_full(scratch: &OwnedFd) -> Result<(bool, bool), Error> {
    let (bytes, inodes) = file::filesystem_room(scratch.as_fd())?;
    Ok((bytes < PAGE_BYTES, inodes == 0))
}
