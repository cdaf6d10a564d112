//! The last steps of a process: another program in its place, or its end.

use std::ffi::{CStr, CString, c_char};

use crate::error::Error;

/// Arguments or environment as execve(2) wants them, made ahead so that exec itself needs no heap.
#[derive(Debug)]
pub struct ExecStrings {
    /// Owns what `pointers` points to; never changed after `new`.
    _strings: Vec<CString>,
    /// One pointer for each string and a null at the end.
    pointers: Vec<*const c_char>,
}

impl ExecStrings {
    /// Takes the strings in order. Their number and sizes are the kernel's to bound (`E2BIG` at exec).
    pub fn new(strings: Vec<CString>) -> ExecStrings {
        let mut pointers: Vec<*const c_char> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        ExecStrings { _strings: strings, pointers }
    }
}

/// Replaces the program of this process. Returns only when the kernel refused, with the reason. *No heap.*
///
/// `ENOENT` also means that the interpreter of a script or the loader of a program is missing.
pub fn exec(path: &CStr, arguments: &ExecStrings, environment: &ExecStrings) -> Error {
    // SAFETY: both arrays end in a null pointer, and their other pointers are to C strings that the same
    // value owns: a CString keeps its bytes in place when it is moved.
    unsafe { libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    Error::last("execve")
}

/// Ends this process at once, without destructors, exit handlers or the flushing of buffers. The lowest
/// eight bits of the code are told to the parent. *No heap.*
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Ends this process as `kill -9` from outside would (tgkill(2), SIGKILL): nothing of it runs any more. Returns only when a
/// filter forbids it. *No heap.*
pub fn kill_self() {
    // SAFETY: the call takes three numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), libc::SIGKILL) };
}
