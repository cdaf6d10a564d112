//! The rights of the server's process. Root's server has a uid of its own and no capability; an ordinary user's has the
//! user's own uid, where only the server's own walls stand, which its crate tests.

use crate::play::{self, Play};
use runtime_tests::{Daemon, Stage, Who, children, cmdline};
use std::fs;

/// First host id of launchers.
const UID_BASE: u32 = 0x7000_0000;

#[test]
fn a_server_cannot_reach_the_launcher_its_jobs_or_files_of_root() {
    let test = concat!(module_path!(), "::a_server_cannot_reach_the_launcher_its_jobs_or_files_of_root");
    play::as_whom(test, Who::Root, reach);
}

fn reach(stage: &Stage) {
    let play = Play::start(stage, "reach");
    assert_eq!(play.value("neighbour"), "started");
    let reached: Vec<&String> = play.said.iter().filter(|line| line.contains("REACHED")).collect();
    let refused = play.said.iter().filter(|line| line.ends_with(": refused")).count();
    assert!(reached.is_empty(), "{reached:#?}");
    assert!(refused >= 20, "launcher, zygote, init and job were tried: {:#?}", play.said);
    let uid: u32 = play.value("exec runs as").parse().unwrap();
    assert!(uid >= UID_BASE, "uid {uid}");
    assert_eq!(play.value("Uid"), format!("{uid} {uid} {uid} {uid}"));
    assert_eq!(play.value("Gid"), format!("{uid} {uid} {uid} {uid}"));
    assert!(play.said.iter().any(|line| line == "Groups:"), "it has no groups: {:#?}", play.said);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(play.value(set), "0000000000000000", "{set}");
    }
    assert_eq!(play.value("NoNewPrivs"), "1");
    assert!(play.heard("alive: finished Exited { code: 0 }"));
    play.end_well();
}

/// The real server besides: its own walls stand on top of the launcher's.
fn the_real_server_cannot_do_without_its_walls(stage: &Stage) {
    let daemon = Daemon::start(stage, &[] as &[&str], "");
    let server = children(daemon.pid())
        .into_iter()
        .find(|child| cmdline(child.pid).iter().any(|argument| argument == "__server"))
        .expect("the server runs");
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid)).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let uid = if stage.who() == Who::Root { server.uid } else { stage.uid() };
    assert!(stage.who() == Who::User || uid >= UID_BASE, "uid {uid}");
    assert_eq!(field("Uid:"), format!("{uid} {uid} {uid} {uid}"));
    assert_eq!(field("Groups:"), "");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2", "it has a filter");
    // Every thread is behind it: the walls came before the first of them.
    for thread in fs::read_dir(format!("/proc/{}/task", server.pid)).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    }
}

crate::both!(the_real_server_cannot_do_without_its_walls);
