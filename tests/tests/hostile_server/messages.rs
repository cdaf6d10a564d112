//! Messages: what is malformed is dropped, what is not allowed is refused, and the launcher goes on.

use crate::play::Play;
use runtime_tests::{Stage, fds_of};

/// Says that a job ran from start to end afterwards.
const ALIVE: &str = "alive: finished Exited { code: 0 }";
/// More descriptors than a launcher has with no job running: a dozen of its own.
const LAUNCHER_FDS_MAX: usize = 40;
/// Far above a launcher with its outbox full (32 MiB), far below what an unbounded one would reach.
const LAUNCHER_PEAK_KIB_MAX: u64 = 160 * 1024;
/// `jobs_running_max` of the local policy.
const JOBS_RUNNING_MAX: u64 = 64;

crate::both!(
    a_server_cannot_end_the_launcher_with_garbage,
    a_server_cannot_leave_descriptors_in_the_launcher,
    a_server_cannot_name_what_is_not_its_to_name,
    a_server_cannot_loosen_a_limit,
    a_server_cannot_start_a_job_twice,
    a_server_cannot_start_more_jobs_than_the_policy_says,
    a_server_cannot_reach_jobs_that_are_not_there,
    a_server_cannot_fill_the_launchers_memory_or_stop_its_clock,
);

fn a_server_cannot_end_the_launcher_with_garbage(stage: &Stage) {
    let play = Play::start(stage, "garbage");
    assert!(play.heard(ALIVE), "{:#?}", play.said);
    play.end_well();
}

fn a_server_cannot_leave_descriptors_in_the_launcher(stage: &Stage) {
    let play = Play::start(stage, "descriptors");
    assert!(play.heard(ALIVE), "{:#?}", play.said);
    let fds = fds_of(play.launcher().pid);
    assert!(fds.len() <= LAUNCHER_FDS_MAX, "{fds:#?}");
    play.end_well();
}

fn a_server_cannot_name_what_is_not_its_to_name(stage: &Stage) {
    let play = Play::start(stage, "names");
    assert_eq!(play.value("unknown profile"), "refused UnknownProfile");
    assert_eq!(play.value("host directory"), "refused NoHostDirectory");
    assert_eq!(play.value("forged"), "dropped, and the plan names none of them: true");
    assert!(play.heard(ALIVE), "{:#?}", play.said);
    play.end_well();
}

fn a_server_cannot_loosen_a_limit(stage: &Stage) {
    let play = Play::start(stage, "limits");
    for limit in runtime_plan::limit::LimitName::ALL {
        let most = play.value(&format!("{} most", limit.name()));
        assert_eq!(most, "refused LimitOutOfRange", "{limit:?}");
    }
    assert!(play.heard(ALIVE), "{:#?}", play.said);
    play.end_well();
}

fn a_server_cannot_start_a_job_twice(stage: &Stage) {
    let play = Play::start(stage, "duplicates");
    assert_eq!(play.value("first"), "started");
    assert_eq!(play.value("second while it runs"), "refused DuplicateJob");
    assert_eq!(play.value("words kept"), "true", "a reason is cut to its bound");
    assert_eq!(play.value("third before it is acknowledged"), "refused DuplicateJob");
    assert_eq!(play.value("fourth"), "started");
    play.end_well();
}

fn a_server_cannot_start_more_jobs_than_the_policy_says(stage: &Stage) {
    let play = Play::start(stage, "flood");
    assert_eq!(play.value("accepted"), format!("{JOBS_RUNNING_MAX} of 10000"));
    play.end_well();
}

fn a_server_cannot_reach_jobs_that_are_not_there(stage: &Stage) {
    let play = Play::start(stage, "strangers");
    assert!(play.heard("victim: started"), "{:#?}", play.said);
    let victim = play.value("victim");
    assert!(
        victim.starts_with("Signalled { signal: 9, core_dumped: false") && victim.contains("a client asked"),
        "{victim}"
    );
    play.end_well();
}

fn a_server_cannot_fill_the_launchers_memory_or_stop_its_clock(stage: &Stage) {
    let play = Play::start(stage, "deaf");
    assert_eq!(play.value("was stopped"), "true", "the launcher took everything: {:#?}", play.said);
    let peak: u64 = play.value("peak_kib").parse().unwrap();
    assert!(peak <= LAUNCHER_PEAK_KIB_MAX, "{peak} KiB");
    let short = play.value("short");
    assert!(short.starts_with("Limit(LimitHit { limit: WallTime, allowed: 1500,"), "{short}");
    assert!(play.heard(ALIVE), "{:#?}", play.said);
    play.end_well();
}
