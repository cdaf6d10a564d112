//! What kind of control groups this host has, and where we may make ours.
//!
//! It reads a root directory and the text of /proc/self/cgroup, so that a made-up tree tests it. It must
//! not make or change anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::OURS;
use super::directory::read_optional;

/// The v1 controllers that are used, and the name under which the unified tree goes in [`Facts::places`].
const V1_CONTROLLERS: [&str; 5] = ["memory", "pids", "cpu", "cpuacct", "devices"];
const V2_CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "io"];
/// The key of the unified tree in [`Facts::places`].
pub(super) const UNIFIED: &str = "unified";
/// The leaf of a delegated group that our own processes are moved into.
pub(super) const LEAF: &str = "supervisor";
/// Marks of a group that is handed to whoever runs in it, as systemd sets them for `Delegate=yes`.
const DELEGATION_MARKS: [&str; 2] = ["trusted.delegate", "user.delegate"];

/// The generation of control groups.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// A tree for each controller and no unified one.
    V1,
    /// Controllers as in v1, and a unified tree without controllers beside them.
    Hybrid,
    /// One tree.
    V2,
}

/// What this host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The generation; none when there is no tree at all.
    pub version: Option<Version>,
    /// v1 and hybrid: the directory with the trees. v2: the parent of our `runtime`.
    pub root: PathBuf,
    /// Where `runtime` goes: by controller on v1, under `unified` for the unified tree and for v2. Empty
    /// when we may not make groups.
    pub places: BTreeMap<String, PathBuf>,
    /// What we can limit: names of controllers, and `swap` where swap can be limited.
    pub controllers: BTreeSet<String>,
    /// Whether the place is a group that was handed to us, rather than the root of a tree.
    pub delegated: bool,
    /// In words, what is missing and why.
    pub why_not: Option<String>,
}

impl Facts {
    fn nothing(version: Option<Version>, root: &Path, why_not: String) -> Facts {
        Facts {
            version,
            root: root.to_path_buf(),
            places: BTreeMap::new(),
            controllers: BTreeSet::new(),
            delegated: false,
            why_not: Some(why_not),
        }
    }

    /// Where an instance's directories are or would be, with their trees, the unified tree first: only there is a kill of
    /// a whole group.
    pub(super) fn instance_trees(&self, instance_name: &str) -> Vec<(&str, PathBuf)> {
        let unified = self.places.get_key_value(UNIFIED);
        let others = self.places.iter().filter(|(name, _)| *name != UNIFIED);
        let trees = unified.into_iter().chain(others);
        trees.map(|(name, place)| (name.as_str(), place.join(OURS).join(instance_name))).collect()
    }

    /// The same without the trees, each once.
    pub(super) fn instance_directories(&self, instance_name: &str) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let directories = self.instance_trees(instance_name).into_iter().map(|(_, directory)| directory);
        directories.filter(|directory| seen.insert(directory.clone())).collect()
    }
}

/// Finds out. `cgroup_root` is /sys/fs/cgroup, `own` the text of /proc/self/cgroup; `rootful` says that we
/// have the privileges to make groups wherever a tree is writable.
pub fn discover(cgroup_root: &Path, own: &str, rootful: bool) -> Facts {
    if cgroup_root.join("cgroup.controllers").exists() {
        return discover_v2(cgroup_root, own, rootful);
    }
    let unified = cgroup_root.join(UNIFIED);
    let version = if unified.join("cgroup.controllers").exists() { Version::Hybrid } else { Version::V1 };
    discover_v1(cgroup_root, own, rootful, version)
}

fn discover_v1(root: &Path, own: &str, rootful: bool, version: Version) -> Facts {
    let mut places = BTreeMap::new();
    let mut mounted = false;
    for controller in V1_CONTROLLERS {
        let Some(tree) = find_tree(root, controller) else { continue };
        mounted = true;
        // Opening a device is the launcher's privilege to refuse: the kernel wants CAP_SYS_ADMIN for it.
        let place = if rootful {
            Some(tree)
        } else {
            own_group(own, controller).filter(|_| controller != "devices").map(|path| below(&tree, path))
        };
        if let Some(place) = place.filter(|place| writable(place) && place.join("tasks").exists()) {
            places.insert(controller.to_owned(), place);
        }
    }
    if !mounted && version == Version::V1 {
        return Facts::nothing(None, root, format!("no control groups are mounted at {}", root.display()));
    }
    let mut controllers: BTreeSet<String> = places.keys().cloned().collect();
    if places.get("memory").is_some_and(|place| place.join("memory.memsw.limit_in_bytes").exists()) {
        controllers.insert("swap".to_owned());
    }
    if version == Version::Hybrid {
        let tree = root.join(UNIFIED);
        let place = if rootful { Some(tree) } else { own_group(own, "").map(|path| below(&tree, path)) };
        if let Some(place) = place.filter(|place| writable(place)) {
            places.insert(UNIFIED.to_owned(), place);
        }
    }
    let missing: Vec<&str> = V1_CONTROLLERS.into_iter().filter(|name| !controllers.contains(*name)).collect();
    let why_not = (!missing.is_empty()).then(|| {
        let reason =
            if rootful { "not mounted or read-only" } else { "our own group is not writable for us" };
        format!("without {}: {reason}", missing.join(", "))
    });
    Facts {
        version: Some(version),
        root: root.to_path_buf(),
        places,
        controllers,
        delegated: !rootful,
        why_not,
    }
}

