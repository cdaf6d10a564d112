//! Programs against a plain reading of their rules, and against the kernel.

use super::interpret::{Data, run, verdict};
use super::program::{Instruction, code, decode_answer};
use super::*;
use crate::Errno;

const EPERM: Answer = Answer::Errno(libc::EPERM as u16);

fn condition(argument: u8, dword: bool, compare: Compare, value: u64) -> Condition {
    Condition { argument, dword, compare, value }
}

fn allow_list(rules: Vec<Rule>) -> Layer {
    Layer { matched: Answer::Allow, otherwise: EPERM, rules }
}

fn plain(number: u32) -> Rule {
    Rule { number, any_of: vec![] }
}

/// What the rules say, read word by word.
fn naive(layer: &Layer, data: &Data) -> Answer {
    let holds = |condition: &Condition| {
        let whole = data.args[usize::from(condition.argument)];
        let argument = if condition.dword { whole & 0xffff_ffff } else { whole };
        match condition.compare {
            Compare::Equal => argument == condition.value,
            Compare::NotEqual => argument != condition.value,
            Compare::Less => argument < condition.value,
            Compare::LessOrEqual => argument <= condition.value,
            Compare::Greater => argument > condition.value,
            Compare::GreaterOrEqual => argument >= condition.value,
            Compare::MaskedEqual(mask) => argument & mask == condition.value,
        }
    };
    let matches = layer.rules.iter().any(|rule| {
        rule.number == data.nr
            && (rule.any_of.is_empty() || rule.any_of.iter().any(|all| all.iter().all(holds)))
    });
    if matches { layer.matched } else { layer.otherwise }
}

/// A small generator, so that a failure comes back on the next run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A value near the edges that comparisons trip over.
    fn value(&mut self, known: &[u64]) -> u64 {
        let base = match self.below(4) {
            0 => [0, 1, u64::from(u32::MAX), 1 << 31, 1 << 32, u64::MAX][self.below(6) as usize],
            1 | 2 if !known.is_empty() => known[self.below(known.len() as u64) as usize],
            _ => self.next(),
        };
        let base = if self.below(4) == 0 { base ^ (self.below(16) << 32) } else { base };
        base.wrapping_add(self.below(3)).wrapping_sub(1)
    }

    fn condition(&mut self) -> Condition {
        let dword = self.below(2) == 0;
        let narrow = |value: u64| if dword { value & 0xffff_ffff } else { value };
        let mut value = narrow(self.value(&[]));
        let compare = match self.below(7) {
            0 => Compare::Equal,
            1 => Compare::NotEqual,
            2 => Compare::Less,
            3 => Compare::LessOrEqual,
            4 => Compare::Greater,
            5 => Compare::GreaterOrEqual,
            _ => {
                let mask = narrow(self.value(&[0x7E02_0000, 0xff]));
                value &= mask;
                Compare::MaskedEqual(mask)
            }
        };
        condition(self.below(6) as u8, dword, compare, value)
    }

    fn layer(&mut self) -> Layer {
        let rules = (0..1 + self.below(60))
            .map(|_| Rule {
                number: self.below(500) as u32,
                any_of: (0..self.below(4))
                    .map(|_| (0..1 + self.below(3)).map(|_| self.condition()).collect())
                    .collect(),
            })
            .collect();
        allow_list(rules)
    }
}

#[test]
fn compiled_layers_say_what_their_rules_say() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for round in 0..60 {
        let layer = numbers.layer();
        let tree = compile(&layer).unwrap();
        let list = super::compile::compile_list(&layer).unwrap();
        let known: Vec<u64> =
            layer.rules.iter().flat_map(|rule| rule.any_of.iter().flatten()).map(|c| c.value).collect();
        for nr in 0..600 {
            for _ in 0..8 {
                let data = Data::native(nr, std::array::from_fn(|_| numbers.value(&known)));
                let expected = naive(&layer, &data);
                assert_eq!(
                    decode_answer(run(&tree, &data)),
                    Some(expected),
                    "round {round}: {data:x?} {layer:x?}"
                );
                assert_eq!(
                    decode_answer(run(&list, &data)),
                    Some(expected),
                    "round {round}, list: {data:x?}"
                );
            }
        }
    }
}

