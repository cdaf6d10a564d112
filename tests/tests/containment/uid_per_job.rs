//! A host uid per job: two jobs of one daemon that run at the same time never share one.

use crate::{facts::Facts, probes};
use runtime_tests::{Daemon, Stage, Who, skip};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

/// Tried below: it takes two jobs.
pub const PROBES: &[&[&str]] = &[&["E15.uid_shared"]];

/// A job that runs until it is killed, and its host uid.
struct Neighbour(Child, String);

impl Neighbour {
    fn start(daemon: &Daemon<'_>) -> Neighbour {
        let script = "cat /proc/self/uid_map; exec sleep 600";
        let mut command = daemon.client(&["run", "--", "sh", "-c", script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // `inside outside count`: the job's own id is 1000 inside.
        let maps = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let own = maps.take(2).find(|fields| fields[0] == "1000").expect("1000 is mapped");
        Neighbour(child, own[1].clone())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What the probe says of its host uid while a neighbour runs.
fn verdict(walls_off: &str) -> (String, String) {
    let stage = &Stage::new(Who::Root, probes::PROGRAMS);
    let daemon = Daemon::start(stage, &[] as &[&str], walls_off);
    let neighbour = Neighbour::start(&daemon);
    let mut facts = Facts::gather(stage);
    facts.env.retain(|(name, _)| name != "PROBE_HOST_UIDS");
    facts.env.push(("PROBE_HOST_UIDS".to_owned(), format!("0,{}", neighbour.1)));
    let request = probes::request(stage, &facts, &["E15.uid_shared"], "");
    let mut command = daemon.client(&["run"]);
    command.args(&request.args).stdin(File::open(stage.program("probe")).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    probes::verdicts(&String::from_utf8_lossy(&output.stdout))["E15.uid_shared"].clone()
}

#[test]
fn a_job_cannot_have_the_host_uid_of_its_neighbour() {
    let test = concat!(module_path!(), "::a_job_cannot_have_the_host_uid_of_its_neighbour");
    if let Some(reason) = Who::Root.missing() {
        return skip(test, reason);
    }
    let up = verdict("");
    assert_eq!(up.0, "contained", "{up:?}");
    let off = verdict("uid_per_job");
    assert_eq!(off.0, "breached", "{off:?}");
}
