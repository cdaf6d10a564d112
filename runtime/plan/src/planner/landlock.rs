//! Landlock: what is granted beneath which path inside (landlock(7)). It repeats what mounts already say, from another part
//! of the kernel: a hole in one is not a hole in both.

use super::{generated::DEVICES, walls::Walls};
use crate::{
    facts::HostFacts,
    launch::{LandlockAccess, LandlockPlan, RootEntry},
    profile::Profile,
    wall::Wall,
};

/// First ABI with scopes for signals and abstract sockets (Linux 6.12).
const ABI_SCOPES: u32 = 6;
/// First ABI with TCP rules (Linux 6.7).
const ABI_TCP: u32 = 4;

/// The rules.
///
/// A rule grants beneath its path whatever other rules grant further down, so the root's own must be the least: with
/// execution granted there, /dev/shm had it too.
pub(super) fn rules(profile: &Profile, facts: &HostFacts, walls: &Walls, root: &[RootEntry]) -> LandlockPlan {
    let stands = walls.stand.contains_key(&Wall::Landlock);
    let writable = match profile.exec_from_writable {
        true => LandlockAccess::ReadWriteExecute,
        false => LandlockAccess::ReadWrite,
    };
    let mut rules = vec![
        ("/".to_owned(), LandlockAccess::Read),
        ("/workspace".to_owned(), writable),
        ("/tmp".to_owned(), writable),
        ("/dev/shm".to_owned(), LandlockAccess::ReadWrite),
        ("/dev/pts".to_owned(), LandlockAccess::Terminal),
    ];
    rules.extend(root.iter().filter_map(|entry| match entry {
        RootEntry::Bind { target, exec: true, .. } => Some((target.clone(), LandlockAccess::ReadExecute)),
        _ => None,
    }));
    rules.extend(DEVICES.iter().map(|device| {
        let access = if device.terminal { LandlockAccess::Terminal } else { LandlockAccess::Device };
        (format!("/dev/{}", device.name), access)
    }));
    LandlockPlan {
        abi_min: profile.landlock_abi_min,
        rules: if stands { rules } else { Vec::new() },
        scope_signals: stands && facts.landlock_abi >= ABI_SCOPES,
        scope_abstract_sockets: stands && facts.landlock_abi >= ABI_SCOPES,
        deny_tcp: stands && facts.landlock_abi >= ABI_TCP && !walls.stand.contains_key(&Wall::Net),
    }
}
