//! Starts that fail at each of their steps, and jobs that do not end: what a launcher says of them, and that nothing stays.

use crate::play::Play;
use runtime_tests::{Stage, descendants, eventually};
use std::{fs, path::PathBuf, thread};

crate::both!(
    a_start_cannot_leave_anything_whatever_act_outside_fails,
    a_start_cannot_leave_anything_whatever_step_inside_fails,
    a_struck_job_cannot_take_more_memory,
    a_signal_to_all_cannot_miss_a_process,
);

/// The acts of the launcher in a start (`launcher/faults.rs`).
const ACTS: [&str; 11] =
    ["filters", "group", "slot", "pipes", "trees", "socket", "birth", "maps", "score", "order", "watch"];
/// Steps of init and of the job's process (`inside/step.rs`).
const STEPS: u32 = 35;
/// Launchers at the same time.
const AT_ONCE: usize = 4;

/// A play that ends well has looked whether anything is left.
fn each(plays: Vec<Box<dyn Fn() + Send + Sync + '_>>) {
    for some in plays.chunks(AT_ONCE) {
        thread::scope(|scope| {
            for play in some {
                scope.spawn(play);
            }
        });
    }
}

fn a_start_cannot_leave_anything_whatever_act_outside_fails(stage: &Stage) {
    let play = |act: &'static str| {
        let play = Play::start_with(stage, &["one_start"], &[("RUNTIME_TEST_FAIL_AT", act)]);
        // Without a group of its own a job has no such act.
        let is_absent = act == "group" && stage.who() == runtime_tests::Who::User;
        let said = play.value("broken");
        assert!(is_absent || said == "refused HostResources", "{act}: {said}");
        play.end_well();
    };
    each(ACTS.into_iter().map(|act| Box::new(move || play(act)) as Box<dyn Fn() + Send + Sync>).collect());
}

fn a_start_cannot_leave_anything_whatever_step_inside_fails(stage: &Stage) {
    let play = |step: u32| {
        let play = Play::start_with(stage, &["one_start", &format!("launch-fails-at={step}")], &[]);
        let said = play.value("broken");
        let names_it = format!("index: {step}, steps: {STEPS}, errno: 5");
        assert!(said.contains("SpawnFailed") && said.contains(&names_it), "{step}: {said}");
        play.end_well();
    };
    each((1..=STEPS).map(|step| Box::new(move || play(step)) as Box<dyn Fn() + Send + Sync>).collect());
}

fn a_struck_job_cannot_take_more_memory(stage: &Stage) {
    let play = Play::start_with(stage, &["memory", "oom=2"], &[]);
    assert_eq!(play.value("spared"), "Exited { code: 0 }");
    let struck = play.value("struck");
    assert!(struck.starts_with("Limit(LimitHit { limit: Memory"), "{struck}");
    play.end_well();
}

fn a_signal_to_all_cannot_miss_a_process(stage: &Stage) {
    let play = Play::start(stage, "signals");
    assert_eq!(play.value("all false"), "leader");
    assert_eq!(play.value("all true"), "child child leader");
    let ended = play.value("family");
    assert!(ended.starts_with("Signalled { signal: 9"), "{ended}");
    play.end_well();
}

/// A group of the old freezer: what it holds ignores KILL, as a process does that waits for a disk.
struct Freezer(PathBuf);

impl Freezer {
    fn freeze(pids: &[u32]) -> Option<Freezer> {
        let place = PathBuf::from("/sys/fs/cgroup/freezer");
        if !place.join("tasks").exists() {
            return None;
        }
        let own = place.join(format!("runtime-test-{}", std::process::id()));
        fs::create_dir(&own).unwrap();
        let freezer = Freezer(own);
        for pid in pids {
            fs::write(freezer.0.join("cgroup.procs"), pid.to_string()).unwrap();
        }
        fs::write(freezer.0.join("freezer.state"), "FROZEN").unwrap();
        let is_frozen = || fs::read_to_string(freezer.0.join("freezer.state")).unwrap() == "FROZEN\n";
        eventually("they are frozen", is_frozen);
        Some(freezer)
    }

    fn thaw(&self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        // Also when the test fails: nothing frozen stays on the host.
        self.thaw();
        eventually("the group is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

mod a_job_that_does_not_end_delays_nobody {
    #[test]
    fn rootful() {
        let test = concat!(module_path!(), "::rootful");
        crate::play::as_whom(test, runtime_tests::Who::Root, super::a_job_that_does_not_end_delays_nobody);
    }
}

/// On a host without the old freezer there is no way to make such a process: the rest of the story holds there as well.
fn a_job_that_does_not_end_delays_nobody(stage: &Stage) {
    let mut play = Play::start(stage, "frozen");
    assert_eq!(play.value("frozen"), "started");
    let launcher = play.launcher();
    let inside: Vec<u32> = descendants(launcher.pid)
        .iter()
        .filter(|process| {
            fs::read_link(format!("/proc/{}/ns/pid", process.pid)).ok()
                != fs::read_link("/proc/self/ns/pid").ok()
        })
        .map(|process| process.pid)
        .collect();
    assert_eq!(inside.len(), 2, "init and the job");
    let freezer = Freezer::freeze(&inside);
    play.go_on();
    assert!(play.value("frozen").starts_with("Cancelled"), "{:#?}", play.said);
    assert!(play.heard("alive: finished Exited { code: 0 }"), "{:#?}", play.said);
    let left = play.value("left");
    assert_eq!(left.contains("does not end"), freezer.is_some(), "{left}");
    if let Some(freezer) = freezer {
        freezer.thaw();
        eventually("it is gone", || inside.iter().all(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()));
    }
    play.end_well();
}
