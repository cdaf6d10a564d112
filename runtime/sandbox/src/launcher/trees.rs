//! The trees that only the launcher can open for a job: host paths that other users may not reach, and the directory that
//! the caller of an embedded run gave.

use crate::launcher::{Launcher, places::Slot, start::no_resources};
use runtime_plan::{
    launch::{LaunchPlan, RootEntry, WorkspacePlan},
    link::{Refusal, RefusalReason},
};
use runtime_sys::{
    Errno, Error,
    mount::{self, Attrs},
    userns::{self, IdMap},
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
};

impl Launcher {
    /// Trees that only the launcher can open: what other users may not reach, and the caller's own directory.
    #[expect(
        clippy::type_complexity,
        reason = "trees by entry, and the paths of those that init opens again"
    )]
    pub fn open_trees(
        &self,
        plan: &LaunchPlan,
        slot: Option<Slot>,
    ) -> Result<(BTreeMap<usize, OwnedFd>, BTreeMap<usize, String>), Refusal> {
        let mut trees = BTreeMap::new();
        let mut reopened = BTreeMap::new();
        for (item, entry) in plan.root.iter().enumerate() {
            match entry {
                RootEntry::Bind { source, private: true, exec, .. } => {
                    let tree = open_private(source, *exec).map_err(|error| Refusal {
                        reason: RefusalReason::HostResources,
                        message: format!(
                            "failed to open {source} for the job: {error}; correct the profile's mount"
                        ),
                    })?;
                    trees.insert(item, tree);
                }
                RootEntry::HostDirectory { read_only, exec, .. } => {
                    let Some(directory) = &self.directory else { continue };
                    let tree = if self.facts.rootful {
                        self.open_directory(plan, slot, *read_only, *exec)
                            .map_err(no_resources("mount the directory of --dir"))?
                    } else {
                        reopened.insert(item, directory.path.to_string_lossy().into_owned());
                        directory.fd.try_clone().map_err(|error| {
                            no_resources("mount the directory of --dir")(Error {
                                act: "duplicate",
                                errno: Errno(error.raw_os_error().unwrap_or(0)),
                            })
                        })?
                    };
                    trees.insert(item, tree);
                }
                _ => {}
            }
        }
        Ok((trees, reopened))
    }

    /// The caller's directory, seen by the job as its own, while on disk everything in it stays the caller's.
    fn open_directory(
        &self,
        plan: &LaunchPlan,
        slot: Option<Slot>,
        read_only: bool,
        exec: bool,
    ) -> Result<OwnedFd, Error> {
        let Some(directory) = &self.directory else {
            return Err(Error { act: "a directory that was not given", errno: Errno::EBADF });
        };
        // Without what is mounted below: an id map must be possible on every mount of the tree.
        let tree = mount::clone_tree(directory.fd.as_fd(), c"", false)?;
        let attrs = Attrs { read_only, nosuid: true, nodev: true, noexec: !exec, ..Attrs::default() };
        mount::set_attrs(tree.as_fd(), false, attrs)?;
        if let WorkspacePlan::HostDirectory { uid, gid, idmap: true, .. } = plan.workspace
            && let Some(slot) = slot
        {
            let map = |inside| [IdMap { inside, outside: slot.job(), count: 1 }];
            let namespace = userns::mapping_namespace(&self.proof, &map(uid), &map(gid))?;
            mount::set_idmap(tree.as_fd(), namespace.as_fd())?;
        }
        Ok(tree)
    }
}

fn open_private(source: &str, exec: bool) -> Result<OwnedFd, Error> {
    let path = CString::new(source).map_err(|_nul| Error { act: "path with NUL", errno: Errno::EINVAL })?;
    let opened = mount::open_path(None, &path, false)?;
    let tree = mount::clone_tree(opened.as_fd(), c"", true)?;
    let attrs = Attrs { read_only: true, nosuid: true, nodev: true, noexec: !exec, ..Attrs::default() };
    mount::set_attrs(tree.as_fd(), true, attrs)?;
    Ok(tree)
}
