//! What the launcher tells an init to do: the plan, and how the fds that come with it are to be read.

use crate::inside::step::{Failure, Step};
use runtime_plan::{launch::LaunchPlan, spec::StdinSource};
use runtime_sys::Errno;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, os::fd::OwnedFd};

/// The order. Its fds come in this sequence: without a terminal stdin when that is a stream, stdout, stderr; then the cgroup
/// files, the trees.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The plan; the launcher has compiled its system call policy, which is left out here.
    pub plan: LaunchPlan,
    /// Layers of the job's filter, in the order of installation.
    pub filters: Vec<Vec<u8>>,
    /// Layers of init's own filter.
    pub init_filters: Vec<Vec<u8>>,
    /// `tasks` files of v1 cgroups: init writes itself into each.
    pub cgroup_files: usize,
    /// For each tree: the place of its entry in the plan's root.
    pub trees: Vec<usize>,
    /// Entries whose directory init opens by path and compares with the tree that came for it: the launcher may not clone mounts.
    pub reopened: BTreeMap<usize, String>,
    /// A step that is to fail, by its place: a fault that an operator asked for. A number that no step has fails nothing.
    pub fail_at: Option<u32>,
}

impl Order {
    /// To be asked at the start of each step, whether or not this plan has anything to do in it: fails with EIO when the order
    /// says that this one fails.
    pub fn begin(&self, step: Step) -> Result<(), Failure> {
        match self.fail_at {
            Some(place) if place == step.place() => Err(Failure { step, item: 0, errno: Errno::EIO.0 }),
            _ => Ok(()),
        }
    }
}

/// The fds of an order, by meaning.
#[derive(Debug)]
pub struct OrderFds {
    /// Its pipes; `None` with a terminal, which init makes itself.
    pub pipes: Option<Pipes>,
    /// `tasks` files.
    pub cgroup_files: Vec<OwnedFd>,
    /// Trees by their entry's place.
    pub trees: BTreeMap<usize, OwnedFd>,
}

/// The job's ends of its pipes.
#[derive(Debug)]
pub struct Pipes {
    /// Read end of stdin; `None` when stdin is no stream.
    pub stdin: Option<OwnedFd>,
    /// Write end of stdout.
    pub stdout: OwnedFd,
    /// Write end of stderr.
    pub stderr: OwnedFd,
}

impl OrderFds {
    /// Sorts the fds of a frame; `None` when their number is not what the order says.
    pub fn sort(order: &Order, fds: Vec<OwnedFd>) -> Option<OrderFds> {
        let command = &order.plan.command;
        let streams = match (&command.terminal, &command.stdin) {
            (Some(_), _) => 0,
            (None, StdinSource::Stream) => 3,
            (None, StdinSource::Empty | StdinSource::File(_)) => 2,
        };
        if fds.len() != streams + order.cgroup_files + order.trees.len() {
            return None;
        }
        let mut fds = fds.into_iter();
        let pipes = if streams == 0 {
            None
        } else {
            let stdin = if streams == 3 { Some(fds.next()?) } else { None };
            Some(Pipes { stdin, stdout: fds.next()?, stderr: fds.next()? })
        };
        let cgroup_files = fds.by_ref().take(order.cgroup_files).collect();
        let trees = order.trees.iter().copied().zip(fds).collect();
        Some(OrderFds { pipes, cgroup_files, trees })
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
