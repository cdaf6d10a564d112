//! Landlock: what is granted beneath which path inside (landlock(7)). It repeats what mounts already say, from another part
//! of the kernel: a hole in one is not a hole in both.

use super::{generated::DEVICES, walls::Walls};
use crate::{
    facts::HostFacts,
    launch::{LandlockAccess, LandlockPlan},
    profile::Profile,
    wall::Wall,
};

/// First ABI with scopes for signals and abstract sockets (Linux 6.12).
const ABI_SCOPES: u32 = 6;
/// First ABI with TCP rules (Linux 6.7).
const ABI_TCP: u32 = 4;

/// The rules.
pub(super) fn rules(profile: &Profile, facts: &HostFacts, walls: &Walls) -> LandlockPlan {
    let stands = walls.stand.contains_key(&Wall::Landlock);
    let writable = match profile.exec_from_writable {
        true => LandlockAccess::ReadWriteExecute,
        false => LandlockAccess::ReadWrite,
    };
    let mut rules = vec![
        ("/".to_owned(), LandlockAccess::ReadExecute),
        ("/workspace".to_owned(), writable),
        ("/tmp".to_owned(), writable),
        ("/dev/shm".to_owned(), LandlockAccess::ReadWrite),
        ("/dev/pts".to_owned(), LandlockAccess::Terminal),
    ];
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
