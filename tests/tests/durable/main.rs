//! What a whole daemon keeps, and what it never writes down: queued jobs over restarts, output on a full disk, values of
//! variables; and how much memory and how many descriptors it takes whatever jobs do.

mod bounds;
mod disk;
mod operator;
mod queue;
mod secrets;

use runtime_tests::{Daemon, Stage};

const NO_ARGS: [&str; 0] = [];
/// signal(7).
const SIGTERM: i32 = 15;

fn start(stage: &Stage) -> Daemon<'_> {
    Daemon::start(stage, &NO_ARGS, "")
}

fn end(mut daemon: Daemon<'_>) {
    daemon.signal(SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
}

/// Whether /proc of the daemon's processes is open to us: root sees all of it, and a user not even that of their own server.
fn can_look() -> bool {
    runtime_sys::process::effective_uid() == 0
}
