//! A pair of its own: locked to nobody, sized from either side, the controlling terminal of one session.

use super::*;
use crate::error::Errno;
use crate::in_child::{self, expect};
use crate::process::new_session;
use std::os::fd::AsFd;

fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let master = open_master(c"/dev/ptmx")?;
    let slave = open_slave(master.as_fd())?;
    Ok((master, slave))
}

/// Whether this host lets us make a terminal: a bare one may have no devpts.
fn have_terminals() -> bool {
    let made = open_master(c"/dev/ptmx");
    if let Err(error) = &made {
        in_child::skip(&format!("/dev/ptmx: {error}"));
    }
    made.is_ok()
}

#[test]
fn what_one_end_writes_the_other_reads() {
    if !have_terminals() {
        return;
    }
    let (master, slave) = pair().expect("a pair");
    crate::file::write_fd(slave.as_fd(), b"line\n").expect("write");
    let mut buffer = [0; 16];
    let length = crate::file::read_fd(master.as_fd(), &mut buffer).expect("read");
    assert_eq!(&buffer[..length], b"line\r\n");
}

#[test]
fn a_size_that_the_master_sets_is_seen_on_the_other_side() {
    if !have_terminals() {
        return;
    }
    let (master, slave) = pair().expect("a pair");
    set_size(master.as_fd(), 33, 101).expect("set");
    let size = rustix::termios::tcgetwinsize(&slave).expect("get");
    assert_eq!((size.ws_row, size.ws_col), (33, 101));
}

#[test]
fn a_pipe_is_no_terminal() {
    let (reader, _writer) = crate::pipe::pipe().expect("pipe");
    let no_terminal =
        |result: Result<()>| assert_eq!(result.expect_err("no terminal").errno, Errno(libc::ENOTTY));
    no_terminal(set_size(reader.as_fd(), 1, 1));
    no_terminal(set_utf8(reader.as_fd()));
    no_terminal(open_slave(reader.as_fd()).map(drop));
}

#[test]
fn erase_takes_whole_characters() {
    if !have_terminals() {
        return;
    }
    let (_master, slave) = pair().expect("a pair");
    set_utf8(slave.as_fd()).expect("set");
    assert!(rustix::termios::tcgetattr(&slave).expect("get").input_modes.contains(InputModes::IUTF8));
}

#[test]
fn a_session_takes_one_terminal_and_loses_it_with_the_master() {
    if !have_terminals() {
        return;
    }
    in_child::run(|| {
        crate::poll::block_signals(&[libc::SIGHUP])?;
        let (master, slave) = pair()?;
        let (_other_master, other) = pair()?;
        let without = take_as_controlling(slave.as_fd()).map_err(|error| error.errno);
        expect("no session leader", without == Err(Errno::EPERM))?;
        new_session()?;
        take_as_controlling(slave.as_fd())?;
        let again = take_as_controlling(other.as_fd()).map_err(|error| error.errno);
        expect("one terminal", again == Err(Errno::EPERM))?;
        let tty = rustix::fs::open(c"/dev/tty", OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
            .act("open the controlling terminal")?;
        let same = rustix::termios::tcgetsid(&slave).act("session of the terminal")?;
        expect("it controls us", same == rustix::termios::tcgetsid(&tty).act("session of /dev/tty")?)?;
        let told =
            |line: &str| line.strip_prefix("ShdPnd:").is_some_and(|set| set.trim() == "0000000000000001");
        let pending = || std::fs::read_to_string("/proc/self/status").map(|status| status.lines().any(told));
        expect("nothing yet", !pending()?)?;
        drop(master);
        expect("hung up", pending()?)
    });
}
