//! The cgroup: memory and processes of the whole tree.

use crate::{facts::Facts, probes};
use runtime_tests::{Output, Request, Stage, Who, skip};

crate::stories! {
    a_job_cannot_fork_without_end => ["R01"],
}

/// Tried below: each ends its own job.
pub const ALONE: &[&str] = &["R05.memory", "R06.memfd", "R06.sysv"];

fn bomb(stage: &Stage, facts: &Facts, id: &str, walls_off: &str) -> Output {
    let mut request = probes::request(stage, facts, &[id], walls_off);
    let more = ["--limit", "memory=64MiB", "--limit", "swap=0MiB", "--env", "PROBE_MEMORY_BYTES=201326592"];
    request.args.splice(0..0, more.map(Into::into));
    stage.run(&Request { ..request })
}

fn memory_ends_the_job(test: &str, who: Who) {
    if let Some(reason) = who.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(who, probes::PROGRAMS);
    let facts = Facts::gather(&stage);
    for id in ALONE {
        let output = bomb(&stage, &facts, id, "");
        let said = probes::verdicts(&output.text());
        let refused = said.get(*id).is_some_and(|(verdict, _)| verdict == "contained");
        let limit = &output.report["outcome"]["limit"]["limit"];
        assert!(
            refused || limit == "memory",
            "{id}: {said:?} {} {}",
            output.report["outcome"],
            output.errors()
        );
    }
}

#[test]
fn a_job_cannot_eat_the_hosts_memory_rootful() {
    memory_ends_the_job(concat!(module_path!(), "::a_job_cannot_eat_the_hosts_memory_rootful"), Who::Root);
}

#[test]
fn a_job_cannot_eat_the_hosts_memory_rootless() {
    memory_ends_the_job(concat!(module_path!(), "::a_job_cannot_eat_the_hosts_memory_rootless"), Who::User);
}

/// Memory of a memfd is in no process: neither a limit of the process nor polling sees it. The cgroup holds it, and without
/// one the filter refuses to make a memfd.
#[test]
fn without_the_cgroup_and_the_filter_a_job_eats_memory_in_a_memfd() {
    let test = concat!(module_path!(), "::without_the_cgroup_and_the_filter_a_job_eats_memory_in_a_memfd");
    if let Some(reason) = Who::Root.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(Who::Root, probes::PROGRAMS);
    let facts = Facts::gather(&stage);
    let output = bomb(&stage, &facts, "R06.memfd", "cgroup,seccomp");
    let said = probes::verdicts(&output.text());
    assert_eq!(
        said.get("R06.memfd").map(|(verdict, _)| verdict.as_str()),
        Some("breached"),
        "{said:?} {}",
        output.errors()
    );
}
