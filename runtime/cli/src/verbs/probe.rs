//! `__probe`, hidden: `selftest` starts this binary inside a sandbox with it. The attacks are a crate of their own.

use std::ffi::OsString;
use std::process::ExitCode;

/// Tries what the arguments name. Nothing has been opened yet: one attack counts the descriptors that it was given.
pub fn probe(args: &[OsString]) -> ExitCode {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    runtime_probes::main(&args)
}
