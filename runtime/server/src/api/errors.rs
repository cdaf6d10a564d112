//! From what went wrong to a gRPC status: the one list of reasons, and the one place that makes a status.
//!
//! Every status carries a google.rpc.ErrorInfo with one of these reasons, and a RetryInfo when trying again can help.
//! `proto/ERRORS.md` is this list; a test holds them together.

use crate::jobs::{NotDeleted, NotFound, NotTaken};
use crate::store::StoreError;
use runtime_plan::link::{Refusal, RefusalReason};
use runtime_plan::spec::SpecError;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "runtime.v1";

macro_rules! reasons {
    ($($variant:ident $name:literal $code:ident $retry:expr, $means:literal, $next:literal;)*) => {
        /// A stable reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $(#[doc = $means] $variant,)* }

        impl Reason {
            /// Every reason, in the order of the list.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)*];

            /// The text in ErrorInfo.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// The code of the status.
            pub const fn code(self) -> Code {
                match self { $(Reason::$variant => Code::$code,)* }
            }

            /// After how many seconds it can be tried again unchanged; `None` when that does not help.
            pub const fn retry_s(self) -> Option<u64> {
                match self { $(Reason::$variant => $retry,)* }
            }

            /// What it means.
            pub const fn means(self) -> &'static str {
                match self { $(Reason::$variant => $means,)* }
            }

            /// What to do.
            pub const fn next_step(self) -> &'static str {
                match self { $(Reason::$variant => $next,)* }
            }
        }
    };
}

