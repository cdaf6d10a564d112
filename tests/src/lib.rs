//! The harness of the integration tests: who runs, where, what comes out, and what must not be left.
//!
//! A test makes a [`Stage`] (a directory with copies of the programs, a home for the ordinary user), runs the program under
//! test on it, and drops it. Nothing here asserts what a sandbox does: that is for the tests.

pub mod client;
mod daemon;
mod embedded;
mod processes;
pub mod reader;
mod skip;
mod stage;
mod stories;
mod traces;
mod typed;
mod typist;

pub use daemon::Daemon;
pub use embedded::{Output, Request, wait};
pub use processes::{Process, children, cmdline, descendants, eventually, fds_of, is_alive, sockets_of};
pub use skip::skip;
pub use stage::{Programs, Stage, USER_ID, Who};
pub use stories::tell;
pub use traces::{Traces, orphaned_cgroups, orphaned_instances};
pub use typed::Said;
pub use typist::Typist;
