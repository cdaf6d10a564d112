//! The server is killed again and again while jobs of all kinds run and readers come and go. At the end every job that was
//! accepted has exactly one true outcome, each log is what the job wrote, byte for byte, and nothing is left on the host.
//!
//! Bounded here; `just chaos` runs the long form. `RUNTIME_CHAOS_JOBS`, `RUNTIME_CHAOS_KILLS` and `RUNTIME_CHAOS_SEED` set how much of it.

mod kinds;
mod one_job;
mod storm;

use runtime_tests::{Daemon, children, cmdline};

/// signal(7).
const SIGKILL: i32 = 9;

/// A number of the environment, or the bounded form's.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")),
        Err(_) => default,
    }
}

/// The server that is up now, when one is.
fn server_of(daemon: &Daemon<'_>) -> Option<u32> {
    let is_server = |pid: u32| cmdline(pid).iter().any(|word| word == "__server");
    children(daemon.pid()).into_iter().map(|child| child.pid).find(|pid| is_server(*pid))
}

/// Kills the server that is up now. False when none was.
fn kill_server(daemon: &Daemon<'_>) -> bool {
    let Some(pid) = server_of(daemon) else { return false };
    let Ok(pid) = i32::try_from(pid) else { return false };
    // Gone meanwhile is as good.
    let Ok(pidfd) = runtime_sys::pidfd::open(runtime_sys::clone::Pid(pid)) else { return false };
    runtime_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&pidfd), SIGKILL).is_ok()
}

/// Runs it to its end, with threads for the clients.
fn on(future: impl Future<Output = ()>) {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(future);
}
