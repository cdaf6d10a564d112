//! Turns a profile's system call policy into the layers that the kernel loads.
//!
//! The kernel runs every layer and takes the strictest answer; among errors the layer that was loaded last wins. So the
//! allow-list with EPERM goes first, one layer per other errno after it, one for each call that is refused with an errno of
//! its own but for exceptions, and the prologue (foreign ABIs, unknown numbers) last. A policy that this shape cannot
//! express exactly is refused: nothing is approximated.

use runtime_plan::profile::{Answer, ArgumentCondition, Compare, SyscallEntry, SyscallPolicy};
use runtime_sys::{
    Error,
    error::Errno,
    seccomp::{self, Condition, Layer, Program, Rule},
};
use std::collections::BTreeMap;

/// What a system call without an entry is answered.
const DEFAULT_ERRNO: u16 = Errno::EPERM.0 as u16;

/// Why a policy cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The compiler or the kernel's bounds.
    #[error(transparent)]
    Compile(#[from] Error),
    /// The answers of one call do not fit the layers.
    #[error(
        "the rules of {0} mix answers that no stack of filters gives: allow with exceptions that refuse, or refuse with exceptions that allow"
    )]
    Shape(String),
}

/// Compiles a policy. The layers are to be installed in the order of the answer.
pub fn compile(policy: &SyscallPolicy) -> Result<Vec<Program>, FilterError> {
    let mut sorted = Sorted::default();
    for (&number, entry) in &policy.entries {
        sorted.sort(number, entry)?;
    }
    let allow_list = |otherwise, rules| Layer { matched: seccomp::Answer::Allow, otherwise, rules };
    let default = seccomp::Answer::Errno(DEFAULT_ERRNO);
    let mut programs = vec![seccomp::compile(&allow_list(default, sorted.allowed))?];
    for (errno, rules) in sorted.refused {
        let layer =
            Layer { matched: seccomp::Answer::Errno(errno), otherwise: seccomp::Answer::Allow, rules };
        programs.push(seccomp::compile(&layer)?);
    }
    for (errno, rule) in sorted.but_for {
        let number = rule.number;
        let layer = allow_list(seccomp::Answer::Errno(errno), vec![rule]);
        programs.push(seccomp::only_for(number, &seccomp::compile(&layer)?)?);
    }
    programs.push(seccomp::prologue(policy.highest_known));
    Ok(programs)
}

/// A policy's entries by the layer that answers them.
#[derive(Default)]
struct Sorted {
    /// Allowed, or allowed when.
    allowed: Vec<Rule>,
    /// Refused, or refused when, with an errno.
    refused: BTreeMap<u16, Vec<Rule>>,
    /// Refused with an errno but for these arguments.
    but_for: Vec<(u16, Rule)>,
}

impl Sorted {
    fn sort(&mut self, number: u32, entry: &SyscallEntry) -> Result<(), FilterError> {
        let shape = || FilterError::Shape(entry.name.clone());
        let always = Rule { number, any_of: Vec::new() };
        match entry.answer {
            Answer::Allow => {
                self.allowed.push(always);
                for rule in &entry.rules {
                    let Answer::Errno(errno) = rule.answer else { return Err(shape()) };
                    let any_of = alternatives(&rule.when);
                    self.refused.entry(errno).or_default().push(Rule { number, any_of });
                }
            }
            // Not in the allow-list: the first layer answers it.
            Answer::Errno(DEFAULT_ERRNO) if entry.rules.is_empty() => {}
            Answer::Errno(errno) if entry.rules.is_empty() => {
                self.refused.entry(errno).or_default().push(always);
            }
            Answer::Errno(errno) => {
                let mut any_of = Vec::new();
                for rule in &entry.rules {
                    if rule.answer != Answer::Allow {
                        return Err(shape());
                    }
                    any_of.extend(alternatives(&rule.when));
                }
                let but_for = Rule { number, any_of };
                if errno == DEFAULT_ERRNO {
                    self.allowed.push(but_for);
                } else {
                    self.allowed.push(always);
                    self.but_for.push((errno, but_for));
                }
            }
        }
        Ok(())
    }
}

/// A conjunction as the compiler takes it. "Any of these bits" becomes one alternative per bit.
fn alternatives(when: &[ArgumentCondition]) -> Vec<Vec<Condition>> {
    let mut alternatives = vec![Vec::new()];
    for condition in when {
        let choices = choices(condition);
        alternatives = alternatives
            .iter()
            .flat_map(|prefix: &Vec<Condition>| {
                choices.iter().map(move |choice| {
                    let mut longer = prefix.clone();
                    longer.push(*choice);
                    longer
                })
            })
            .collect();
    }
    alternatives
}

fn choices(condition: &ArgumentCondition) -> Vec<Condition> {
    let with =
        |compare, value| Condition { argument: condition.argument, dword: condition.dword, compare, value };
    let one = |compare| vec![with(compare, condition.value)];
    match condition.compare {
        Compare::Equal => one(seccomp::Compare::Equal),
        Compare::NotEqual => one(seccomp::Compare::NotEqual),
        Compare::Greater => one(seccomp::Compare::Greater),
        Compare::GreaterOrEqual => one(seccomp::Compare::GreaterOrEqual),
        Compare::Less => one(seccomp::Compare::Less),
        Compare::LessOrEqual => one(seccomp::Compare::LessOrEqual),
        Compare::MaskedEqual(mask) => one(seccomp::Compare::MaskedEqual(mask)),
        Compare::AnyBit => (0..64)
            .map(|bit| 1 << bit)
            .filter(|bit| condition.value & bit != 0)
            .map(|bit| with(seccomp::Compare::MaskedEqual(bit), bit))
            .collect(),
    }
}

/// What an init needs once its job runs: to wait, to write a record, to end. x86_64 numbers.
const INIT_CALLS: [(u32, &str); 22] = [
    (0, "read: the pipe that says whether exec succeeded"),
    (1, "write"),
    (3, "close"),
    (9, "mmap: the allocator"),
    (11, "munmap: the allocator"),
    (12, "brk: the allocator"),
    (10, "mprotect: the allocator"),
    (13, "rt_sigaction: Rust's runtime at exit"),
    (14, "rt_sigprocmask"),
    (15, "rt_sigreturn"),
    (28, "madvise: the allocator"),
    (46, "sendmsg: records"),
    (60, "exit"),
    (61, "wait4: reaping"),
    (131, "sigaltstack: Rust's runtime at exit"),
    (138, "fstatfs: what room is left in the scratch file system"),
    (157, "prctl: further layers"),
    (202, "futex: the allocator"),
    (219, "restart_syscall: a wait that was stopped and continued"),
    (231, "exit_group"),
    (247, "waitid: reaping"),
    (317, "seccomp: further layers"),
];

/// The filter of an init.
pub fn compile_for_init(highest_known: u32) -> Result<Vec<Program>, FilterError> {
    let rules =
        INIT_CALLS.iter().map(|(number, _why)| Rule { number: *number, any_of: Vec::new() }).collect();
    let layer =
        Layer { matched: seccomp::Answer::Allow, otherwise: seccomp::Answer::Errno(DEFAULT_ERRNO), rules };
    Ok(vec![seccomp::compile(&layer)?, seccomp::prologue(highest_known)])
}