#[test]
fn a_tree_wider_than_a_comparison_can_leap_still_finds_every_number() {
    // Every other number: as many ranges as numbers, so that both kinds of jump are there.
    let layer = allow_list((0..600).step_by(2).map(plain).collect());
    let program = compile(&layer).unwrap();
    assert!(program.instructions().iter().any(|instruction| instruction.code == code::JUMP));
    for nr in 0..700 {
        let data = Data::native(nr, [0; 6]);
        assert_eq!(decode_answer(run(&program, &data)), Some(naive(&layer, &data)), "{nr}");
    }
}

#[test]
fn a_dword_comparison_ignores_the_upper_half_and_a_qword_one_does_not() {
    let (tiocsti, dressed_up) = (0x5412, 0xdead_beef_0000_5412);
    for (dword, expected) in [(true, EPERM), (false, Answer::Allow)] {
        let any_of = vec![vec![condition(1, dword, Compare::Equal, tiocsti)]];
        let layer =
            Layer { matched: EPERM, otherwise: Answer::Allow, rules: vec![Rule { number: 16, any_of }] };
        let program = compile(&layer).unwrap();
        assert_eq!(
            verdict(std::slice::from_ref(&program), &Data::native(16, [0, tiocsti, 0, 0, 0, 0])),
            EPERM
        );
        assert_eq!(verdict(&[program], &Data::native(16, [0, dressed_up, 0, 0, 0, 0])), expected);
    }
}

