//! What the launcher tells an init to do: the plan, and how the fds that come with it are to be read.

use runtime_plan::launch::LaunchPlan;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, os::fd::OwnedFd};

/// The order. Its fds come in this sequence: stdin when `stdin`, stdout, stderr, the cgroup files, the trees.
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
}

/// The fds of an order, by meaning.
#[derive(Debug)]
pub struct OrderFds {
    /// Read end of stdin; `None` when stdin is empty.
    pub stdin: Option<OwnedFd>,
    /// Write end of stdout.
    pub stdout: OwnedFd,
    /// Write end of stderr.
    pub stderr: OwnedFd,
    /// `tasks` files.
    pub cgroup_files: Vec<OwnedFd>,
    /// Trees by their entry's place.
    pub trees: BTreeMap<usize, OwnedFd>,
}

impl OrderFds {
    /// Sorts the fds of a frame; `None` when their number is not what the order says.
    pub fn sort(order: &Order, fds: Vec<OwnedFd>) -> Option<OrderFds> {
        let expected = usize::from(order.plan.command.stdin) + 2 + order.cgroup_files + order.trees.len();
        if fds.len() != expected {
            return None;
        }
        let mut fds = fds.into_iter();
        let stdin = if order.plan.command.stdin { Some(fds.next()?) } else { None };
        let stdout = fds.next()?;
        let stderr = fds.next()?;
        let cgroup_files = fds.by_ref().take(order.cgroup_files).collect();
        let trees = order.trees.iter().copied().zip(fds).collect();
        Some(OrderFds { stdin, stdout, stderr, cgroup_files, trees })
    }
}
