//! A job with a terminal of its own has no way out that a job with pipes has not.

use crate::{
    facts::Facts,
    probes::{self, PROGRAMS, complaint},
};
use runtime_tests::{Stage, Typist, Who, skip};
use std::fs;

/// Terminals, streams, and what is reached through other processes.
const TRIED: [&str; 8] = ["E30", "R13", "E02.fds", "L04", "L05", "E38", "I01", "I02"];

fn a_job_with_a_terminal_cannot_get_out_by_it(test: &str, who: Who) {
    if let Some(reason) = who.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(who, PROGRAMS);
    let facts = Facts::gather(&stage);
    let program = fs::read(stage.program("probe")).unwrap();
    let ids: Vec<String> =
        probes::chosen(&TRIED).into_iter().filter(|probe| probe.together).map(|p| p.id).collect();
    // The probe comes through the terminal, which hands on every byte as it is when it is raw.
    let script = format!(
        "stty raw -echo; echo ready; head -c {} >/tmp/probe; stty sane -echo; chmod 755 /tmp/probe; exec /tmp/probe \"$@\"",
        program.len()
    );
    let variables: Vec<String> =
        facts.env.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
    let mut args: Vec<&str> = variables.iter().map(String::as_str).collect();
    args.extend(["--workdir", "/tmp", "--limit", "scratch=32MiB", "--", "sh", "-c", &script, "sh"]);
    args.extend(ids.iter().map(String::as_str));
    let mut typist = match Typist::start(&stage, (24, 80), &args) {
        Ok(typist) => typist,
        Err(reason) => return skip(test, &reason),
    };
    typist.until("ready");
    typist.keys(program);
    let (printed, status) = typist.end();
    assert_eq!(status, Some(0), "{printed}");
    let said = probes::verdicts(&printed);
    let open: Vec<String> = ids.iter().filter_map(|id| complaint(&said, id, "contained")).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[test]
fn a_job_with_a_terminal_cannot_get_out_by_it_rootful() {
    let test = concat!(module_path!(), "::a_job_with_a_terminal_cannot_get_out_by_it_rootful");
    a_job_with_a_terminal_cannot_get_out_by_it(test, Who::Root);
}

#[test]
fn a_job_with_a_terminal_cannot_get_out_by_it_rootless() {
    let test = concat!(module_path!(), "::a_job_with_a_terminal_cannot_get_out_by_it_rootless");
    a_job_with_a_terminal_cannot_get_out_by_it(test, Who::User);
}
