//! What the host offers, gathered once at the launcher's start into the planner's facts.
//!
//! It owns the reading: small files of /proc, lstat of the paths that profiles name, and, for a directory
//! of the caller's own, one attempt of an id map. It must not decide anything, and must stay quick, for an
//! embedded run pays for it each time: attempts that need a child in namespaces are in [`attempt`], which
//! the doctor makes; without one, a refusal shows as the failed step of the first job.

pub mod attempt;
pub mod identity;
pub mod idmap;
pub mod mounts;
pub mod paths;
pub mod root;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::Path;

use runtime_plan::facts::{CgroupFacts, CgroupVersion, HostDirectory, HostFacts, HostPath};
use runtime_sys::cgroup;
use runtime_sys::clone::SingleThreaded;

use attempt::{Attempt, Step};
use identity::Identity;
use root::HostRoot;

/// A fact that could not be gathered.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// `/proc/self/status` is unreadable or not as documented: /proc is not mounted, or is somebody's fake.
    #[error("failed to read who we are from /proc/self/status: mount /proc")]
    Identity,
    /// lstat(2) of a path of a profile.
    #[error("failed to look at {path}: {source}")]
    Path {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// How many processors we may use.
    #[error("failed to count processors: {source}")]
    Processors {
        /// Why.
        source: runtime_sys::Error,
    },
    /// A child would not be safe to make.
    #[error("failed to make sure that this process has one thread: {source}")]
    Threads {
        /// Why.
        source: runtime_sys::Error,
    },
    /// The attempt of an id map.
    #[error("failed to try an id map: {source}")]
    Idmap {
        /// Why.
        source: runtime_sys::Error,
    },
    /// The attempt of namespaces.
    #[error("failed to try namespaces: {source}")]
    Attempt {
        /// Why.
        source: runtime_sys::Error,
    },
    /// The child of an attempt ended without a word.
    #[error("failed to try namespaces: the child ended without a report")]
    NoReport,
}

/// The directory of `--dir`, opened with the caller's rights.
#[derive(Debug, Clone, Copy)]
pub struct Directory<'a> {
    /// The directory itself (`O_PATH` will do).
    pub fd: BorrowedFd<'a>,
    /// Its path, for people.
    pub path: &'a Path,
    /// Mounted read-only.
    pub read_only: bool,
}

/// Gathers the facts. `paths` are the absolute host paths that profiles name; `cgroup` is what
/// [`cgroup::discover`] found; `slot` is any host id of the jobs' range.
///
/// # Errors
/// Of what must be known: who we are, the processors, each path. What a host does not have is a fact.
pub fn gather(
    root: &HostRoot,
    paths: &[String],
    directory: Option<Directory<'_>>,
    cgroup: &cgroup::Facts,
    slot: u32,
) -> Result<HostFacts, HostError> {
    let identity = Identity::read(root).ok_or(HostError::Identity)?;
    let cpus = runtime_sys::process::allowed_cpus().map_err(|source| HostError::Processors { source })?;
    let host_directory = directory.map(|directory| host_directory(&identity, directory, slot)).transpose()?;
    Ok(HostFacts {
        rootful: identity.rootful(),
        kernel: root.line("/proc/sys/kernel/osrelease").unwrap_or_default(),
        landlock_abi: runtime_sys::landlock::abi().unsigned_abs(),
        seccomp: root.exists("/proc/sys/kernel/seccomp/actions_avail"),
        cgroup: cgroup_facts(cgroup),
        proc_mount_refused: None,
        user_namespaces_refused: refused_by_setting(root, identity.rootful()),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        paths: look_at_all(root, paths)?,
        host_directory,
    })
}

/// What the planner has to know of the cgroup search. A hierarchy in which we may make no group is none.
fn cgroup_facts(found: &cgroup::Facts) -> CgroupFacts {
    let version = found.version.filter(|_| !found.places.is_empty()).map(|version| match version {
        cgroup::Version::V1 => CgroupVersion::V1,
        cgroup::Version::Hybrid => CgroupVersion::Hybrid,
        cgroup::Version::V2 => CgroupVersion::V2,
    });
    CgroupFacts {
        version,
        controllers: found.controllers.iter().cloned().collect(),
        why_not: found.why_not.clone(),
    }
}

/// Adds what an attempt found to the facts.
pub fn add_attempt(facts: &mut HostFacts, attempt: Attempt) {
    let Attempt::Refused { step, errno } = attempt else { return };
    let refused = format!("{} answers {errno}", step.name());
    match step {
        Step::Proc => facts.proc_mount_refused = Some(refused),
        _ => facts.user_namespaces_refused = Some(refused),
    }
}

/// What lies at each of these absolute paths now.
///
/// # Errors
/// Of the first that cannot be looked at; one that is not there is a fact.
pub fn look_at_all(root: &HostRoot, paths: &[String]) -> Result<BTreeMap<String, HostPath>, HostError> {
    let look = |path: &String| match paths::look(root, path) {
        Ok(found) => Ok((path.clone(), found)),
        Err(source) => Err(HostError::Path { path: path.clone(), source }),
    };
    paths.iter().map(look).collect()
}

