//! What `run`, `attach` and `wait` say in the end: the exit status and the line on stderr. Pure.

use runtime_proto::v1::{Outcome, outcome::Cause};

use crate::error::{Error, STATUS_OURS, status_of_signal};
use crate::session::Record;
use crate::text;

/// SIGPIPE: what a shell user sees of a program whose reader went away (128+13 is 141).
pub const SIGPIPE: i32 = 13;

/// The end of `run` or `attach`.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Exit status.
    pub status: u8,
    /// The line on stderr, without `runtime: `; `None` when the command exited by itself, or nobody reads any more.
    pub line: Option<String>,
}

/// Status and line of a session. A failure of ours counts more than the job's own status: whoever reads the status must not
/// take lost output for success.
pub fn of(record: &Record) -> Verdict {
    if record.reader_gone {
        return Verdict { status: status_of_signal(SIGPIPE), line: None };
    }
    if let Some(error) = &record.error {
        return Verdict {
            status: error.exit_status(true),
            line: Some(text::escape::line(&error.to_string())),
        };
    }
    if record.detached {
        let job = record.job_id.as_deref().unwrap_or("the job");
        return Verdict {
            status: 0,
            line: Some(text::escape::line(&format!("left {job}, which goes on: `runtime attach {job}`"))),
        };
    }
    if record.planned.is_some() {
        return Verdict { status: 0, line: None };
    }
    let Some(outcome) = record.finished.as_ref().and_then(|finished| finished.outcome.as_ref()) else {
        let error = Error::Protocol { what: "the job ended without an outcome".to_owned() };
        return Verdict { status: STATUS_OURS, line: Some(error.to_string()) };
    };
    match (&outcome.cause, record.signal) {
        // We were told to end and passed it on: to our caller we ended by that signal.
        (Some(Cause::Cancelled(_)), Some(signal)) => {
            Verdict { status: status_of_signal(signal), line: text::outcome::line(outcome) }
        }
        _ => of_outcome(outcome),
    }
}

/// Status and line of an outcome alone.
pub fn of_outcome(outcome: &Outcome) -> Verdict {
    let status = match outcome.cause {
        None => STATUS_OURS,
        Some(_) => u8::try_from(outcome.exit_status).unwrap_or(STATUS_OURS),
    };
    Verdict { status, line: text::outcome::line(outcome) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_proto::v1::{CancelledOutcome, ExitedOutcome, JobFinished, SignalledOutcome};

    fn ended(cause: Cause, exit_status: u32) -> Record {
        let outcome = Outcome { cause: Some(cause), exit_status, ..Default::default() };
        Record {
            finished: Some(JobFinished { outcome: Some(outcome), ..Default::default() }),
            ..Default::default()
        }
    }

    fn exited(code: i32) -> Record {
        ended(Cause::Exited(ExitedOutcome { code }), u32::try_from(code).unwrap())
    }

    fn cancelled() -> Record {
        ended(Cause::Cancelled(CancelledOutcome { by: "uid 0".into(), reason: "interrupt".into() }), 143)
    }

    #[test]
    fn the_status_is_the_jobs() {
        for code in [0, 1, 7, 255] {
            assert_eq!(i32::from(of(&exited(code)).status), code);
            assert_eq!(of(&exited(code)).line, None);
        }
        let killed = of(&ended(Cause::Signalled(SignalledOutcome { signal: 11, ..Default::default() }), 139));
        assert_eq!(killed.status, 139);
        assert!(killed.line.unwrap().contains("SEGV"));
    }

    #[test]
    fn a_cancel_of_ours_shows_as_our_signal_and_one_of_others_as_the_daemon_says() {
        for (signal, status) in [(Some(2), 130), (Some(15), 143), (Some(1), 129), (None, 143)] {
            let verdict = of(&Record { signal, ..cancelled() });
            assert_eq!(verdict.status, status);
            assert!(verdict.line.unwrap().starts_with("cancelled by uid 0"));
        }
    }

    #[test]
    fn a_command_that_exits_upon_our_signal_keeps_its_own_status() {
        assert_eq!(of(&Record { signal: Some(2), ..exited(3) }).status, 3);
    }

    #[test]
    fn a_reader_that_went_away_is_quiet() {
        assert_eq!(of(&Record { reader_gone: true, ..cancelled() }), Verdict { status: 141, line: None });
    }

    #[test]
    fn failures_of_ours_are_never_success() {
        let lost = Error::ConnectionLost { job: "job-1".into(), why: "x".into() };
        let verdict = of(&Record { error: Some(lost), ..exited(0) });
        assert_eq!(verdict.status, 125);
        assert!(verdict.line.unwrap().contains("job-1"));
        assert_eq!(of(&Record::default()).status, 125);
        let nothing = Record { finished: Some(JobFinished::default()), ..Default::default() };
        assert_eq!(of(&nothing).status, 125);
        let odd = Record {
            finished: Some(JobFinished { outcome: Some(Outcome::default()), ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(of(&odd).status, 125);
    }

    #[test]
    fn who_leaves_a_job_is_told_how_to_come_back() {
        let left = of(&Record { detached: true, job_id: Some("job-1".into()), ..Default::default() });
        assert_eq!(left.status, 0);
        assert!(left.line.unwrap().contains("runtime attach job-1"));
    }

    #[test]
    fn a_plan_is_success() {
        assert_eq!(of(&Record { planned: Some("{}".into()), ..Default::default() }).status, 0);
    }
}
