//! From rules to a program.
//!
//! seccompiler turns conditions into instructions; the way to them is ours. Its own way is a list that a
//! call walks from the front, five instructions for each number; a search tree over ranges of numbers that
//! share a fate is about ten times shorter, and quicker to load and to run. Tests hold the tree to
//! seccompiler's list and to a plain reading of the rules. This module must not know what a rule is for.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::program::{Instruction, code, encode_answer};
use super::tree::{Fate, Ranges};
use super::{Answer, Compare, Condition, Layer, Program};
use crate::error::{Errno, Error, Result};

#[cfg(target_arch = "x86_64")]
const TARGET: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const TARGET: TargetArch = TargetArch::aarch64;
/// The calling convention of this machine, from linux/audit.h.
#[cfg(target_arch = "x86_64")]
pub(super) const AUDIT_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(super) const AUDIT_ARCH: u32 = 0xC000_00B7;

/// The bit that marks a call of the x32 convention; it shares its `AUDIT_ARCH` with x86_64.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;
/// What a tracer writes into a call that it cancels, and what probing programs try: no call of x32.
#[cfg(target_arch = "x86_64")]
const NO_CALL: u32 = u32::MAX;

const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;
/// The largest error number that a system call can return (`MAX_ERRNO`).
const ERRNO_MAX: u16 = 4095;
/// What seccompiler puts before the conditions of a filter with one number: the check of the architecture
/// (3 instructions), the load of the number and its comparison.
const PREAMBLE: usize = 5;

/// All conditions for one number: alternatives, none of which means unconditional.
type Alternatives = Vec<Vec<Condition>>;

/// Compiles a layer. A call by a foreign convention is answered with a kill of the process.
///
/// # Errors
/// `EINVAL` for a layer without rules, with twice the same answer, with an error number outside 1 to 4095,
/// or with a condition that cannot be meant; `E2BIG` above 4096 instructions.
pub fn compile(layer: &Layer) -> Result<Program> {
    if layer.rules.is_empty() || layer.matched == layer.otherwise {
        return Err(Error::new("seccomp layer", Errno::EINVAL));
    }
    check_answer(layer.matched)?;
    check_answer(layer.otherwise)?;
    let mut bodies: Vec<Vec<Instruction>> = Vec::new();
    let mut ranges = Ranges::new(Fate::Answer(layer.otherwise));
    for (number, alternatives) in &group(layer)? {
        let fate = if alternatives.is_empty() {
            Fate::Answer(layer.matched)
        } else {
            bodies.push(compile_body(layer, *number, alternatives)?);
            Fate::Body(bodies.len() - 1)
        };
        ranges.begin(*number, fate);
        ranges.begin(number + 1, Fate::Answer(layer.otherwise));
    }
    let mut instructions = check_arch();
    instructions.extend(ranges.assemble(&bodies));
    Program::new(instructions)
}

/// The same program for one number, and "allow" for every other: for a call whose refusal has an errno of its own, with
/// exceptions that are allowed.
///
/// # Errors
/// `E2BIG` above 4096 instructions.
pub fn only_for(number: u32, program: &Program) -> Result<Program> {
    let mut instructions = vec![
        Instruction::plain(code::LOAD, OFFSET_NR),
        Instruction::compare(code::JUMP_EQUAL, number, 1, 0),
        Instruction::plain(code::RETURN, encode_answer(Answer::Allow)),
    ];
    // Jumps are relative: what stands behind keeps its meaning, its check of the architecture included.
    instructions.extend_from_slice(program.instructions());
    Program::new(instructions)
}

/// The program that goes on top of the layers: it is the same for all profiles.
///
/// A foreign calling convention kills, on x86_64 that of x32 too; a number above the newest one that this
/// build knows gets `ENOSYS`, as on a kernel that does not have the call; all else is allowed.
pub fn prologue(highest_known: u32) -> Program {
    let mut instructions = check_arch();
    instructions.extend(check_x32());
    instructions.extend([
        Instruction::compare(code::JUMP_GREATER, highest_known, 0, 1),
        Instruction::plain(code::RETURN, encode_answer(Answer::Errno(libc::ENOSYS as u16))),
        Instruction::plain(code::RETURN, encode_answer(Answer::Allow)),
    ]);
    Program::known_good(instructions)
}

/// Kills a call of the x32 convention.
#[cfg(target_arch = "x86_64")]
fn check_x32() -> [Instruction; 3] {
    [
        Instruction::compare(code::JUMP_EQUAL, NO_CALL, 2, 0),
        Instruction::compare(code::JUMP_SET, X32_BIT, 0, 1),
        Instruction::plain(code::RETURN, encode_answer(Answer::KillProcess)),
    ]
}

/// There is no second 64-bit convention here.
#[cfg(target_arch = "aarch64")]
fn check_x32() -> [Instruction; 0] {
    []
}

