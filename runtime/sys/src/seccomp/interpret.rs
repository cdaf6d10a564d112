//! Runs filter programs without the kernel: what would a call be told?
//!
//! Truth tables of profiles and `doctor` rest on it. It must agree with the kernel, and a live test holds
//! it to that.

use super::program::{code, decode_answer};
use super::{Answer, Program};

/// What the kernel shows a filter: `struct seccomp_data`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The number of the call.
    pub nr: u32,
    /// The `AUDIT_ARCH` value of the calling convention.
    pub arch: u32,
    /// Where the call was made.
    pub instruction_pointer: u64,
    /// The six arguments.
    pub args: [u64; 6],
}

impl Data {
    /// A call by this machine's own convention.
    pub fn native(nr: u32, args: [u64; 6]) -> Data {
        Data { nr, arch: super::compile::AUDIT_ARCH, instruction_pointer: 0, args }
    }

    /// The 32-bit word at a byte offset, as a little-endian machine lays it out.
    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64| if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 };
        match offset {
            0 => self.nr,
            4 => self.arch,
            8 | 12 => half(self.instruction_pointer),
            _ => self.args.get((offset as usize - 16) / 8).map_or(0, |argument| half(*argument)),
        }
    }
}

/// What one program returns for a call: a raw `SECCOMP_RET` value.
pub fn run(program: &Program, data: &Data) -> u32 {
    let instructions = program.instructions();
    let mut accumulator = 0;
    let mut next = 0;
    // Jumps go forward only, so this ends. A checked program never runs off its end.
    while let Some(instruction) = instructions.get(next) {
        let k = instruction.k;
        let branch =
            |holds: bool| usize::from(if holds { instruction.jump_true } else { instruction.jump_false });
        next += 1 + match instruction.code {
            code::LOAD => {
                accumulator = data.word(k);
                0
            }
            code::AND => {
                accumulator &= k;
                0
            }
            code::JUMP => k as usize,
            code::JUMP_EQUAL => branch(accumulator == k),
            code::JUMP_GREATER => branch(accumulator > k),
            code::JUMP_GREATER_OR_EQUAL => branch(accumulator >= k),
            code::JUMP_SET => branch(accumulator & k != 0),
            code::RETURN => return k,
            _ => break,
        };
    }
    libc::SECCOMP_RET_KILL_PROCESS
}

/// What a stack of programs answers, in the order in which they were installed.
///
/// The kernel (`seccomp_run_filters`) asks the newest first and keeps an answer until a strictly stronger
/// action comes: kill before errno before log before allow. So among equal actions the last installed
/// program gives the number. No program at all allows.
pub fn verdict(programs: &[Program], data: &Data) -> Answer {
    let mut strongest = libc::SECCOMP_RET_ALLOW;
    for program in programs.iter().rev() {
        let raw = run(program, data);
        if rank(raw) < rank(strongest) {
            strongest = raw;
        }
    }
    decode_answer(strongest).unwrap_or(Answer::KillProcess)
}

/// The kernel's order of actions: as a signed number, smaller is stronger.
fn rank(raw: u32) -> i32 {
    (raw & libc::SECCOMP_RET_ACTION_FULL).cast_signed()
}
