//! The ipc namespace: no System V object of another job, and none left for the next.

use crate::{facts::Facts, probes};
use runtime_tests::{Request, Stage, Who, skip};

crate::stories! {
    a_job_cannot_share_the_hosts_ipc => ["P01.ipc"],
}

/// Tried by the two-job story below.
pub const TWO_JOBS: &[&str] = &["R20.look_sysv"];

fn nothing_is_found(test: &str, who: Who) {
    if let Some(reason) = who.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(who, probes::PROGRAMS);
    let facts = Facts::gather(&stage);
    let planted = probes::run(&stage, &facts, &["R20.plant"], "");
    assert_eq!(planted["R20.plant"].0, "contained", "{planted:?}");
    for id in ["R20.look_sysv", "R20.look_files"] {
        let found = probes::run(&stage, &facts, &[id], "");
        assert_eq!(found[id].0, "contained", "{found:?}");
    }
}

#[test]
fn a_job_cannot_find_what_an_earlier_one_left_rootful() {
    nothing_is_found(
        concat!(module_path!(), "::a_job_cannot_find_what_an_earlier_one_left_rootful"),
        Who::Root,
    );
}

#[test]
fn a_job_cannot_find_what_an_earlier_one_left_rootless() {
    nothing_is_found(
        concat!(module_path!(), "::a_job_cannot_find_what_an_earlier_one_left_rootless"),
        Who::User,
    );
}

/// Both halves run without the wall: the second job finds the objects of the first. They are removed by a third.
#[test]
fn without_the_ipc_namespace_a_job_finds_system_v_objects_of_another() {
    let stage = Stage::new(Who::User, probes::PROGRAMS);
    let facts = Facts::gather(&stage);
    probes::run(&stage, &facts, &["R20.plant"], "ipc");
    let found = probes::run(&stage, &facts, &["R20.look_sysv"], "ipc");
    // Kinds that the filter refuses where polling bounds memory were not planted.
    let remove = "for kind in -M -Q -S; do ipcrm $kind 0x52323050; done; true";
    assert!(stage.run(&Request::new(["--", "sh", "-c", remove]).without("ipc")).status.success());
    let after = probes::run(&stage, &facts, &["R20.look_sysv"], "ipc");
    assert_eq!(after["R20.look_sysv"].0, "contained", "the host is clean again: {after:?}");
    assert_eq!(found["R20.look_sysv"].0, "breached", "{found:?}");
}