/// Kills a foreign calling convention, then leaves the number in the accumulator.
fn check_arch() -> Vec<Instruction> {
    vec![
        Instruction::plain(code::LOAD, OFFSET_ARCH),
        Instruction::compare(code::JUMP_EQUAL, AUDIT_ARCH, 1, 0),
        Instruction::plain(code::RETURN, encode_answer(Answer::KillProcess)),
        Instruction::plain(code::LOAD, OFFSET_NR),
    ]
}

fn check_answer(answer: Answer) -> Result<()> {
    match answer {
        Answer::Errno(number) if number == 0 || number > ERRNO_MAX => {
            Err(Error::new("seccomp errno", Errno::EINVAL))
        }
        _ => Ok(()),
    }
}

/// One entry a number, in ascending order. A rule without alternatives swallows the others.
fn group(layer: &Layer) -> Result<BTreeMap<u32, Alternatives>> {
    let mut grouped: BTreeMap<u32, Alternatives> = BTreeMap::new();
    for rule in &layer.rules {
        if rule.number == u32::MAX || rule.any_of.iter().any(Vec::is_empty) {
            return Err(Error::new("seccomp rule", Errno::EINVAL));
        }
        for condition in rule.any_of.iter().flatten() {
            check_condition(condition)?;
        }
        match grouped.get_mut(&rule.number) {
            Some(known) if rule.any_of.is_empty() || known.is_empty() => known.clear(),
            Some(known) => known.extend(rule.any_of.iter().cloned()),
            None => {
                grouped.insert(rule.number, rule.any_of.clone());
            }
        }
    }
    Ok(grouped)
}

/// Refuses a condition that could not hold, or not in the way it reads.
fn check_condition(condition: &Condition) -> Result<()> {
    let mask = match condition.compare {
        Compare::MaskedEqual(mask) => mask,
        _ => u64::MAX,
    };
    let wide =
        condition.dword && (condition.value > u64::from(u32::MAX) || (mask != u64::MAX && mask >> 32 != 0));
    if condition.argument > 5 || wide || condition.value & !mask != 0 {
        return Err(Error::new("seccomp condition", Errno::EINVAL));
    }
    Ok(())
}

/// The instructions that decide about one number, from seccompiler: each path ends in a return.
fn compile_body(layer: &Layer, number: u32, alternatives: &Alternatives) -> Result<Vec<Instruction>> {
    let program = compile_linear(layer, &BTreeMap::from([(number, alternatives.clone())]))?;
    let (preamble, body) =
        program.split_at_checked(PREAMBLE).ok_or(Error::new("seccompiler", Errno::EINVAL))?;
    let compares = preamble.last().is_some_and(|last| last.code == code::JUMP_EQUAL && last.k == number);
    if compares { Ok(body.to_vec()) } else { Err(Error::new("seccompiler", Errno::EINVAL)) }
}

/// What seccompiler itself makes of the rules.
pub(super) fn compile_linear(
    layer: &Layer,
    grouped: &BTreeMap<u32, Alternatives>,
) -> Result<Vec<Instruction>> {
    let refused = |_| Error::new("seccompiler", Errno::EINVAL);
    let mut rules = BTreeMap::new();
    for (number, alternatives) in grouped {
        let chain: Vec<SeccompRule> = alternatives
            .iter()
            .map(|conditions| {
                SeccompRule::new(conditions.iter().map(convert).collect::<std::result::Result<_, _>>()?)
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(refused)?;
        rules.insert(i64::from(*number), chain);
    }
    let filter =
        SeccompFilter::new(rules, action(layer.otherwise), action(layer.matched), TARGET).map_err(refused)?;
    let program: BpfProgram = filter.try_into().map_err(refused)?;
    Ok(program
        .into_iter()
        .map(|filter| Instruction::compare(filter.code, filter.k, filter.jt, filter.jf))
        .collect())
}

#[cfg(test)]
pub(super) fn compile_list(layer: &Layer) -> Result<Program> {
    Program::new(compile_linear(layer, &group(layer)?)?)
}

fn convert(condition: &Condition) -> std::result::Result<SeccompCondition, seccompiler::BackendError> {
    let width = if condition.dword { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
    let operator = match condition.compare {
        Compare::Equal => SeccompCmpOp::Eq,
        Compare::NotEqual => SeccompCmpOp::Ne,
        Compare::Less => SeccompCmpOp::Lt,
        Compare::LessOrEqual => SeccompCmpOp::Le,
        Compare::Greater => SeccompCmpOp::Gt,
        Compare::GreaterOrEqual => SeccompCmpOp::Ge,
        Compare::MaskedEqual(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    SeccompCondition::new(condition.argument, width, operator, condition.value)
}

fn action(answer: Answer) -> SeccompAction {
    match answer {
        Answer::Allow => SeccompAction::Allow,
        Answer::Errno(number) => SeccompAction::Errno(u32::from(number)),
        Answer::KillProcess => SeccompAction::KillProcess,
        Answer::Log => SeccompAction::Log,
    }
}