#[test]
fn a_masked_comparison_finds_any_namespace_flag() {
    let no_namespace = vec![vec![condition(0, false, Compare::MaskedEqual(0x7E02_0000), 0)]];
    let program = compile(&allow_list(vec![Rule { number: 56, any_of: no_namespace }])).unwrap();
    for bit in 0..64 {
        let expected = if 0x7E02_0000_u64 >> bit & 1 == 1 { EPERM } else { Answer::Allow };
        assert_eq!(
            verdict(std::slice::from_ref(&program), &Data::native(56, [1 << bit, 0, 0, 0, 0, 0])),
            expected
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let wide = vec![vec![condition(0, true, Compare::Equal, 1 << 32)]];
    let outside = vec![vec![condition(0, false, Compare::MaskedEqual(0xf0), 0x1)]];
    let seventh = vec![vec![condition(6, false, Compare::Equal, 1)]];
    let mut layers: Vec<Layer> = [wide, outside, seventh, vec![vec![]]]
        .map(|any_of| allow_list(vec![Rule { number: 1, any_of }]))
        .to_vec();
    layers.push(allow_list(vec![]));
    layers.push(Layer { matched: EPERM, ..allow_list(vec![plain(1)]) });
    layers.push(Layer { otherwise: Answer::Errno(0), ..allow_list(vec![plain(1)]) });
    layers.push(Layer { otherwise: Answer::Errno(4096), ..allow_list(vec![plain(1)]) });
    for layer in layers {
        assert_eq!(compile(&layer).unwrap_err().errno, Errno::EINVAL, "{layer:?}");
    }
}

#[test]
fn two_rules_for_a_number_are_alternatives() {
    let one = |value| Rule { number: 7, any_of: vec![vec![condition(0, false, Compare::Equal, value)]] };
    let program = compile(&allow_list(vec![one(1), one(2)])).unwrap();
    let ask = |program: &Program, value| verdict(std::slice::from_ref(program), &Data::native(7, [value; 6]));
    assert_eq!([1, 2, 3].map(|value| ask(&program, value)), [Answer::Allow, Answer::Allow, EPERM]);
    let whole = compile(&allow_list(vec![one(1), plain(7), one(2)])).unwrap();
    assert_eq!(ask(&whole, 3), Answer::Allow);
}

#[test]
fn the_tree_is_shorter_than_the_list() {
    let layer = allow_list((0..300).filter(|number| number % 5 != 0).map(plain).collect());
    let (tree, list) = (compile(&layer).unwrap(), super::compile::compile_list(&layer).unwrap());
    assert!(tree.instructions().len() * 4 < list.instructions().len());
}

#[test]
fn the_prologue_kills_foreign_conventions_and_hides_new_calls() {
    let prologue = prologue(469);
    assert_eq!(Program::from_bytes(&prologue.to_bytes()).unwrap(), prologue);
    let ask = |nr, arch| verdict(std::slice::from_ref(&prologue), &Data { arch, ..Data::native(nr, [0; 6]) });
    let native = Data::native(0, [0; 6]).arch;
    let enosys = Answer::Errno(libc::ENOSYS as u16);
    assert_eq!(ask(0, native), Answer::Allow);
    assert_eq!(ask(469, native), Answer::Allow);
    assert_eq!(ask(470, native), enosys);
    assert_eq!(ask(u32::MAX, native), enosys);
    // i386 and 32-bit arm.
    assert_eq!(ask(1, 0x4000_0003), Answer::KillProcess);
    assert_eq!(ask(1, 0x4000_0028), Answer::KillProcess);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(ask(0x4000_0000, native), Answer::KillProcess);
        assert_eq!(ask(0x4000_0000 | 59, native), Answer::KillProcess);
    }
}

#[test]
fn a_layer_kills_a_foreign_convention_even_when_the_call_is_allowed() {
    let program = compile(&allow_list(vec![plain(1)])).unwrap();
    let data = Data { arch: 0x4000_0003, ..Data::native(1, [0; 6]) };
    assert_eq!(verdict(&[program], &data), Answer::KillProcess);
}

#[test]
fn the_last_installed_program_wins_among_equals_and_the_stronger_action_always() {
    let layer = |answer| Layer { matched: answer, otherwise: Answer::Allow, rules: vec![plain(1)] };
    let [eperm, enosys, kill, log] = [EPERM, Answer::Errno(38), Answer::KillProcess, Answer::Log]
        .map(|answer| compile(&layer(answer)).unwrap());
    let data = Data::native(1, [0; 6]);
    assert_eq!(verdict(&[eperm.clone(), enosys.clone()], &data), Answer::Errno(38));
    assert_eq!(verdict(&[enosys.clone(), eperm.clone()], &data), EPERM);
    assert_eq!(verdict(&[kill, enosys, eperm.clone()], &data), Answer::KillProcess);
    assert_eq!(verdict(&[eperm, log.clone()], &data), EPERM);
    assert_eq!(verdict(&[log], &data), Answer::Log);
    assert_eq!(verdict(&[], &data), Answer::Allow);
}

#[test]
fn bytes_that_are_no_program_are_refused() {
    let allow = Instruction::plain(code::RETURN, libc::SECCOMP_RET_ALLOW);
    let bad = [
        vec![],
        vec![Instruction::plain(code::LOAD, 0)],
        vec![Instruction::plain(code::LOAD, 64), allow],
        vec![Instruction::plain(code::LOAD, 2), allow],
        vec![Instruction::plain(code::JUMP, 1), allow],
        vec![Instruction::plain(code::JUMP, u32::MAX), allow],
        vec![Instruction::compare(code::JUMP_EQUAL, 0, 0, 1), allow],
        vec![Instruction::plain(0x16, 0), allow],
        vec![Instruction::plain(code::RETURN, libc::SECCOMP_RET_USER_NOTIF)],
    ];
    for instructions in bad {
        assert_eq!(Program::new(instructions.clone()).unwrap_err().errno, Errno::EINVAL, "{instructions:?}");
    }
    assert_eq!(Program::from_bytes(&[6, 0, 0]).unwrap_err().errno, Errno::EINVAL);
    assert_eq!(Program::from_bytes(&vec![0; 4097 * 8]).unwrap_err().errno, Errno::E2BIG);
}

/// Runs an act in a forked child and gives its wait status: the child must not allocate or unwind.
fn in_a_child(act: impl FnOnce() -> i32) -> nix::sys::wait::WaitStatus {
    // SAFETY: the child calls only what `act` calls, which here is system calls on ready data, and _exit.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let code = act();
            // SAFETY: ends the child without running what its parent's threads left half done.
            unsafe { libc::_exit(code) }
        }
        nix::unistd::ForkResult::Parent { child } => nix::sys::wait::waitpid(child, None).unwrap(),
    }
}

