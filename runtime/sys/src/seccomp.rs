//! System call filters: seccomp(2).
//!
//! It owns turning a layer of rules into a BPF program ([`compile`]), the program that comes before all
//! layers ([`prologue`]), loading one ([`install`]) and telling what a stack of them answers
//! ([`interpret`]). It must not know a profile or the name of a system call: rules come as numbers.
//!
//! Order matters. Of answers of the same kind the program that was installed last wins, so an allow-list
//! with `EPERM` goes first, layers with other errors after it, the prologue at the end. Each program that
//! is in force must still allow `seccomp` while the next one is loaded.

mod compile;
pub mod interpret;
mod program;
mod tree;

pub use compile::{compile, only_for, prologue};
pub use program::{INSTRUCTIONS_MAX, Instruction, Program};

use crate::error::{Result, check};

/// What a filter says to a call.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The call goes on.
    Allow,
    /// The call fails with this number, 1 to 4095, and has no effect.
    Errno(u16),
    /// The process dies by SIGSYS and cannot catch it.
    KillProcess,
    /// The call goes on and is written to the kernel's audit log.
    Log,
}

/// How an argument is compared with a condition's value; all comparisons are unsigned.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// argument = value
    Equal,
    /// argument ≠ value
    NotEqual,
    /// argument < value
    Less,
    /// argument ≤ value
    LessOrEqual,
    /// argument > value
    Greater,
    /// argument ≥ value
    GreaterOrEqual,
    /// argument & mask = value; the value has no bit outside the mask.
    MaskedEqual(u64),
}

/// A statement about one argument.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// Look at the lower 32 bits alone: for arguments that the kernel takes as `int`, whose upper half a
    /// caller may fill as it likes.
    pub dword: bool,
    /// How to compare.
    pub compare: Compare,
    /// With what; below 2^32 where `dword` is set.
    pub value: u64,
}

/// One system call and, if it is not meant in whole, the arguments that are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The number of the call on this machine's architecture.
    pub number: u32,
    /// Alternatives, each of which is a list of conditions that all hold. No alternative means every call
    /// with this number; an alternative without conditions is refused.
    pub any_of: Vec<Vec<Condition>>,
}

/// One filter: an answer for the calls that a rule matches, another for all else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// The answer when a rule matches.
    pub matched: Answer,
    /// The answer when none does.
    pub otherwise: Answer,
    /// The rules; more than one for a number are alternatives. Never empty.
    pub rules: Vec<Rule>,
}

/// Puts a program in front of every system call of this thread and of all that it starts. For good.
///
/// Allocates nothing. `no_new_privs` must be set already. Linux 3.17.
///
/// # Errors
/// `EACCES` without `no_new_privs` and without `CAP_SYS_ADMIN`; `EINVAL` for a program that the kernel
/// does not take; `ENOMEM` when all programs together are too long.
pub fn install(program: &Program) -> Result<()> {
    let instructions = program.instructions();
    let header = libc::sock_fprog {
        // A program never holds more than 4096 instructions.
        len: instructions.len() as libc::c_ushort,
        filter: instructions.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: the header points to `len` instructions in the kernel's layout, alive through the call, and
    // the kernel only reads them.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0 as libc::c_uint, &raw const header)
    };
    check("seccomp SECCOMP_SET_MODE_FILTER", answer)?;
    Ok(())
}

#[cfg(test)]
mod tests;
