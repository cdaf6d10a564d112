//! Plans for tests, as a rootful host with everything that a wall needs would have them.

use runtime_plan::{
    facts::{CgroupFacts, CgroupVersion, HostFacts, HostPath},
    launch::LaunchPlan,
    library::Library,
    limit::LimitRequest,
    planner,
    policy::Policy,
    spec::{Spec, StdinSource, UncheckedSpec, WorkspaceRequest},
    walls_off::WallsOff,
};

/// A command without stdin, terminal, variables or limits of its own.
pub fn spec() -> UncheckedSpec {
    UncheckedSpec {
        argv: vec![b"tool".to_vec(), b"x".to_vec()],
        env: Vec::new(),
        workdir: None,
        profile: "default".to_owned(),
        workspace: WorkspaceRequest::Scratch,
        stdin: StdinSource::Empty,
        terminal: None,
        user: None,
        group: None,
        limits: LimitRequest::default(),
    }
}

/// What would be done for it, with every wall.
pub fn plan(spec: UncheckedSpec) -> LaunchPlan {
    let library = Library::built_in().unwrap();
    let profile = library.profile(&spec.profile).unwrap();
    let directory = |path| (path, HostPath::Directory { private: false });
    let facts = HostFacts {
        rootful: true,
        kernel: "6.18.0".to_owned(),
        landlock_abi: 7,
        seccomp: true,
        cgroup: CgroupFacts {
            version: Some(CgroupVersion::V2),
            controllers: ["memory", "swap", "pids", "cpu", "io"].map(str::to_owned).to_vec(),
            why_not: None,
        },
        cpus: 2,
        paths: planner::host_paths(profile).into_iter().map(directory).collect(),
        ..HostFacts::default()
    };
    let spec = Spec::check(spec).unwrap();
    planner::plan(&spec, profile, &Policy::built_in().unwrap(), &facts, &WallsOff::none()).unwrap()
}
