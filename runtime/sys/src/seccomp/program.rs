//! A BPF program as data: its instructions, its bytes for a socket, and the check of what came from one.
//!
//! A [`Program`] that exists is one the kernel takes: it holds only the instructions that our compiler
//! emits, every jump lands inside, the last instruction returns. It must not run or load anything.

use super::Answer;
use crate::error::{Errno, Error, Result};

/// The kernel's own bound on a program (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;
/// Bytes of one instruction.
const INSTRUCTION_BYTES: usize = 8;
/// Bytes of `struct seccomp_data`, which a load must stay inside.
const DATA_BYTES: u32 = 64;

/// The opcodes that appear in our programs, from linux/bpf_common.h.
pub(super) mod code {
    /// A := data[k]
    pub const LOAD: u16 = 0x20;
    /// A := A & k
    pub const AND: u16 = 0x54;
    /// jump by k
    pub const JUMP: u16 = 0x05;
    /// jump by jt if A = k, else by jf
    pub const JUMP_EQUAL: u16 = 0x15;
    /// jump by jt if A > k, else by jf
    pub const JUMP_GREATER: u16 = 0x25;
    /// jump by jt if A ≥ k, else by jf
    pub const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
    /// jump by jt if A & k, else by jf
    pub const JUMP_SET: u16 = 0x45;
    /// return k
    pub const RETURN: u16 = 0x06;
}

/// One instruction, in the kernel's layout (`struct sock_filter`).
#[repr(C)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to leap when a comparison holds.
    pub jump_true: u8,
    /// How many when it does not.
    pub jump_false: u8,
    /// The operand.
    pub k: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
const _: () = assert!(align_of::<Instruction>() == align_of::<libc::sock_filter>());

impl Instruction {
    /// An instruction that goes on to the next one or returns.
    pub(super) const fn plain(code: u16, k: u32) -> Instruction {
        Instruction { code, jump_true: 0, jump_false: 0, k }
    }

    /// A comparison.
    pub(super) const fn compare(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
        Instruction { code, jump_true, jump_false, k }
    }
}

/// A checked program of 1 to [`INSTRUCTIONS_MAX`] instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Takes instructions if they are a program that the kernel would take and [`super::interpret`] knows.
    ///
    /// # Errors
    /// `EINVAL`; `E2BIG` above [`INSTRUCTIONS_MAX`].
    pub(super) fn new(instructions: Vec<Instruction>) -> Result<Program> {
        if instructions.len() > INSTRUCTIONS_MAX {
            return Err(Error::new("seccomp program", Errno::E2BIG));
        }
        let ends = instructions.last().is_some_and(|last| last.code == code::RETURN);
        let sound = instructions
            .iter()
            .enumerate()
            .all(|(index, instruction)| check_instruction(*instruction, instructions.len() - index - 1));
        if ends && sound {
            Ok(Program(instructions))
        } else {
            Err(Error::new("seccomp program", Errno::EINVAL))
        }
    }

    /// Takes instructions that are written down in this crate, and that a test has checked.
    pub(super) fn known_good(instructions: Vec<Instruction>) -> Program {
        Program(instructions)
    }

    /// The instructions in order.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Eight bytes an instruction: code, both jumps, operand, numbers in little-endian order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * INSTRUCTION_BYTES);
        for instruction in &self.0 {
            bytes.extend(instruction.code.to_le_bytes());
            bytes.extend([instruction.jump_true, instruction.jump_false]);
            bytes.extend(instruction.k.to_le_bytes());
        }
        bytes
    }

    /// The reverse of [`Program::to_bytes`], with every check made again.
    ///
    /// # Errors
    /// `EINVAL` for bytes that are no program; `E2BIG` for too many.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program> {
        if bytes.len() > INSTRUCTIONS_MAX * INSTRUCTION_BYTES {
            return Err(Error::new("seccomp program", Errno::E2BIG));
        }
        let (chunks, rest) = bytes.as_chunks::<INSTRUCTION_BYTES>();
        if !rest.is_empty() {
            return Err(Error::new("seccomp program", Errno::EINVAL));
        }
        let instructions = chunks
            .iter()
            .map(|&[c0, c1, jump_true, jump_false, k0, k1, k2, k3]| Instruction {
                code: u16::from_le_bytes([c0, c1]),
                jump_true,
                jump_false,
                k: u32::from_le_bytes([k0, k1, k2, k3]),
            })
            .collect();
        Program::new(instructions)
    }
}

/// Whether an instruction is one of ours and stays inside, with `after` instructions behind it.
fn check_instruction(instruction: Instruction, after: usize) -> bool {
    match instruction.code {
        code::LOAD => instruction.k.is_multiple_of(4) && instruction.k < DATA_BYTES,
        code::AND => true,
        code::JUMP => (instruction.k as usize) < after,
        code::JUMP_EQUAL | code::JUMP_GREATER | code::JUMP_GREATER_OR_EQUAL | code::JUMP_SET => {
            usize::from(instruction.jump_true.max(instruction.jump_false)) < after
        }
        code::RETURN => decode_answer(instruction.k).is_some(),
        _ => false,
    }
}

/// An answer as the kernel's `SECCOMP_RET` value.
pub(super) fn encode_answer(answer: Answer) -> u32 {
    match answer {
        Answer::Allow => libc::SECCOMP_RET_ALLOW,
        Answer::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
        Answer::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        Answer::Log => libc::SECCOMP_RET_LOG,
    }
}

/// The reverse; none for what is no [`Answer`].
pub(super) fn decode_answer(raw: u32) -> Option<Answer> {
    let data = (raw & libc::SECCOMP_RET_DATA) as u16;
    match raw & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW => Some(Answer::Allow),
        libc::SECCOMP_RET_ERRNO => Some(Answer::Errno(data)),
        libc::SECCOMP_RET_KILL_PROCESS => Some(Answer::KillProcess),
        libc::SECCOMP_RET_LOG => Some(Answer::Log),
        _ => None,
    }
}