/// The error number of a call with these arguments, 0 for success.
fn call(nr: libc::c_long, argument: u64) -> i32 {
    // SAFETY: the tests make calls that take no pointer or fail before they look at one.
    match unsafe { libc::syscall(nr, argument, 0u64, 0u64, 0u64, 0u64, 0u64) } {
        -1 => Errno::last().0,
        _ => 0,
    }
}

#[test]
fn the_kernel_answers_as_the_interpreter_does() {
    let rule = |nr: libc::c_long, argument, compare, value| Rule {
        number: nr as u32,
        any_of: vec![vec![condition(argument, true, compare, value)]],
    };
    let everything =
        (0..470).filter(|nr| ![libc::SYS_personality, libc::SYS_acct].contains(&(*nr).into())).map(plain);
    let mut rules: Vec<Rule> = everything.collect();
    rules.push(rule(libc::SYS_personality, 0, Compare::Equal, 0xffff_ffff));
    let allowed = allow_list(rules);
    let absent = Layer {
        matched: Answer::Errno(libc::ENOSYS as u16),
        otherwise: Answer::Allow,
        rules: vec![plain(libc::SYS_acct as u32), plain(libc::SYS_getppid as u32)],
    };
    let stack = [compile(&allowed).unwrap(), compile(&absent).unwrap(), prologue(469)];
    let calls: [(libc::c_long, u64); 7] = [
        (libc::SYS_getpid, 0),
        (libc::SYS_getppid, 0),
        (libc::SYS_acct, 0),
        (libc::SYS_personality, 0xffff_ffff),
        (libc::SYS_personality, 0xabcd_0000_ffff_ffff),
        (libc::SYS_personality, 0x0040_0000),
        (511, 0),
    ];
    let expected = calls.map(|(nr, argument)| {
        match verdict(&stack, &Data::native(nr as u32, [argument, 0, 0, 0, 0, 0])) {
            Answer::Errno(number) => i32::from(number),
            Answer::Allow => 0,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(expected, [0, 38, 38, 0, 0, 1, 38]);
    let status = in_a_child(|| {
        if nix::sys::prctl::set_no_new_privs().is_err()
            || stack.iter().any(|program| install(program).is_err())
        {
            return 100;
        }
        let wrong = calls
            .iter()
            .zip(expected)
            .position(|((nr, argument), expected)| call(*nr, *argument) != expected);
        wrong.map_or(0, |index| index as i32 + 1)
    });
    assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)), "{status:?}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_x32_call_is_killed_by_the_kernel() {
    let prologue = prologue(469);
    let status = in_a_child(|| {
        if nix::sys::prctl::set_no_new_privs().is_err() || install(&prologue).is_err() {
            return 100;
        }
        call(0x4000_0000 | libc::SYS_getpid, 0)
    });
    let sigsys = nix::sys::signal::Signal::SIGSYS;
    assert!(
        matches!(status, nix::sys::wait::WaitStatus::Signaled(_, signal, _) if signal == sigsys),
        "{status:?}"
    );
}

#[test]
fn without_no_new_privs_and_without_privilege_nothing_is_installed() {
    let prologue = prologue(469);
    let status = in_a_child(|| {
        let none = libc::uid_t::MAX - 2;
        // SAFETY: takes numbers only.
        unsafe { libc::syscall(libc::SYS_setresuid, none, none, none) };
        install(&prologue).err().map_or(0, |error| error.errno.0)
    });
    assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, libc::EACCES)), "{status:?}");
}
