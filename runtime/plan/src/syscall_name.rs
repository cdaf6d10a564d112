//! Names and numbers of system calls (x86_64) and of errnos.

use crate::profile::Answer;
use std::str::FromStr;
use syscalls::{Errno, x86_64::Sysno};

/// The newest system call that this build knows: `file_setattr`, Linux 6.17.
pub(crate) const HIGHEST_KNOWN: u32 = 469;

/// The highest errno that Linux has names for on x86_64 (EHWPOISON).
const ERRNO_MAX: i32 = 133;

/// The number of a system call.
pub(crate) fn number(name: &str) -> Option<u32> {
    Sysno::from_str(name).ok().and_then(|call| u32::try_from(call.id()).ok())
}

/// Every name, for hints.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Sysno::iter().map(|call| call.name())
}

/// The answer that a file spells `allow` or with the name of an errno.
pub(crate) fn answer(text: &str) -> Option<Answer> {
    if text == "allow" {
        return Some(Answer::Allow);
    }
    let errno = (1..=ERRNO_MAX).find(|&errno| errno_name(errno) == Some(text))?;
    u16::try_from(errno).ok().map(Answer::Errno)
}

/// How a file spells an answer.
pub(crate) fn answer_name(answer: Answer) -> String {
    match answer {
        Answer::Allow => "allow".to_owned(),
        Answer::Errno(errno) => errno_name(i32::from(errno)).map_or_else(|| errno.to_string(), str::to_owned),
    }
}

fn errno_name(errno: i32) -> Option<&'static str> {
    Errno::new(errno).name_and_description().map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_numbers_of_the_kernel() {
        for (name, expected) in
            [("read", 0), ("openat", 257), ("clone3", 435), ("mseal", 462), ("file_setattr", 469)]
        {
            assert_eq!(number(name), Some(expected), "{name}");
        }
        assert_eq!(number("opennat"), None);
        assert!(names().all(|name| number(name).is_some_and(|number| number <= HIGHEST_KNOWN)));
    }

    #[test]
    fn answers_are_allow_or_an_errno() {
        for (text, expected) in [
            ("allow", Answer::Allow),
            ("EPERM", Answer::Errno(1)),
            ("ENOSYS", Answer::Errno(38)),
            ("EAFNOSUPPORT", Answer::Errno(97)),
        ] {
            assert_eq!(answer(text), Some(expected), "{text}");
            assert_eq!(answer_name(expected), text);
        }
        assert_eq!(answer("EPREM"), None);
    }
}
