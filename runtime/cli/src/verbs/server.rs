//! `__server`, hidden: the launcher starts this binary again with it. The server's own crate does the work.

use std::ffi::OsString;
use std::process::ExitCode;

use runtime_server::ServerArgs;

use crate::error::STATUS_USAGE;
use crate::output;

/// Becomes the server. No thread exists yet: it confines itself before it makes one.
pub fn serve(args: &[OsString]) -> ExitCode {
    let args: Option<Vec<String>> = args.iter().map(|arg| arg.to_str().map(str::to_owned)).collect();
    let parsed = args.ok_or_else(|| "an argument of the server is not UTF-8".to_owned());
    match parsed.and_then(|args| ServerArgs::parse(&args)) {
        Ok(args) => ExitCode::from(super::status_of(runtime_server::run(args))),
        Err(message) => {
            output::complain(&format!("runtime: {message}"));
            ExitCode::from(STATUS_USAGE)
        }
    }
}