fn discover_v2(root: &Path, own: &str, rootful: bool) -> Facts {
    let version = Some(Version::V2);
    let Some(path) = own_group(own, "") else {
        return Facts::nothing(version, root, "our own group is not known".to_owned());
    };
    let here = below(root, path);
    // An earlier run of ours may have moved us into the leaf of a group that was handed to us.
    let above = here.parent().filter(|_| here.file_name().is_some_and(|name| name == LEAF) && here != root);
    let handed = |group: &Path| if rootful { is_marked(group) } else { is_writable_group(group) };
    let own_place = above.into_iter().chain([here.as_path()]).find(|group| handed(group));
    // The root of a cgroup namespace is a group like any other: it has a type, which the true root has not.
    let namespace_root = root.join("cgroup.type").exists();
    let (place, delegated) = match own_place {
        Some(group) => (group.to_path_buf(), true),
        None if rootful => (root.to_path_buf(), namespace_root),
        None => {
            return Facts::nothing(
                version,
                root,
                format!("{} is not writable for us (Delegate=yes)", here.display()),
            );
        }
    };
    if !writable(&place) {
        return Facts::nothing(version, root, format!("{} is read-only", place.display()));
    }
    let listed = read_optional(&place.join("cgroup.controllers")).ok().flatten().unwrap_or_default();
    let mut controllers: BTreeSet<String> =
        listed.split_whitespace().filter(|name| V2_CONTROLLERS.contains(name)).map(str::to_owned).collect();
    let missing: Vec<&str> = V2_CONTROLLERS.into_iter().filter(|name| !controllers.contains(*name)).collect();
    let why_not = (!missing.is_empty())
        .then(|| format!("without {}: not in cgroup.controllers of {}", missing.join(", "), place.display()));
    if controllers.contains("memory") {
        controllers.insert("swap".to_owned());
    }
    let places = BTreeMap::from([(UNIFIED.to_owned(), place.clone())]);
    Facts { version, root: place, places, controllers, delegated, why_not }
}

/// The tree of a v1 controller: `memory`, or a name with commas such as `cpu,cpuacct`.
fn find_tree(root: &Path, controller: &str) -> Option<PathBuf> {
    let plain = root.join(controller);
    if plain.join("tasks").exists() {
        return Some(plain);
    }
    let named = |name: &str| name.contains(',') && name.split(',').any(|part| part == controller);
    fs::read_dir(root)
        .ok()?
        .filter_map(std::result::Result::ok)
        .find(|entry| entry.file_name().to_str().is_some_and(named))
        .map(|entry| entry.path())
        .filter(|tree| tree.join("tasks").exists())
}

/// The path behind a controller in /proc/self/cgroup; the unified tree has none.
fn own_group<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let here = if controller.is_empty() {
            id == "0" && controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == controller)
        };
        // A group outside our cgroup namespace shows as /.. and is out of reach.
        (here && !path.split('/').any(|part| part == "..")).then_some(path)
    })
}

fn below(tree: &Path, path: &str) -> PathBuf {
    let relative = path.trim_start_matches('/');
    if relative.is_empty() { tree.to_path_buf() } else { tree.join(relative) }
}

fn writable(path: &Path) -> bool {
    access(path, AccessFlags::W_OK).is_ok()
}

/// What cgroups(7) asks of a delegated group: the directory, and the two files that govern it.
fn is_writable_group(group: &Path) -> bool {
    ["", "cgroup.procs", "cgroup.subtree_control"].iter().all(|name| writable(&group.join(name)))
}

fn is_marked(group: &Path) -> bool {
    DELEGATION_MARKS.iter().any(|mark| {
        let mut value = [0_u8; 8];
        rustix::fs::getxattr(group, *mark, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

#[cfg(test)]
#[path = "discover/tests.rs"]
mod tests;
