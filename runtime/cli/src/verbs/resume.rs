//! `__resume` and `__upgrade-check`, hidden: a daemon of another version of this program starts it so, in its own place or to
//! ask whether that would do. The launcher does the work.

use std::ffi::OsString;
use std::process::ExitCode;

use runtime_sandbox::launcher::upgrade::{self, STATE_FD_FLAG, STORE_VERSION_FLAG};
use runtime_server::store;

use crate::error::{STATUS_FAILED, STATUS_USAGE};
use crate::output;

/// The verb with which a daemon replaces its program.
pub const RESUME: &str = upgrade::RESUME_VERB;
/// The verb with which it asks before.
pub const CHECK: &str = upgrade::CHECK_VERB;

/// Goes on as the daemon that this process was. No thread may exist yet.
pub fn resume(args: &[OsString]) -> ExitCode {
    match number(args, STATE_FD_FLAG) {
        Ok(state_fd) => ExitCode::from(super::status_of(upgrade::resume(state_fd, store::VERSION))),
        Err(message) => refuse(&message, STATUS_USAGE),
    }
}

/// Says whether it could.
pub fn check(args: &[OsString]) -> ExitCode {
    let numbers = number(args, STATE_FD_FLAG).and_then(|fd| Ok((fd, number(args, STORE_VERSION_FLAG)?)));
    let (state_fd, found) = match numbers {
        Ok(numbers) => numbers,
        Err(message) => return refuse(&message, STATUS_USAGE),
    };
    match check_store(found, store::VERSION).and_then(|()| upgrade::check(state_fd)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => refuse(&message, STATUS_FAILED),
    }
}

/// What a newer version wrote, an older one does not touch.
fn check_store(found: u32, known: u32) -> Result<(), String> {
    if found > known {
        return Err(format!(
            "the records are of version {found}, and version {} of this program knows {known}: it is older than the running daemon",
            env!("CARGO_PKG_VERSION")
        ));
    }
    Ok(())
}

fn refuse(message: &str, status: u8) -> ExitCode {
    output::complain(&format!("runtime: {message}"));
    ExitCode::from(status)
}

/// The number behind a flag.
fn number<N: std::str::FromStr>(args: &[OsString], flag: &str) -> Result<N, String> {
    let value = args.iter().skip_while(|arg| *arg != flag).nth(1).and_then(|value| value.to_str());
    value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("{flag} wants a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_program_refuses_newer_records() {
        assert!(check_store(1, 1).is_ok() && check_store(1, 2).is_ok());
        let refused = check_store(3, 2).unwrap_err();
        assert!(refused.contains("version 3") && refused.contains("knows 2"), "{refused}");
    }

    #[test]
    fn numbers_stand_behind_their_flags() {
        let args = ["--state-fd", "7", "--store-version", "x"].map(OsString::from);
        assert_eq!(number::<i32>(&args, STATE_FD_FLAG), Ok(7));
        assert!(
            number::<u32>(&args, STORE_VERSION_FLAG).is_err() && number::<u32>(&args, "--other").is_err()
        );
    }
}
