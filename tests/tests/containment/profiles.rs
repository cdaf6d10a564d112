//! The other profiles: each is as tight as the default one, but for what it says that it loosens.

use crate::{
    facts::Facts,
    host,
    probes::{self, Probe},
};
use runtime_tests::{Stage, Who, skip};

/// What `debug` is for: a job may trace its own children, and have the memory layout that a debugger wants.
const LOOSENED_BY_DEBUG: &[&str] = &[
    "E38.ptrace_child",
    "E38.vm_readv_child",
    "E38.vm_writev_child",
    "E38.kcmp_child",
    "E38.pidfd_getfd_child",
    "E31.read_implies_exec",
    "E31.compat_layout",
    "E31.high",
    "E31.linux32",
];

/// Everything that is tried together is contained behind the profile, but for what it loosens.
fn holds(test: &str, who: Who, profile: &str, loosened: &[&str]) {
    if let Some(reason) = who.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(who, probes::PROGRAMS);
    let facts = Facts::gather(&stage);
    let tried = |probe: &&Probe| {
        probe.together && host::not_tried(probe, who).is_none() && !loosened.contains(&probe.id.as_str())
    };
    let ids: Vec<&str> = probes::list().values().filter(tried).map(|probe| probe.id.as_str()).collect();
    let mut request = probes::request(&stage, &facts, &ids, "");
    // What the profile gives on purpose: variables of its own. Its limits are its own too; the probes count to the default ones.
    let library = runtime_plan::library::Library::built_in().unwrap();
    let names: Vec<&str> = library.profile(profile).unwrap().env.keys().map(String::as_str).collect();
    let allowed = format!("PROBE_ENV_ALLOWED={}", names.join(","));
    let more = ["--profile", profile, "--limit", "files=1024", "--limit", "pids=256", "--env", &allowed];
    request.args.splice(0..0, more.map(Into::into));
    let output = stage.run(&request);
    assert!(output.status.success(), "{}", output.errors());
    let said = probes::verdicts(&output.text());
    let open: Vec<String> = ids.iter().filter_map(|id| probes::complaint(&said, id, "contained")).collect();
    assert!(open.is_empty(), "behind {profile}:\n{}", open.join("\n"));
}

macro_rules! profiles {
    ($($name:ident: $profile:literal, $loosened:expr;)+) => {
        $(mod $name {
            #[test]
            fn rootful() {
                super::holds(concat!(module_path!(), "::rootful"), runtime_tests::Who::Root, $profile, $loosened);
            }
            #[test]
            fn rootless() {
                super::holds(concat!(module_path!(), "::rootless"), runtime_tests::Who::User, $profile, $loosened);
            }
        })+
    };
}

profiles! {
    a_python_job_cannot_do_more: "python", &[];
    a_node_job_cannot_do_more: "node", &[];
    a_shell_job_cannot_do_more: "shell", &[];
    a_build_job_cannot_do_more: "build", &[];
    a_debug_job_can_trace_its_children_and_no_more: "debug", super::LOOSENED_BY_DEBUG;
}
