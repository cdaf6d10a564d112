//! Each cause of an end, from fabricated evidence.

use super::*;
use crate::made_up;
use runtime_plan::{limit::LimitRequest, spec::UncheckedSpec};

const MEMORY: u64 = 64 * 1024 * 1024;

fn plan() -> LaunchPlan {
    let limits = LimitRequest { memory_bytes: Some(MEMORY), ..LimitRequest::default() };
    made_up::plan(UncheckedSpec { limits, ..made_up::spec() })
}

fn judged(change: impl FnOnce(&mut Evidence<'_>)) -> (Outcome, Vec<LimitHit>) {
    judged_after(None, change)
}

fn judged_after(ending: Option<&Ending>, change: impl FnOnce(&mut Evidence<'_>)) -> (Outcome, Vec<LimitHit>) {
    let plan = plan();
    let mut evidence = Evidence {
        plan: &plan,
        ending,
        events: Some(Events::default()),
        memory_peak_bytes: Some(1024 * 1024),
        cpu_us: Some(0),
        failure: None,
        exit: Some(ExitStatus::Exited(0)),
        signals_asked: 0,
        scratch_full: (false, false),
    };
    change(&mut evidence);
    judge(&evidence)
}

fn killed() -> Option<ExitStatus> {
    Some(ExitStatus::Signalled { signal: SIGKILL, core_dumped: false })
}

#[test]
fn an_exit_by_choice_keeps_its_code_even_137() {
    for code in [0, 1, 137, 255] {
        let (outcome, hits) = judged(|evidence| evidence.exit = Some(ExitStatus::Exited(code)));
        assert_eq!((outcome, hits.len()), (Outcome::Exited { code }, 0));
    }
}

#[test]
fn a_kill_from_elsewhere_is_a_signal() {
    for (asked, says) in [(0, "the launcher did not send it"), (signal_bit(9), "a client asked")] {
        let (outcome, hits) = judged(|evidence| {
            evidence.exit = killed();
            evidence.signals_asked = asked;
        });
        let Outcome::Signalled { signal: 9, core_dumped: false, evidence } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(evidence.contains(says) && evidence.contains("oom_kill 0"), "{evidence}");
        assert_eq!(hits.len(), 0);
    }
}

#[test]
fn a_kill_by_the_memory_limit_is_the_limit_with_its_numbers() {
    let events = Events { oom_kills: 1, ..Events::default() };
    // On v1 the leader is killed; on v2 init goes with it. v1 may count no hit: then the peak tells.
    for (exit, peak, hits) in [(killed(), MEMORY - 300_000, 0), (None, MEMORY, 0), (None, 0, 3)] {
        let (outcome, _) = judged(|evidence| {
            evidence.exit = exit;
            evidence.memory_peak_bytes = Some(peak);
            evidence.events = Some(Events { memory_max_hits: hits, ..events });
        });
        let Outcome::Limit(hit) = outcome else { panic!("{outcome:?}") };
        assert_eq!((hit.limit, hit.allowed, hit.used), (LimitName::Memory, MEMORY, Some(peak)));
        assert!(hit.evidence.contains("oom_kill 1"), "{}", hit.evidence);
    }
}

#[test]
fn a_kill_far_below_the_limit_is_the_hosts_doing() {
    let (outcome, hits) = judged(|evidence| {
        evidence.exit = killed();
        evidence.events = Some(Events { oom_kills: 1, ..Events::default() });
    });
    let Outcome::HostOom { evidence } = outcome else { panic!("{outcome:?}") };
    assert!(evidence.contains("oom_kill 1") && evidence.contains("1048576 bytes of 67108864"), "{evidence}");
    assert_eq!(hits.len(), 0);
}

#[test]
fn the_kill_of_a_child_is_a_limit_that_was_hit() {
    let (outcome, hits) = judged(|evidence| {
        evidence.memory_peak_bytes = Some(MEMORY);
        evidence.events = Some(Events { oom_kills: 1, ..Events::default() });
    });
    assert_eq!(outcome, Outcome::Exited { code: 0 });
    assert_eq!(hits.iter().map(|hit| hit.limit).collect::<Vec<_>>(), [LimitName::Memory]);
}

#[test]
fn what_the_launcher_did_comes_before_how_the_command_took_it() {
    let limit = Ending::Limit(LimitHit {
        limit: LimitName::WallTime,
        allowed: 100,
        used: Some(101),
        count: 1,
        evidence: "the launcher's timer".to_owned(),
    });
    let cancel = Ending::Cancelled { by: "uid 1".to_owned(), reason: "enough".to_owned() };
    for exit in [Some(ExitStatus::Exited(0)), killed(), None] {
        let (outcome, _) = judged_after(Some(&limit), |evidence| evidence.exit = exit);
        assert!(matches!(outcome, Outcome::Limit(hit) if hit.limit == LimitName::WallTime));
        let (outcome, _) = judged_after(Some(&cancel), |evidence| evidence.exit = exit);
        assert!(matches!(outcome, Outcome::Cancelled { .. }));
    }
}

#[test]
fn an_init_that_says_nothing_and_was_not_ended_by_us_is_lost() {
    let (outcome, _) = judged(|evidence| evidence.exit = None);
    assert_eq!(outcome, Outcome::Lost { why: "init_vanished".to_owned() });
}

#[test]
fn death_by_the_filter_is_denied() {
    let exit = Some(ExitStatus::Signalled { signal: SIGSYS, core_dumped: true });
    let (outcome, _) = judged(|evidence| evidence.exit = exit);
    assert_eq!(outcome, Outcome::Denied { syscall: None });
}

#[test]
fn limits_that_only_refuse_are_listed_with_their_counts() {
    let (_, hits) = judged(|evidence| {
        evidence.events = Some(Events { pids_max_hits: 7, ..Events::default() });
        evidence.scratch_full = (true, true);
    });
    let names: Vec<_> = hits.iter().map(|hit| (hit.limit, hit.count)).collect();
    assert_eq!(names, [(LimitName::Pids, 7), (LimitName::Scratch, 1), (LimitName::Inodes, 1)]);
}

#[test]
fn a_failed_start_says_step_errno_and_what_to_do() {
    let cases = [
        (Step::Exec, Errno::ENOENT.0, 127, "PATH"),
        (Step::Exec, Errno::EACCES.0, 126, "chmod +x"),
        (Step::Exec, Errno::ENOEXEC.0, 126, "#!"),
        (Step::Exec, MISSING_INTERPRETER, 126, "interpreter"),
        (Step::Exec, Errno::E2BIG.0, 126, "stdin"),
        (Step::WorkDirectory, Errno::ENOENT.0, 125, "/workspace"),
        (Step::PivotRoot, Errno::EPERM.0, 125, "runtime doctor"),
    ];
    for (step, errno, status, words) in cases {
        let failure = Failure { step, item: 0, errno };
        let (outcome, _) = judged(|evidence| (evidence.failure, evidence.exit) = (Some(failure), None));
        let Outcome::SpawnFailed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.exit_status, status, "{}", failure.message);
        assert!(failure.message.contains(words), "{}", failure.message);
        assert_eq!((failure.index, failure.steps), (step.place(), Step::ALL.len() as u32));
    }
}

#[test]
fn a_failed_mount_names_its_target() {
    let plan = plan();
    let item = plan.root.iter().position(|entry| entry.target() == "/workspace").unwrap();
    let failure = Failure { step: Step::RootEntry, item: item as u32, errno: Errno::EPERM.0 };
    let failure = spawn_failure(&plan, failure);
    assert_eq!(failure.step, "mount /workspace");
    assert!(failure.message.starts_with("failed to mount /workspace: EPERM"), "{}", failure.message);
}

#[test]
fn a_file_for_stdin_that_cannot_be_read_is_named() {
    let mut plan = plan();
    plan.command.stdin = StdinSource::File(b"/workspace/input".to_vec());
    let failure = Failure { step: Step::OpenStdin, item: 0, errno: Errno::ENOENT.0 };
    let failure = spawn_failure(&plan, failure);
    assert!(
        failure.message.starts_with("failed to open stdin /workspace/input: ENOENT"),
        "{}",
        failure.message
    );
    assert_eq!(failure.exit_status, 125);
}

#[test]
fn a_process_that_the_kernel_ended_for_its_cpu_time_met_the_limit() {
    let mut plan = plan();
    plan.limits.cpu_time_ms = Some(1_000);
    plan.cpu_time = CpuTimeKeeping::Processes { why: "a test".to_owned() };
    for (signal, cpu_us, is_limit) in [
        (24, 870_000, true),
        (9, 2_000_000, true),
        (24, 10, false),
        (9, 870_000, false),
        (15, 2_000_000, false),
    ] {
        let evidence = Evidence {
            plan: &plan,
            ending: None,
            events: None,
            memory_peak_bytes: None,
            cpu_us: Some(cpu_us),
            failure: None,
            exit: Some(ExitStatus::Signalled { signal, core_dumped: false }),
            signals_asked: 0,
            scratch_full: (false, false),
        };
        let (outcome, _) = judge(&evidence);
        assert_eq!(
            matches!(outcome, Outcome::Limit(hit) if hit.limit == LimitName::CpuTime),
            is_limit,
            "{signal}"
        );
    }
}