reasons! {
    NoCommand "NO_COMMAND" InvalidArgument None, "The spec has no command, or an empty one.", "Give the program and its arguments.";
    TooManyArguments "TOO_MANY_ARGUMENTS" InvalidArgument None, "There are more arguments than the bound.", "Pass the data on stdin or in a file.";
    TooManyVariables "TOO_MANY_VARIABLES" InvalidArgument None, "There are more environment variables than the bound.", "Pass the data on stdin or in a file.";
    StringTooLong "STRING_TOO_LONG" InvalidArgument None, "One argument or variable is longer than the kernel takes.", "Pass the data on stdin or in a file.";
    ArgumentsTooLong "ARGUMENTS_TOO_LONG" InvalidArgument None, "Arguments and environment together are over the bound.", "Pass the data on stdin or in a file.";
    NulByte "NUL_BYTE" InvalidArgument None, "An argument, variable or path contains a NUL byte.", "Remove it, or pass the data on stdin.";
    BadVariableName "BAD_VARIABLE_NAME" InvalidArgument None, "A variable's name is empty or contains `=`.", "Correct the name.";
    DuplicateVariable "DUPLICATE_VARIABLE" InvalidArgument None, "The same variable is given twice.", "Keep one.";
    BadWorkdir "BAD_WORKDIR" InvalidArgument None, "The working directory is not absolute, has `..`, or is too long.", "Give an absolute path inside the sandbox, for example /workspace/src.";
    BadProfileName "BAD_PROFILE_NAME" InvalidArgument None, "The text cannot be a profile's name.", "Use a name that NodeService.Profiles lists.";
    BadDuration "BAD_DURATION" InvalidArgument None, "A duration is negative, under 1 ms, or out of range.", "Give at least 1 ms.";
    BadTimestamp "BAD_TIMESTAMP" InvalidArgument None, "A time is out of the range of a timestamp.", "Give seconds since 1970 and 0 to 999 999 999 nanoseconds.";
    BadStdinFile "BAD_STDIN_FILE" InvalidArgument None, "The file for stdin is not absolute, has `..`, or is too long.", "Give an absolute path inside the sandbox, for example /workspace/input.";
    BadTerminal "BAD_TERMINAL" InvalidArgument None, "A terminal's size or type is out of range.", "Give 1 to 4 096 lines and columns, and a type such as xterm-256color.";
    BadId "BAD_ID" InvalidArgument None, "A uid or gid inside is out of range.", "Give 1 to 65 533.";
    BadLabel "BAD_LABEL" InvalidArgument None, "There are more than 64 labels, or one is out of bounds.", "Use keys of 1 to 63 of a-z 0-9 . _ / - and values of at most 255 bytes.";
    BadOrg "BAD_ORG" InvalidArgument None, "The text cannot be an organisation's name.", "Use 1 to 64 of a-z 0-9 - _.";
    BadPriority "BAD_PRIORITY" InvalidArgument None, "The priority is out of range.", "Give -100 to 100.";
    BadKey "BAD_KEY" InvalidArgument None, "The idempotency key is over 128 bytes, or not printable ASCII.", "Use a UUID, for example.";
    BadKeep "BAD_KEEP" InvalidArgument None, "`keep_output_bytes` is below 64 KiB.", "Ask for at least 65 536, or leave it out to keep all.";
    Contradiction "CONTRADICTION" InvalidArgument None, "Two fields exclude each other.", "Leave out one of those that the text names.";
    BadEnum "BAD_ENUM" InvalidArgument None, "A field has a number that this version does not know.", "Use a value of this API version; NodeService.Info tells the level.";
    MissingStart "MISSING_START" InvalidArgument None, "The first message of the stream is not `start`, or has no spec.", "Send `start` first.";
    UnexpectedStart "UNEXPECTED_START" InvalidArgument None, "`start` came again on the same stream.", "Send it once; open another stream for another job.";
    EmptyInput "EMPTY_INPUT" InvalidArgument None, "A message has none of its kinds set.", "Set one; a newer client may have sent a kind that this version does not know.";
    StartTimeout "START_TIMEOUT" DeadlineExceeded None, "The first message did not come within 10 s.", "Send `start` as soon as the stream is open.";
    StdinTooLarge "STDIN_TOO_LARGE" InvalidArgument None, "One piece of stdin is over 1 MiB.", "Send smaller pieces.";
    NoStdin "NO_STDIN" FailedPrecondition None, "Bytes for stdin came, but the spec has `stdin` false.", "Set `stdin` in the spec.";
    BadSignal "BAD_SIGNAL" InvalidArgument None, "The signal's number is not 1 to 64.", "Give a number of signal(7).";
    ReasonTooLong "REASON_TOO_LONG" InvalidArgument None, "The words of a cancel are over 1 024 bytes.", "Shorten them.";
    JobNotFound "JOB_NOT_FOUND" NotFound None, "There is no such job, or its record has expired.", "JobService.List shows the jobs that are known.";
    JobAmbiguous "JOB_AMBIGUOUS" InvalidArgument None, "Several ids begin so.", "Give more of the id.";
    BadPage "BAD_PAGE" InvalidArgument None, "The page size is over 1 000, or the token is not one of ours or belongs to another filter.", "Ask for at most 1 000; pass the token as it came, with the same filter.";
    BadResumeToken "BAD_RESUME_TOKEN" InvalidArgument None, "The resume token is not one of ours, belongs to another filter, or to records that are gone.", "Pass the token as it came, with the same filter; or watch from the start without one.";
    KeyConflict "KEY_CONFLICT" AlreadyExists None, "The idempotency key names another job, whose spec is not this one.", "Use a new key for a new spec; the text names the job that has this one.";
    JobNotFinished "JOB_NOT_FINISHED" FailedPrecondition None, "The job is not over, so its record stays.", "Cancel it and wait for its end, then delete it.";
    JobNotRunning "JOB_NOT_RUNNING" FailedPrecondition None, "The command does not run: it waits for its turn, is being started, or is over.", "JobService.Get tells the state; JobService.Cancel ends a job that waits.";
    NoTerminal "NO_TERMINAL" FailedPrecondition None, "The job has no terminal whose size could change.", "Set `terminal` in the spec.";
    UnknownProfile "UNKNOWN_PROFILE" NotFound None, "There is no such profile.", "NodeService.Profiles lists them.";
    ProfileNotAllowed "PROFILE_NOT_ALLOWED" PermissionDenied None, "The policy does not allow this profile.", "Use another one, or ask the operator.";
    LimitOutOfRange "LIMIT_OUT_OF_RANGE" InvalidArgument None, "A limit is above the policy's ceiling, below its floor, or fixed by the profile.", "Ask for a value within the bound that the text names.";
    NoHostDirectory "NO_HOST_DIRECTORY" FailedPrecondition None, "A host directory is mounted in the embedded form only, when the policy allows it.", "Run embedded with --dir, or use a scratch workspace.";
    WallUnavailable "WALL_UNAVAILABLE" FailedPrecondition None, "A wall that the profile requires cannot be built on this host.", "`runtime doctor` shows what mends it.";
    TooManyJobs "TOO_MANY_JOBS" ResourceExhausted Some(1), "The launcher has no room for one more job.", "Try again later.";
    QueueFull "QUEUE_FULL" ResourceExhausted Some(1), "As many jobs run and wait as the policy allows.", "Try again later.";
    StateFull "STATE_FULL" ResourceExhausted Some(10), "There is no space for records: new jobs are refused, those that run go on.", "Free space in the state directory; it is noticed by itself.";
    StateReadOnly "STATE_READ_ONLY" Unavailable Some(10), "The state directory's file system is read-only: new jobs are refused, those that run go on.", "Mount it writable; it is noticed by itself.";
    StateUnavailable "STATE_UNAVAILABLE" Unavailable Some(5), "The records cannot be reached at this moment: the disk fails, or too much waits to be written.", "Try again later; NodeService.Info and the daemon's log have the cause.";
    StateBroken "STATE_BROKEN" Internal None, "The records are damaged, or of another version.", "NodeService.Info and the daemon's log say what to do.";
    HostResources "HOST_RESOURCES" ResourceExhausted Some(5), "The host could not give what the job needs: descriptors, memory, ids, a cgroup.", "Try again later; the daemon's log has the cause.";
    LogUnavailable "LOG_UNAVAILABLE" ResourceExhausted Some(5), "The job's log could not be made or read.", "Look at the free space and the rights of the state directory.";
    DuplicateJob "DUPLICATE_JOB" Internal Some(1), "The id of the job is taken.", "Try again: a new id is chosen.";
    Draining "DRAINING" Unavailable Some(30), "The operator wants no new jobs: those that run finish.", "Try again later, or on another host.";
    ServerRestarting "SERVER_RESTARTING" Unavailable Some(1), "Another server takes over, as for an upgrade: jobs run on.", "Call again, with the cursors or the token after what came last.";
    ConnectionDropped "CONNECTION_DROPPED" Unavailable Some(1), "The stream was broken off by `--fault drop-connection-after`.", "Call again, with the cursors after what came last.";
    ShuttingDown "SHUTTING_DOWN" Unavailable Some(5), "The daemon is on its way down.", "Try again when it is back.";
    LauncherGone "LAUNCHER_GONE" Unavailable Some(5), "The launcher has ended, and its jobs with it.", "Try again when the daemon is back.";
    PlanTooLarge "PLAN_TOO_LARGE" ResourceExhausted None, "The plan is over 3 MiB.", "Shorten argv or the environment.";
}

