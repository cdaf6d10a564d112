//! What operators type: one file per verb in `verbs`, and what they share.
//!
//! The arguments are read before any thread exists, because `run` and `serve` fork the launcher and a fork is safe in a
//! process of one thread only. This crate builds no wall and decides nothing about a job: it asks, shows and explains.

mod args;
mod client;
mod directory;
mod embedded;
mod endpoint;
mod error;
mod json;
mod output;
mod places;
mod request;
mod screen;
mod session;
mod signals;
mod stdio;
mod terminal;
mod text;
mod verbs;
mod verdict;

use std::process::ExitCode;

/// Runs the command that this process was called with, and says how it ended.
///
/// Exit status: of `run`, `attach` and `wait`, the job's own, 128+N for a signal, 124 for a limit, 125 for a failure of ours or of the usage, 126
/// cannot execute, 127 not found. Of every other verb 0, 1, or 2 for usage.
pub fn main_entry() -> ExitCode {
    verbs::dispatch(std::env::args_os().collect())
}
