//! For unit tests: runs a test body in a forked child, which has one thread and may change its own
//! identity, signals and namespaces without harm to the other tests. Not part of the crate.

use std::io::{Read, Write};

/// Runs `body` in a child process and fails the test with the child's message when it fails.
pub(crate) fn run(body: fn() -> Result<(), Box<dyn std::error::Error>>) {
    let (mut reader, mut writer) = std::io::pipe().expect("pipe");
    // SAFETY: the C library's fork keeps the allocator usable in the child; the body takes no lock of the
    // test harness, for it prints nothing, and the child leaves by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        drop(reader);
        let outcome = std::panic::catch_unwind(body);
        let message = match outcome {
            Ok(Ok(())) => String::from("ok"),
            Ok(Err(error)) => format!("failed: {error}"),
            Err(_) => String::from("panicked"),
        };
        let code = i32::from(writer.write_all(message.as_bytes()).is_err());
        crate::process::exit_now(code);
    }
    drop(writer);
    let mut message = String::new();
    reader.read_to_string(&mut message).expect("the child's message");
    let mut status = 0;
    // SAFETY: waits for the child made above and writes one int.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!((message.as_str(), status), ("ok", 0));
}

/// A check inside a child: an assert would print through the harness.
pub(crate) fn expect(what: &str, holds: bool) -> Result<(), Box<dyn std::error::Error>> {
    if holds { Ok(()) } else { Err(format!("expected: {what}").into()) }
}

/// Whether we are root with `CAP_SYS_ADMIN`; [`skip`]s when not.
pub(crate) fn need_root(what_for: &str) -> bool {
    let admin = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN));
    if admin && rustix::process::geteuid().is_root() {
        return true;
    }
    skip(&format!("needs root with CAP_SYS_ADMIN for {what_for}"));
    false
}

/// Says that a test did not run, and why. Where every test must run (`RUNTIME_TESTS_MUST_RUN=1`) it fails instead, unless the
/// file of `RUNTIME_TESTS_EXPECTED_SKIPS` lists it: its name, a tab, the reason.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    // The test harness names a test's thread after the test.
    let name = thread.name().unwrap_or_default();
    println!("SKIP {name}: {reason}");
    if std::env::var("RUNTIME_TESTS_MUST_RUN").as_deref() != Ok("1") {
        return;
    }
    let list = std::env::var("RUNTIME_TESTS_EXPECTED_SKIPS").map(std::fs::read_to_string);
    let expected = list.is_ok_and(|list| {
        let list = list.expect("the list of expected skips");
        list.lines().any(|line| line.split_once('\t').is_some_and(|(listed, _)| listed == name))
    });
    assert!(expected, "{name} must run here, and did not: {reason}");
}

/// The `CLONE_NEW…` flag of a namespace descriptor, -1 when it is none (NS_GET_NSTYPE of ioctl_ns(2)).
pub(crate) fn namespace_type(descriptor: std::os::fd::BorrowedFd<'_>) -> i32 {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: this request takes no argument.
    unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&descriptor), NS_GET_NSTYPE) }
}
