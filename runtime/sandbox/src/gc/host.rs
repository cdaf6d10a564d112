//! Mounts, network namespaces and loop devices of the host that lie in directories of the dead.
//!
//! Launchers mount in the namespaces of their jobs only, so there is nothing as a rule. Below a state directory no mount is
//! touched: an operator may have put a disk there.

use super::{Found, Kind, View, instances::Known, remove::Target};
use crate::host::mounts;
use runtime_sys::loop_device;
use std::path::{Path, PathBuf};

/// The file system type of a namespace that is kept by a mount: nsfs of namespaces(7).
const NAMESPACE_KIND: &str = "nsfs";

/// Notes them.
pub fn find(view: &View<'_>, known: &Known, found: &mut Found) {
    let mut directories: Vec<(&str, PathBuf)> = Vec::new();
    for (name, path, owns) in &known.dead {
        let in_use =
            |state: &&PathBuf| known.living.iter().any(|owns| owns.state_dir.as_ref() == Some(state));
        let state = owns.state_dir.iter().filter(|state| !in_use(state));
        // /proc and /sys tell true paths.
        directories.extend(
            path.iter().chain(state).filter_map(|path| Some((name.as_str(), path.canonicalize().ok()?))),
        );
    }
    let owner = |path: &Path| {
        let mut owners = directories.iter().filter(|(_, directory)| path.starts_with(directory));
        owners.next().map(|(name, directory)| (*name, directory.as_path()))
    };
    if let Some(devices) = found.check(loop_device::attached(&view.host.path("/sys"))) {
        for device in devices {
            let Some((name, _)) = owner(&device.backing) else { continue };
            let path = view.host.path("/dev").join(&device.name);
            let what = format!("{} on {}", path.display(), device.backing.display());
            found.add(Kind::LoopDevice, what, (Some(name), None), Target::LoopDevice(path));
        }
    }
    let instances = view.run_dir.join("instances").canonicalize().ok();
    // Those that were mounted last first: they may lie on others.
    for mount in mounts::read(&view.host).into_iter().rev() {
        let Some((name, directory)) = owner(&mount.point) else { continue };
        if instances.as_deref().is_none_or(|instances| !directory.starts_with(instances)) {
            continue;
        }
        let kind = if mount.kind == NAMESPACE_KIND { Kind::NetworkNamespace } else { Kind::Mount };
        let what = format!("{} ({})", mount.point.display(), mount.kind);
        found.add(kind, what, (Some(name), None), Target::Mount(mount.point));
    }
}
