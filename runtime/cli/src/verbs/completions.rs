//! `runtime completions`: a script for a shell.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::error::Error;
use crate::output;

/// Prints the script.
pub fn completions(args: &CompletionsArgs) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "runtime", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
