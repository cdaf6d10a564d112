//! Landlock rule sets: landlock(7).
//!
//! It owns the meaning of each [`Access`] in rights of the running kernel. Making a rule set
//! ([`prepare`]) and submitting to it ([`Prepared::restrict_self`]) are two acts, so that the second
//! can stand between fork and exec. It must not open a path: rules come as descriptors.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope, make_bitflags,
};

use crate::error::{Errno, Error, Result, check};

/// Asks for the ABI version (`LANDLOCK_CREATE_RULESET_VERSION`).
const VERSION: libc::c_uint = 1;
/// Asks for the fixed errata (`LANDLOCK_CREATE_RULESET_ERRATA`, since Linux 6.15 and its backports).
const ERRATA: libc::c_uint = 1 << 1;
/// The newest ABI whose rights this module knows.
const NEWEST: ABI = ABI::V9;
/// The ABI with every file right that containment rests on: execution to device ioctls (Linux 6.10).
const ABI_FILES: i32 = 5;
/// TCP ports (Linux 6.7).
const ABI_TCP: i32 = 4;
/// Signal and abstract socket scopes (Linux 6.12).
const ABI_SCOPES: i32 = 6;

/// What a rule grants beneath its descriptor. All that is not granted somewhere is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read files, list directories, execute: the read-only root.
    ReadExecute,
    /// Read files and list directories.
    Read,
    /// Everything that a tree of plain files needs, execution and moves between directories included:
    /// the workspace and /tmp. No device nodes, no device ioctls.
    ReadWrite,
    /// The same without execution: /dev/shm.
    ReadWriteNoExec,
    /// Read and write without device ioctls: null, zero, full, random, urandom.
    WriteFile,
    /// Read, write and ioctl: tty and pts, whose sizes and modes programs must set.
    DeviceReadWrite,
}

impl Access {
    /// The rights of all known ABIs; what an older kernel lacks is left out later.
    fn rights(self) -> BitFlags<AccessFs> {
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        let write = make_bitflags!(AccessFs::{
            WriteFile | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSock | MakeFifo | MakeSym
            | Refer | Truncate | ResolveUnix
        });
        match self {
            Access::ReadExecute => read | AccessFs::Execute,
            Access::Read => read,
            Access::ReadWrite => read | write | AccessFs::Execute,
            Access::ReadWriteNoExec => read | write,
            Access::WriteFile => make_bitflags!(AccessFs::{ReadFile | WriteFile}),
            Access::DeviceReadWrite => read | make_bitflags!(AccessFs::{WriteFile | IoctlDev}),
        }
    }
}

/// What a process asks to be held to.
#[derive(Debug)]
pub struct Request<'a> {
    /// The lowest ABI that will do; below it [`prepare`] fails.
    pub floor_abi: i32,
    /// Trees and files with what is granted there. Never empty.
    pub rules: &'a [(BorrowedFd<'a>, Access)],
    /// Refuse every TCP bind and connect: only for a job without a network namespace of its own.
    pub deny_tcp: bool,
    /// No signals to processes outside.
    pub scope_signals: bool,
    /// No connections to abstract sockets made outside.
    pub scope_abstract_sockets: bool,
}

/// What the kernel enforces.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Restricted {
    /// The ABI whose rights were handled: the kernel's, or the newest one known here.
    pub abi: i32,
    /// False when the kernel was too old for a part of the request: a file right up to device ioctls
    /// (ABI 5), TCP (ABI 4) or a scope (ABI 6).
    pub fully_enforced: bool,
}

/// A rule set in the kernel that nobody is held to yet.
#[derive(Debug)]
pub struct Prepared {
    ruleset: OwnedFd,
    restricted: Restricted,
}

/// The kernel's Landlock ABI; 0 where Landlock is absent or switched off at boot. Linux 5.13.
pub fn abi() -> i32 {
    ask(VERSION).max(0)
}

/// The errata that the kernel says are fixed, as a bit mask; 0 where it cannot say.
pub fn errata() -> u32 {
    ask(ERRATA).max(0).unsigned_abs()
}

fn ask(question: libc::c_uint) -> i32 {
    // SAFETY: with a null attribute and size 0 the call only answers a number.
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0usize, question)
    };
    i32::try_from(answer).unwrap_or(0)
}

/// Makes the rule set. All rights of the running ABI are handled, so what no rule grants is refused.
///
/// # Errors
/// `EINVAL` for a request without rules; `EOPNOTSUPP` when the kernel is below the floor or has no
/// Landlock at all; else what landlock_create_ruleset(2) and landlock_add_rule(2) say.
pub fn prepare(request: &Request<'_>) -> Result<Prepared> {
    let kernel = abi();
    if request.rules.is_empty() {
        return Err(Error::new("landlock rules", Errno::EINVAL));
    }
    if kernel < request.floor_abi || kernel == 0 {
        return Err(Error::new("landlock abi", Errno::EOPNOTSUPP));
    }
    let ruleset = build(request).map_err(|error| {
        let errno: ::landlock::Errno = error.into();
        Error::new("landlock ruleset", Errno(*errno))
    })?;
    let ruleset = ruleset.ok_or(Error::new("landlock_create_ruleset", Errno::EOPNOTSUPP))?;
    Ok(Prepared {
        ruleset,
        restricted: Restricted { abi: kernel.min(NEWEST as i32), fully_enforced: kernel >= needed(request) },
    })
}

/// The lowest ABI that can enforce all of a request.
fn needed(request: &Request<'_>) -> i32 {
    let scopes = request.scope_signals || request.scope_abstract_sockets;
    let parts = [(true, ABI_FILES), (request.deny_tcp, ABI_TCP), (scopes, ABI_SCOPES)];
    parts.iter().filter(|(asked, _)| *asked).map(|(_, abi)| *abi).max().unwrap_or(ABI_FILES)
}

fn build(request: &Request<'_>) -> std::result::Result<Option<OwnedFd>, ::landlock::RulesetError> {
    // The floor must hold; above it, every right that the kernel has. The floor is at least ABI 1.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::from(request.floor_abi.max(1))))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?;
    if request.deny_tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    if request.scope_signals {
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    if request.scope_abstract_sockets {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let mut created = ruleset.create()?;
    for (fd, access) in request.rules {
        // The crate leaves out rights that the kernel lacks, and directory rights for a plain file.
        created = created.add_rule(PathBeneath::new(fd, access.rights()))?;
    }
    Ok(created.into())
}

/// Makes the rule set and submits to it: [`prepare`] and [`Prepared::restrict_self`].
///
/// # Errors
/// Those of the two.
pub fn restrict(request: &Request<'_>) -> Result<Restricted> {
    prepare(request)?.restrict_self()
}

impl Prepared {
    /// Holds the calling thread, and all that it starts from now on, to the rule set. Allocates nothing.
    ///
    /// # Errors
    /// `EPERM` without `no_new_privs` (and without `CAP_SYS_ADMIN`); `E2BIG` above 16 layers.
    pub fn restrict_self(&self) -> Result<Restricted> {
        // SAFETY: the descriptor is a rule set and lives through the call; flags 0 need no memory.
        let answer = unsafe {
            libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset.as_raw_fd(), 0 as libc::c_uint)
        };
        check("landlock_restrict_self", answer)?;
        Ok(self.restricted)
    }

    /// What [`Prepared::restrict_self`] will enforce.
    pub fn restricted(&self) -> Restricted {
        self.restricted
    }
}

impl AsFd for Prepared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ruleset.as_fd()
    }
}

#[cfg(test)]
#[path = "landlock/tests.rs"]
mod tests;
