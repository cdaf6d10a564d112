//! Asks the kernel. All unsafe code of the workspace lives here, one file per kernel object.
//!
//! A function is one kernel act: typed in, owned or borrowed descriptors, typed error out. There is no
//! policy, no default and no logging in this crate; every descriptor it makes is close-on-exec.

pub mod caller_terminal;
pub mod caps;
pub mod cgroup;
pub mod clone;
pub mod error;
pub mod file;
pub mod inherit;
pub mod landlock;
pub mod loop_device;
pub mod memfd;
pub mod mount;
pub mod net;
pub mod pidfd;
pub mod pipe;
pub mod poll;
pub mod proc;
pub mod process;
pub mod random;
pub mod rlimit;
pub mod seccomp;
pub mod socket;
pub mod terminal;
pub mod time;
pub mod userns;

#[cfg(test)]
mod in_child;

pub use error::{Errno, Error, Result};
