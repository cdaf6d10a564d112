use super::*;
use runtime_proto::v1::*;

fn outcome(cause: Cause) -> Outcome {
    Outcome { cause: Some(cause), ..Default::default() }
}

fn hit(limit: &str, allowed: u64, used: Option<u64>, unit: &str, evidence: &str) -> Cause {
    Cause::Limit(LimitHit {
        limit: limit.into(),
        allowed,
        used,
        unit: unit.into(),
        count: 1,
        evidence: evidence.into(),
    })
}

#[test]
fn each_outcome_has_its_line() {
    let failed = |message: &str| {
        Cause::SpawnFailed(SpawnFailedOutcome {
            step: "mount /workspace".into(),
            index: 7,
            steps: 19,
            errno: 1,
            wall: "mount".into(),
            message: message.into(),
        })
    };
    let table = [
        (
            Cause::Signalled(SignalledOutcome { signal: 11, core_dumped: false, evidence: "x".into() }),
            "the command was ended by signal 11 (SEGV)",
        ),
        (
            Cause::Signalled(SignalledOutcome { signal: 40, core_dumped: true, evidence: String::new() }),
            "the command was ended by signal 40, core dumped",
        ),
        (
            hit("memory", 1 << 30, Some(1 << 30), "bytes", "memory.oom_control oom_kill 1"),
            "memory limit: used 1.0 GiB of 1.0 GiB (memory.oom_control oom_kill 1); raise with --limit memory=2GiB",
        ),
        (
            hit("wall_time", 30_000, Some(30_004), "ms", "deadline"),
            "wall time limit: used 30.0 s of 30 s (deadline); raise with --limit wall_time=1min",
        ),
        (
            hit("output", 1 << 20, None, "bytes", ""),
            "output limit: allowed 1.0 MiB; raise with --limit output=2MiB",
        ),
        (hit("future", 3, None, "things", "x"), "future limit: allowed 3 things (x)"),
        (
            Cause::Denied(DeniedOutcome { syscall: Some(165) }),
            "the system call filter killed the command (system call 165 of x86_64); see which profile allows it with `runtime profile list`",
        ),
        (
            Cause::Cancelled(CancelledOutcome { by: "uid 1000".into(), reason: "interrupt".into() }),
            "cancelled by uid 1000: interrupt",
        ),
        (
            Cause::Cancelled(CancelledOutcome { by: "shutdown".into(), reason: String::new() }),
            "cancelled by shutdown",
        ),
        (failed("no such program: x"), "no such program: x"),
        (failed(""), "failed to mount /workspace: errno 1 (step 7 of 19)"),
        (
            Cause::Lost(LostOutcome { why: "launcher_died".into() }),
            "nobody saw the command end (launcher_died): see the daemon's log; what it did so far is unknown",
        ),
    ];
    for (cause, text) in table {
        assert_eq!(line(&outcome(cause)).as_deref(), Some(text));
    }
}

#[test]
fn an_exit_has_no_line_whatever_its_code() {
    for code in [0, 1, 255] {
        assert_eq!(line(&outcome(Cause::Exited(ExitedOutcome { code }))), None);
    }
}

#[test]
fn evidence_is_shown_safely() {
    let killed = Cause::HostOom(HostOomOutcome { evidence: "oom_kill 1\u{1b}".into() });
    assert_eq!(evidence(&outcome(killed)), "oom_kill 1\\x1b");
    let ended =
        Cause::Signalled(SignalledOutcome { signal: 9, core_dumped: false, evidence: "wait status".into() });
    assert_eq!(evidence(&outcome(ended)), "wait status");
    assert_eq!(evidence(&outcome(Cause::Exited(ExitedOutcome { code: 0 }))), "");
}

#[test]
fn a_lost_job_that_never_ran_says_so() {
    let of = |why: &str| line(&outcome(Cause::Lost(LostOutcome { why: why.into() }))).unwrap();
    assert!(of("env_not_kept").contains("never ran"));
    assert!(of("host_rebooted").contains("went down"));
}

#[test]
fn a_missing_cause_is_never_taken_for_success() {
    assert!(line(&Outcome::default()).is_some());
    assert_eq!(word(&Outcome::default()), "unknown");
}

#[test]
fn words_of_others_cannot_drive_the_terminal() {
    let cause = Cause::Cancelled(CancelledOutcome { by: "uid 1".into(), reason: "\u{1b}[2J".into() });
    assert_eq!(line(&outcome(cause)).as_deref(), Some("cancelled by uid 1: \\x1b[2J"));
}
