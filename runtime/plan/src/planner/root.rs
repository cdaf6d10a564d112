//! What the root is made of, in order: a thing comes after what it lies in.

use super::{generated, refuse};
use crate::{
    facts::{HostFacts, HostPath},
    launch::{Identity, RootEntry, WorkspacePlan},
    link::{Refusal, RefusalReason},
    profile::{Profile, ProfileMount},
};

/// The entries. Fails when a path that the profile needs is not on this host.
pub(super) fn lay_out(
    profile: &Profile,
    facts: &HostFacts,
    workspace: &WorkspacePlan,
    identity: Identity,
) -> Result<Vec<RootEntry>, Refusal> {
    let mut entries = generated::directories();
    let mut mounts: Vec<&ProfileMount> = profile.mounts.iter().collect();
    // A parent sorts before what lies beneath it.
    mounts.sort_by(|a, b| a.target.split('/').cmp(b.target.split('/')));
    for mount in mounts {
        entries.extend(host_entry(mount, profile, facts)?);
    }
    entries.extend(generated::files(&profile.hostname, identity, home(profile)));
    entries.extend(generated::devices());
    if facts.proc_mount_refused.is_none() {
        entries.push(RootEntry::Proc);
    }
    let exec = profile.exec_from_writable;
    entries.push(match workspace {
        WorkspacePlan::Scratch => scratch("/workspace", "workspace", 0o755, exec),
        WorkspacePlan::HostDirectory { read_only, .. } => {
            RootEntry::HostDirectory { target: "/workspace".to_owned(), read_only: *read_only, exec }
        }
    });
    entries.push(scratch("/tmp", "tmp", 0o1777, exec));
    entries.push(scratch("/dev/shm", "shm", 0o1777, false));
    Ok(entries)
}

/// Where getpwuid(3) says that the job is at home: where the profile's HOME says it, if /etc/passwd can hold that.
fn home(profile: &Profile) -> &str {
    let home = profile.env.get("HOME").map(String::as_str);
    home.filter(|home| home.starts_with('/') && !home.contains([':', '\n'])).unwrap_or(super::WORKSPACE)
}

fn scratch(target: &str, part: &str, mode: u32, exec: bool) -> RootEntry {
    RootEntry::Scratch { target: target.to_owned(), part: part.to_owned(), mode, owned_by_job: true, exec }
}

/// One path of the host, as the kind of thing that it is there.
fn host_entry(
    mount: &ProfileMount,
    profile: &Profile,
    facts: &HostFacts,
) -> Result<Option<RootEntry>, Refusal> {
    let bind = |directory: bool, private: bool| RootEntry::Bind {
        source: mount.source.clone(),
        target: mount.target.clone(),
        directory,
        private,
        exec: mount.exec,
    };
    match facts.paths.get(&mount.source).unwrap_or(&HostPath::Missing) {
        HostPath::Directory { private } => Ok(Some(bind(true, *private))),
        HostPath::File { private } => Ok(Some(bind(false, *private))),
        HostPath::Symlink { target } if mount.source == mount.target => {
            Ok(Some(RootEntry::Symlink { target: mount.target.clone(), text: target.clone() }))
        }
        // Inside, its text would point elsewhere than on the host.
        HostPath::Symlink { target } => refuse(
            RefusalReason::HostResources,
            format!(
                "the profile `{}` mounts {} at {}, and that is a symbolic link to {target}: name the directory itself in the profile",
                profile.name, mount.source, mount.target
            ),
        ),
        HostPath::Missing if mount.optional => Ok(None),
        HostPath::Missing => refuse(
            RefusalReason::HostResources,
            format!(
                "the profile `{}` needs {}, which this host lacks: install it, or say optional = true for that mount",
                profile.name, mount.source
            ),
        ),
    }
}