impl Reason {
    /// A status with this reason.
    pub fn status(self, message: impl Into<String>) -> Status {
        let mut details = ErrorDetails::with_error_info(self.name(), DOMAIN, HashMap::new());
        if let Some(seconds) = self.retry_s() {
            details.set_retry_info(Some(Duration::from_secs(seconds)));
        }
        Status::with_error_details(self.code(), message, details)
    }
}

/// The status of a spec that is refused.
pub fn from_spec(error: &SpecError) -> Status {
    let reason = match error {
        SpecError::NoCommand => Reason::NoCommand,
        SpecError::TooManyArguments { .. } => Reason::TooManyArguments,
        SpecError::TooManyVariables { .. } => Reason::TooManyVariables,
        SpecError::StringTooLong { .. } => Reason::StringTooLong,
        SpecError::TooLong { .. } => Reason::ArgumentsTooLong,
        SpecError::Nul { .. } => Reason::NulByte,
        SpecError::BadVariableName { .. } => Reason::BadVariableName,
        SpecError::DuplicateVariable { .. } => Reason::DuplicateVariable,
        SpecError::BadWorkdir { .. } => Reason::BadWorkdir,
        SpecError::BadProfileName { .. } => Reason::BadProfileName,
        SpecError::BadStdinFile { .. } => Reason::BadStdinFile,
        SpecError::StdinWithTerminal => Reason::Contradiction,
        SpecError::BadTerminal { .. } => Reason::BadTerminal,
        SpecError::BadId { .. } => Reason::BadId,
    };
    reason.status(error.to_string())
}

/// The status of a job that the launcher does not take.
pub fn from_refusal(refusal: &Refusal) -> Status {
    let reason = match refusal.reason {
        RefusalReason::UnknownProfile => Reason::UnknownProfile,
        RefusalReason::ProfileNotAllowed => Reason::ProfileNotAllowed,
        RefusalReason::LimitOutOfRange => Reason::LimitOutOfRange,
        RefusalReason::NoHostDirectory => Reason::NoHostDirectory,
        RefusalReason::WallUnavailable => Reason::WallUnavailable,
        RefusalReason::TooManyJobs => Reason::TooManyJobs,
        RefusalReason::DuplicateJob => Reason::DuplicateJob,
        RefusalReason::HostResources => Reason::HostResources,
        RefusalReason::ShuttingDown => Reason::ShuttingDown,
    };
    reason.status(refusal.message.clone())
}

/// The status of a job that the server does not take.
pub fn from_not_taken(not_taken: &NotTaken) -> Status {
    match not_taken {
        NotTaken::QueueFull { running_max, queued_max } => Reason::QueueFull.status(format!(
            "{running_max} jobs run and {queued_max} wait, as many as the policy allows: try again later"
        )),
        NotTaken::ShuttingDown => {
            Reason::ShuttingDown.status("the daemon is on its way down: try again when it is back")
        }
        NotTaken::Draining => Reason::Draining.status(
            "the daemon takes no new jobs, and finishes those that run: try again later, or on another host",
        ),
        NotTaken::KeyConflict { job_id } => Reason::KeyConflict.status(format!(
            "the idempotency key belongs to {job_id}, whose spec is another one: use a new key"
        )),
        NotTaken::Store(error) => from_store(error),
    }
}

