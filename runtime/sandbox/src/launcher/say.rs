//! The launcher's words on stderr, for operators. They must never hold it up nor end it.
//!
//! Others hold that file too: the server may have filled its pipe or made it non-blocking, and a reader may be gone.
//! `eprintln!` waits in the first case and panics in the others, with every deadline of every job.

use runtime_sys::{file, poll};
use std::{io, os::fd::AsFd};

/// Bytes of one message, with its newline: what a pipe with room takes in one piece.
const BYTES_MAX: usize = 4_096;

/// Says one line. It is lost when there is no room for it now.
pub fn say(text: &str) {
    say_to(&io::stderr(), text);
}

/// Whether it was said.
fn say_to(fd: &impl AsFd, text: &str) -> bool {
    let mut line = format!("runtime: {text}").into_bytes();
    line.truncate(BYTES_MAX - 1);
    line.push(b'\n');
    let has_room = poll::is_writable(fd.as_fd()).unwrap_or(false);
    has_room && file::write_fd(fd.as_fd(), &line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_sys::{pipe, socket};

    #[test]
    fn a_full_pipe_and_one_without_reader_lose_the_line() {
        for nonblocking in [false, true] {
            let (reader, writer) = pipe::pipe().unwrap();
            socket::set_nonblocking(writer.as_fd(), nonblocking).unwrap();
            let mut said = 0;
            while say_to(&writer, &"x".repeat(5_000)) {
                said += 1;
            }
            assert!(said > 0, "a pipe has room at first");
            let mut line = [0; BYTES_MAX];
            assert_eq!(file::read_fd(reader.as_fd(), &mut line).unwrap(), BYTES_MAX);
            assert!(line.starts_with(b"runtime: xxx") && line.ends_with(b"x\n"));
            drop(reader);
            assert!(!say_to(&writer, "nobody is there"));
        }
    }
}
