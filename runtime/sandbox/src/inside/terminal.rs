//! The job's terminal: both ends, made by init in the job's own devpts, so that no number, owner or setting of it is shared
//! with a terminal of the host.
//!
//! The job gets the slave. The master goes to the launcher with the record that the program runs; whoever holds it sees what
//! the job prints and types what it reads, so nobody inside keeps a copy.

use crate::inside::{
    enter::at,
    order::Order,
    step::{Failure, Step},
};
use runtime_sys::{Error, file, terminal};
use std::os::fd::{AsFd, OwnedFd};

/// In the job's root a link to the devpts of that root. In a test that takes the mount wall down it is the host's.
const PTMX: &std::ffi::CStr = c"/dev/ptmx";

/// A terminal.
#[derive(Debug)]
pub struct Pty {
    /// Our end.
    pub master: OwnedFd,
    /// The job's end.
    pub slave: OwnedFd,
}

/// Makes the terminal of the plan, if it has one.
pub fn make(order: &Order) -> Result<Option<Pty>, Failure> {
    order.begin(Step::Terminal)?;
    make_pty(order).map_err(at(Step::Terminal))
}

fn make_pty(order: &Order) -> Result<Option<Pty>, Error> {
    let plan = &order.plan;
    let Some(wanted) = &plan.command.terminal else { return Ok(None) };
    let master = terminal::open_master(PTMX)?;
    let slave = terminal::open_slave(master.as_fd())?;
    terminal::set_utf8(slave.as_fd())?;
    // Before the program can ask for it.
    terminal::set_size(master.as_fd(), wanted.rows, wanted.columns)?;
    if plan.identity.init_has_own_id {
        // The job opens it again by its name (/dev/pts/0, /dev/stdout), which asks for the owner.
        file::change_owner_fd(slave.as_fd(), plan.identity.uid, plan.identity.gid)?;
    }
    Ok(Some(Pty { master, slave }))
}
