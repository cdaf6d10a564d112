//! Made-up trees: each is a directory with the files that discovery looks at.

use std::fs;
use std::path::Path;

use super::*;

const OWN_V1: &str = "9:name=systemd:/\n4:memory:/user/me\n3:cpu,cpuacct:/\n2:pids:/user/me\n0::/user/me\n";

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn names(facts: &Facts) -> Vec<&str> {
    facts.controllers.iter().map(String::as_str).collect()
}

/// Marks a group as handed over; not every file system under /tmp takes such a mark.
fn mark(path: &Path) -> bool {
    let set = |mark| rustix::fs::setxattr(path, mark, b"1", rustix::fs::XattrFlags::empty()).is_ok();
    DELEGATION_MARKS.into_iter().any(set)
}

#[test]
fn a_host_without_groups_says_so() {
    let root = tree(&[]);
    let facts = discover(root.path(), OWN_V1, true);
    assert_eq!((facts.version, facts.places.len()), (None, 0));
    assert!(facts.why_not.unwrap().contains("no control groups are mounted"));
}

#[test]
fn a_hybrid_host_as_root_uses_the_roots_of_all_trees() {
    let root = tree(&[
        ("memory/tasks", ""),
        ("memory/memory.memsw.limit_in_bytes", ""),
        ("pids/tasks", ""),
        ("cpu,cpuacct/tasks", ""),
        ("devices/tasks", ""),
        ("unified/cgroup.controllers", ""),
    ]);
    let facts = discover(root.path(), OWN_V1, true);
    assert_eq!(facts.version, Some(Version::Hybrid));
    assert_eq!(names(&facts), ["cpu", "cpuacct", "devices", "memory", "pids", "swap"]);
    assert_eq!(facts.places["memory"], root.path().join("memory"));
    assert_eq!(facts.places["cpu"], root.path().join("cpu,cpuacct"));
    assert_eq!((facts.delegated, facts.why_not.as_deref()), (false, None));
    // The unified tree comes first, and a tree with two controllers once.
    let directories = facts.instance_directories("one");
    assert_eq!(directories[0], root.path().join("unified/runtime/one"));
    assert_eq!(directories.len(), 5);
}

#[test]
fn a_v1_host_without_privilege_uses_its_own_groups_where_it_may() {
    let root = tree(&[
        ("memory/tasks", ""),
        ("memory/user/me/tasks", ""),
        ("pids/tasks", ""),
        ("devices/tasks", ""),
        ("devices/user/me/tasks", ""),
    ]);
    let own = format!("{OWN_V1}5:devices:/user/me\n");
    let facts = discover(root.path(), &own, false);
    assert_eq!(facts.version, Some(Version::V1));
    assert_eq!(names(&facts), ["memory"]);
    assert_eq!(facts.places["memory"], root.path().join("memory/user/me"));
    assert!(facts.delegated);
    assert!(facts.why_not.unwrap().starts_with("without pids, cpu, cpuacct, devices"));
}

#[test]
fn a_v2_host_as_root_uses_the_root_of_the_tree() {
    let root = tree(&[("cgroup.controllers", "cpuset cpu io memory pids\n"), ("user/me/cgroup.procs", "")]);
    let facts = discover(root.path(), "0::/user/me\n", true);
    assert_eq!(facts.version, Some(Version::V2));
    assert_eq!(names(&facts), ["cpu", "io", "memory", "pids", "swap"]);
    assert_eq!((facts.root.as_path(), facts.delegated), (root.path(), false));
    assert_eq!(facts.instance_directories("one"), [root.path().join("runtime/one")]);
}

#[test]
fn a_marked_group_is_preferred_also_from_inside_its_leaf() {
    let root = tree(&[
        ("cgroup.controllers", "cpu io memory pids\n"),
        ("unit/cgroup.controllers", "memory pids\n"),
        ("unit/supervisor/cgroup.procs", ""),
    ]);
    if !mark(&root.path().join("unit")) {
        return crate::in_child::skip("needs extended attributes on temporary files");
    }
    for own in ["0::/unit\n", "0::/unit/supervisor\n"] {
        let facts = discover(root.path(), own, true);
        assert_eq!(
            (facts.root.as_path(), facts.delegated),
            (root.path().join("unit").as_path(), true),
            "{own}"
        );
        assert_eq!(names(&facts), ["memory", "pids", "swap"]);
        assert!(facts.why_not.unwrap().contains("without cpu, io"));
    }
}

#[test]
fn the_root_of_a_namespace_is_a_group_that_must_be_emptied() {
    let root = tree(&[("cgroup.controllers", "memory pids\n"), ("cgroup.type", "domain\n")]);
    let facts = discover(root.path(), "0::/\n", true);
    assert_eq!((facts.root.as_path(), facts.delegated), (root.path(), true));
}

#[test]
fn without_privilege_only_a_whole_writable_group_will_do() {
    let files = [("cgroup.controllers", "memory pids\n"), ("unit/cgroup.controllers", "memory pids\n")];
    let governed = [("unit/cgroup.procs", ""), ("unit/cgroup.subtree_control", "")];
    let facts = discover(tree(&files).path(), "0::/unit\n", false);
    assert_eq!((facts.places.len(), facts.controllers.len()), (0, 0));
    assert!(facts.why_not.unwrap().contains("Delegate=yes"));
    let root = tree(&[files, governed].concat());
    let facts = discover(root.path(), "0::/unit\n", false);
    assert_eq!((facts.root.as_path(), facts.delegated), (root.path().join("unit").as_path(), true));
}

#[test]
fn a_group_outside_our_namespace_is_not_used() {
    let root = tree(&[
        ("cgroup.controllers", "memory pids\n"),
        ("cgroup.procs", ""),
        ("cgroup.subtree_control", ""),
    ]);
    let facts = discover(root.path(), "0::/../other\n", false);
    assert_eq!(facts.places.len(), 0);
    assert_eq!(facts.why_not.as_deref(), Some("our own group is not known"));
}
