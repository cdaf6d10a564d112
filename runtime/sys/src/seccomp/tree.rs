//! Lays out a filter as a search tree over ranges of call numbers.
//!
//! It owns the jumps. It must not decide what happens to a number: ranges come with their fates.

use super::Answer;
use super::program::{Instruction, code, encode_answer};

/// How many instructions a comparison can leap.
const LEAP_MAX: usize = u8::MAX as usize;

/// What happens to the calls of a range of numbers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The same answer for all of them.
    Answer(Answer),
    /// Conditions on the arguments decide: the index of a body.
    Body(usize),
}

/// Ranges of numbers in ascending order: each begins at its number and ends before the next one's.
pub(super) struct Ranges(Vec<(u32, Fate)>);

impl Ranges {
    /// One range from 0 to the highest number.
    pub(super) fn new(fate: Fate) -> Ranges {
        Ranges(vec![(0, fate)])
    }

    /// From this number on, which is not below any begun before, the fate is another.
    pub(super) fn begin(&mut self, number: u32, fate: Fate) {
        if self.0.last().is_some_and(|(start, _)| *start == number) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|(_, before)| *before != fate) {
            self.0.push((number, fate));
        }
    }

    /// The instructions that lead from the number in the accumulator to its fate, and the bodies behind.
    pub(super) fn assemble(&self, bodies: &[Vec<Instruction>]) -> Vec<Instruction> {
        let mut offsets = Vec::with_capacity(bodies.len());
        let mut offset = length(self.0.len());
        for body in bodies {
            offsets.push(offset);
            offset += body.len();
        }
        let mut instructions = Vec::with_capacity(offset);
        emit(&self.0, &offsets, &mut instructions);
        instructions.extend(bodies.iter().flatten());
        instructions
    }
}

/// How many instructions a subtree of so many ranges takes: one a leaf, one for each parting, and a jump
/// where the lower half is longer than a comparison can leap.
fn length(ranges: usize) -> usize {
    if ranges < 2 {
        return ranges;
    }
    let lower = length(ranges / 2);
    1 + usize::from(lower > LEAP_MAX) + lower + length(ranges - ranges / 2)
}

/// Writes a subtree: the lower half behind the comparison, the upper half behind the lower one.
fn emit(ranges: &[(u32, Fate)], bodies: &[usize], out: &mut Vec<Instruction>) {
    if let [(_, fate)] = ranges {
        out.push(match fate {
            Fate::Answer(answer) => Instruction::plain(code::RETURN, encode_answer(*answer)),
            // Counted from the instruction behind the jump. Bodies lie behind the whole tree.
            Fate::Body(body) => {
                Instruction::plain(code::JUMP, bodies.get(*body).map_or(0, |at| at - out.len() - 1) as u32)
            }
        });
        return;
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let pivot = upper.first().map_or(0, |(start, _)| *start);
    let leap = length(lower.len());
    match u8::try_from(leap) {
        Ok(leap) => out.push(Instruction::compare(code::JUMP_GREATER_OR_EQUAL, pivot, leap, 0)),
        Err(_) => {
            out.push(Instruction::compare(code::JUMP_GREATER_OR_EQUAL, pivot, 0, 1));
            out.push(Instruction::plain(code::JUMP, leap as u32));
        }
    }
    emit(lower, bodies, out);
    emit(upper, bodies, out);
}
