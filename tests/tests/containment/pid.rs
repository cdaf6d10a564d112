//! The pid namespace and the private /proc: a job sees its own processes and no other, and dies whole.

use crate::{facts::Facts, probes};
use runtime_tests::{Stage, Who, skip};

crate::stories! {
    a_job_cannot_see_other_processes => ["I01.cmdline", "I01.others", "I02", "P01.pid"],
}

/// Tried below: it ends its own job.
pub const ALONE: &[&str] = &["E39.kill_all"];

fn kills_only_itself(test: &str, who: Who) {
    if let Some(reason) = who.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(who, probes::PROGRAMS);
    let facts = Facts::gather(&stage);
    let mut bystander = stage.command("sleep").arg("600").spawn().unwrap();
    let output = stage.run(&probes::request(&stage, &facts, ALONE, ""));
    let alive = bystander.try_wait().unwrap().is_none();
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    assert!(alive, "a process outside was killed");
    assert!(!probes::verdicts(&output.text()).contains_key("E39.kill_all"), "{}", output.text());
    assert_eq!(output.report["outcome"]["signalled"]["signal"], 9, "{}", output.report);
}

#[test]
fn a_job_cannot_kill_anybody_but_itself_rootful() {
    kills_only_itself(concat!(module_path!(), "::a_job_cannot_kill_anybody_but_itself_rootful"), Who::Root);
}

#[test]
fn a_job_cannot_kill_anybody_but_itself_rootless() {
    kills_only_itself(concat!(module_path!(), "::a_job_cannot_kill_anybody_but_itself_rootless"), Who::User);
}