/// The status of what the store does not do.
pub fn from_store(error: &StoreError) -> Status {
    let reason = match error {
        StoreError::NoSpace(_) => Reason::StateFull,
        StoreError::ReadOnly(_) => Reason::StateReadOnly,
        // It is closed last of all.
        StoreError::Closed => Reason::ShuttingDown,
        _ if error.is_transient() => Reason::StateUnavailable,
        _ => Reason::StateBroken,
    };
    reason.status(error.to_string())
}

/// The status of an id that names no job.
pub fn from_not_found(id: &str, not_found: &NotFound) -> Status {
    let id = shown(id);
    match not_found {
        NotFound::Unknown => Reason::JobNotFound.status(format!(
            "there is no job {id:?}, or its record has expired: `runtime ps` lists the jobs"
        )),
        NotFound::Ambiguous(candidates) => Reason::JobAmbiguous.status(format!(
            "several ids begin with {id:?}, such as {}: give more of it",
            candidates.join(", ")
        )),
        NotFound::Store(error) => from_store(error),
    }
}

/// The status of a record that is not removed.
pub fn from_not_deleted(id: &str, not_deleted: &NotDeleted) -> Status {
    match not_deleted {
        NotDeleted::Unknown => Reason::JobNotFound.status(format!(
            "there is no job {:?}, or its record has expired; a whole id is needed here: `runtime ps` lists the jobs",
            shown(id)
        )),
        NotDeleted::NotFinished => Reason::JobNotFinished
            .status(format!("{id} is not over: cancel it and wait for its end, then delete it")),
        NotDeleted::Store(error) => from_store(error),
    }
}

/// The start of what a caller named, for a sentence.
fn shown(id: &str) -> String {
    id.chars().take(80).collect()
}

/// The status of every call once the launcher is gone.
pub fn launcher_gone() -> Status {
    Reason::LauncherGone
        .status("the launcher has ended, and its jobs with it: try again when the daemon is back")
}

/// The status of every stream when another server takes over.
pub fn server_restarting() -> Status {
    Reason::ServerRestarting.status(
        "another server takes over, and jobs run on: call again, with the cursors after what came last",
    )
}

/// The name of the reason in a status of ours.
pub fn reason_of(status: &Status) -> Option<&'static str> {
    let details = status.get_error_details();
    let name = &details.error_info()?.reason;
    Reason::ALL.iter().map(|reason| reason.name()).find(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> String {
        let mut text = String::from(
            "# Reasons of errors\n\n\
             Every gRPC status of `runtime.v1` carries a `google.rpc.ErrorInfo` with the domain `runtime.v1` and one of these\n\
             reasons. Where trying again unchanged can help, a `google.rpc.RetryInfo` says after how long. Reasons are stable: new\n\
             ones may come, none changes its meaning. The list is written by a test of `runtime/server`:\n\
             `RUNTIME_WRITE_ERRORS=1 cargo test -p runtime-server reasons`.\n\n\
             | reason | code | try again | what it means | what to do |\n| --- | --- | --- | --- | --- |\n",
        );
        for reason in Reason::ALL {
            let retry = reason.retry_s().map_or("no".to_owned(), |seconds| format!("after {seconds} s"));
            let code = format!("{:?}", reason.code());
            text += &format!(
                "| `{}` | {} | {retry} | {} | {} |\n",
                reason.name(),
                screaming(&code),
                reason.means(),
                reason.next_step()
            );
        }
        text
    }

    fn screaming(camel: &str) -> String {
        let mut text = String::new();
        for letter in camel.chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(letter.to_ascii_uppercase());
        }
        text
    }

    #[test]
    fn the_list_of_reasons_is_the_published_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/ERRORS.md");
        if std::env::var("RUNTIME_WRITE_ERRORS").as_deref() == Ok("1") {
            std::fs::write(path, listed()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), listed(), "write it again, see its head");
    }

    #[test]
    fn a_status_carries_its_reason_and_when_to_try_again() {
        for reason in Reason::ALL {
            let status = reason.status("text");
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason.name(), DOMAIN));
            let retry = details.retry_info().and_then(|retry| retry.retry_delay);
            assert_eq!(retry.map(|delay| delay.as_secs()), reason.retry_s());
            assert_eq!(reason_of(&status), Some(reason.name()));
        }
    }
}
