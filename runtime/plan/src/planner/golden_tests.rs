//! A golden plan per profile and launcher. A change of a profile, of a syscall set or of the planner shows here, line by line;
//! `INSTA_UPDATE=always cargo test -p runtime-plan` writes the files anew, and the difference is what a reviewer reads.

use super::tests::{debian, library, plan_for, request, rootless};
use crate::{
    facts::HostDirectory,
    facts::HostFacts,
    launch::LaunchPlan,
    spec::{StdinSource, Terminal, UncheckedSpec, WorkspaceRequest},
};

/// The plan as text. `to_json` shows no values of variables: the profile's own are added, for they are not secret.
fn golden(plan: &LaunchPlan) -> String {
    let env: Vec<_> = plan.command.env.iter().map(|variable| String::from_utf8_lossy(variable)).collect();
    format!("{}\nenv:\n{}\n", plan.to_json(), env.join("\n"))
}

#[test]
fn each_profile_has_the_plan_of_its_golden_file() {
    for profile in library().profiles() {
        for (host, facts) in [("root", debian()), ("user", rootless())] {
            let plan = plan_for(request(&profile.name), &facts).unwrap_or_else(|refusal| panic!("{refusal}"));
            insta::assert_snapshot!(format!("{}-{host}", profile.name), golden(&plan));
        }
    }
}

#[test]
fn a_job_in_a_directory_has_the_plan_of_its_golden_file() {
    let directory =
        HostDirectory { path: "/srv/project".into(), read_only: false, uid: 1000, gid: 1000, idmap: true };
    let spec = || UncheckedSpec {
        argv: vec![b"make".to_vec(), b"-j4".to_vec()],
        env: vec![(b"TERM".to_vec(), b"xterm".to_vec())],
        workdir: Some(b"/workspace/src".to_vec()),
        workspace: WorkspaceRequest::HostDirectory,
        stdin: StdinSource::File(b"/workspace/input".to_vec()),
        ..request("build")
    };
    for (host, facts) in [("root", debian()), ("user", rootless())] {
        let facts = HostFacts { host_directory: Some(directory.clone()), ..facts };
        let plan = plan_for(spec(), &facts).unwrap_or_else(|refusal| panic!("{refusal}"));
        insta::assert_snapshot!(format!("directory-{host}"), golden(&plan));
    }
}

#[test]
fn a_job_with_a_terminal_and_a_user_has_the_plan_of_its_golden_file() {
    let spec = || UncheckedSpec {
        argv: vec![b"bash".to_vec(), b"-i".to_vec()],
        stdin: StdinSource::Stream,
        terminal: Some(Terminal { rows: 24, columns: 80, term: "xterm-256color".to_owned() }),
        user: Some(33),
        group: Some(44),
        ..request("shell")
    };
    for (host, facts) in [("root", debian()), ("user", rootless())] {
        let plan = plan_for(spec(), &facts).unwrap_or_else(|refusal| panic!("{refusal}"));
        insta::assert_snapshot!(format!("terminal-{host}"), golden(&plan));
    }
}