/// What the job makes there belongs to the caller: the real ids of this process.
fn host_directory(
    identity: &Identity,
    directory: Directory<'_>,
    slot: u32,
) -> Result<HostDirectory, HostError> {
    let path = directory.path.to_string_lossy().into_owned();
    let read_only = directory.read_only;
    if !identity.rootful() {
        // The caller's own id is the one that the job has on the host: no map is needed.
        return Ok(HostDirectory { path, read_only, uid: identity.uid, gid: identity.gid, idmap: false });
    }
    // Root that runs a job in a user's directory wants it to work there as that user, not to be shut out of it as a
    // stranger: an id map has room for one owner.
    let owner = runtime_sys::file::stat_fd(directory.fd).map_err(|source| HostError::Idmap { source })?;
    let proof = SingleThreaded::prove().map_err(|source| HostError::Threads { source })?;
    let idmap = idmap::works(&proof, directory.fd, owner.uid, slot)?;
    Ok(HostDirectory { path, read_only, uid: owner.uid, gid: owner.gid, idmap })
}

/// Refusals that a setting tells without an attempt.
fn refused_by_setting(root: &HostRoot, rootful: bool) -> Option<String> {
    if !root.exists("/proc/self/ns/user") {
        return Some("the kernel has no user namespaces".into());
    }
    if root.number("/proc/sys/user/max_user_namespaces") == Some(0) {
        return Some("user.max_user_namespaces is 0".into());
    }
    // A Debian switch; it does not hold for those who have CAP_SYS_ADMIN.
    let refused = !rootful && root.number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0);
    refused.then(|| "kernel.unprivileged_userns_clone is 0".into())
}

#[cfg(test)]
mod tests {
    use super::root::tree::Tree;
    use super::*;
    use runtime_sys::Errno;

    const USER: &str = "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t\nCapEff:\t0\n";
    const ROOT: &str = "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\nCapEff:\t1ffffffffff\n";

    fn facts(status: &str, more: &[(&str, &str)]) -> Result<HostFacts, HostError> {
        let mut files =
            vec![("/proc/self/status", status), ("/proc/self/ns/user", ""), ("/usr/bin/tool", "x")];
        files.extend(more);
        let tree = Tree::new(&files);
        let paths = ["/usr/bin/tool", "/opt"].map(String::from);
        let cgroups = cgroup::discover(&tree.root().path("/sys/fs/cgroup"), "0::/\n", true);
        gather(&tree.root(), &paths, None, &cgroups, 0x7000_0000)
    }

    #[test]
    fn facts_come_from_the_tree() {
        let more = [
            ("/proc/sys/kernel/osrelease", "6.1.0-1-amd64\n"),
            ("/proc/sys/kernel/seccomp/actions_avail", "allow"),
        ];
        let facts = facts(ROOT, &more).unwrap();
        assert!(facts.rootful && facts.seccomp && facts.cpus > 0);
        assert_eq!(facts.kernel, "6.1.0-1-amd64");
        assert_eq!(facts.paths["/opt"], HostPath::Missing);
        assert!(matches!(facts.paths["/usr/bin/tool"], HostPath::File { .. }));
        assert_eq!(facts.user_namespaces_refused, None);
        assert_eq!(facts.cgroup.version, None);
        assert!(facts.cgroup.why_not.unwrap().starts_with("no control groups"));
    }

    #[test]
    fn settings_that_refuse_user_namespaces_are_told_to_whom_they_hold() {
        let none = [("/proc/sys/user/max_user_namespaces", "0\n")];
        assert!(facts(ROOT, &none).unwrap().user_namespaces_refused.unwrap().contains("max_user_namespaces"));
        let debian = [("/proc/sys/kernel/unprivileged_userns_clone", "0\n")];
        assert!(facts(USER, &debian).unwrap().user_namespaces_refused.is_some());
        assert_eq!(facts(ROOT, &debian).unwrap().user_namespaces_refused, None);
    }

    #[test]
    fn a_hierarchy_without_a_place_for_us_is_none() {
        let places = BTreeMap::from([("unified".to_owned(), "/sys/fs/cgroup".into())]);
        let mut found = cgroup::Facts {
            version: Some(cgroup::Version::V2),
            root: "/sys/fs/cgroup".into(),
            places,
            controllers: ["pids".to_owned(), "memory".to_owned()].into(),
            delegated: false,
            why_not: None,
        };
        let facts = cgroup_facts(&found);
        assert_eq!(
            (facts.version, facts.controllers.join(" ")),
            (Some(CgroupVersion::V2), "memory pids".into())
        );
        found.places.clear();
        assert_eq!(cgroup_facts(&found).version, None);
    }

    #[test]
    fn without_proc_there_are_no_facts() {
        assert!(matches!(facts("", &[]), Err(HostError::Identity)));
    }

    #[test]
    fn an_attempt_tells_proc_from_the_rest() {
        let mut facts = HostFacts::default();
        add_attempt(&mut facts, Attempt::Works);
        assert_eq!(facts, HostFacts::default());
        add_attempt(&mut facts, Attempt::Refused { step: Step::Proc, errno: Errno::EPERM });
        assert_eq!(facts.user_namespaces_refused, None);
        let seen = facts.proc_mount_refused.clone().unwrap();
        assert_eq!(seen, "mounting a private /proc answers EPERM (Operation not permitted)");
        add_attempt(&mut facts, Attempt::Refused { step: Step::Private, errno: Errno::EACCES });
        assert!(facts.user_namespaces_refused.is_some());
    }
}
