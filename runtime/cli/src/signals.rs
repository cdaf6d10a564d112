//! Signals of the caller as messages: TERM, HUP and INT, and while our terminal is lent to a job every other one that would end
//! us. Those that we were started to ignore (`nohup`, a background job) stay ignored.

use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// Most bytes of /proc/self/status that are read; it has a few kilobytes.
const STATUS_BYTES_MAX: usize = 64 * 1024;

/// What ends a job. SIGINT is the first: its place decides nothing, its number does.
const ALWAYS: [i32; 3] = [2, 15, 1];
/// What would end us, and leave a raw terminal behind: QUIT, USR1, USR2, ALRM, VTALRM, PROF (signal(7)).
const WITH_TERMINAL: [i32; 6] = [3, 10, 12, 14, 26, 27];

/// The signals that end a job.
#[derive(Debug)]
pub struct Signals(Vec<(i32, Signal)>);

impl Signals {
    /// Catches them from now on; `terminal` is whether ours is lent to a job. Needs a tokio runtime.
    pub fn catch(terminal: bool) -> Result<Signals, Error> {
        let status = runtime_sys::file::read_all_bounded("/proc/self/status".as_ref(), STATUS_BYTES_MAX)
            .map_err(|source| Error::Kernel { act: "read /proc/self/status", source })?;
        let ignored = ignored_signals(&status);
        let more: &[i32] = if terminal { &WITH_TERMINAL } else { &[] };
        let wanted = ALWAYS.iter().chain(more).filter(|number| !is_in(ignored, **number));
        let catch = |number: &i32| -> Result<(i32, Signal), Error> {
            let caught = signal(SignalKind::from_raw(*number));
            caught
                .map(|signal| (*number, signal))
                .map_err(|error| Error::io("catch", format!("signal {number}"), error))
        };
        wanted.map(catch).collect::<Result<_, _>>().map(Signals)
    }

    /// None at all: what they do is tested by the programs that get real ones.
    #[cfg(test)]
    pub const fn none() -> Signals {
        Signals(Vec::new())
    }

    /// The next one, by number. Cancel safe.
    pub async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            let arrived = self.0.iter_mut().find_map(|(number, signal)| match signal.poll_recv(context) {
                Poll::Ready(Some(())) => Some(*number),
                // After the end of its stream no signal ever comes.
                Poll::Ready(None) | Poll::Pending => None,
            });
            arrived.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// What the first, second … signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// TERM, grace, KILL.
    Cancel,
    /// KILL at once.
    Kill,
}

/// Only a Ctrl-C that follows an earlier signal kills; TERM and HUP stay polite however often they come.
pub fn wish(signal: i32, earlier: u32) -> Wish {
    match signal == SignalKind::interrupt().as_raw_value() && earlier > 0 {
        true => Wish::Kill,
        false => Wish::Cancel,
    }
}

/// Words for the record.
pub fn reason(signal: i32) -> &'static str {
    match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        15 => "terminate",
        _ => "signal",
    }
}

/// The mask in the `SigIgn:` line of proc_pid_status(5); none when there is no such line.
fn ignored_signals(status: &[u8]) -> u64 {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"SigIgn:"));
    let text = line.and_then(|line| std::str::from_utf8(line).ok());
    text.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, signal: i32) -> bool {
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|rest| rest & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_were_ignored_at_the_start_are_known() {
        let mask = ignored_signals(b"Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\t0\n");
        assert!(is_in(mask, 1) && is_in(mask, 2) && is_in(mask, 13));
        assert!(!is_in(mask, 15) && !is_in(mask, 64) && !is_in(mask, 0));
        assert_eq!(ignored_signals(b"nothing"), 0);
    }

    #[test]
    fn only_the_second_interrupt_kills() {
        let table = [
            (2, 0, Wish::Cancel),
            (15, 0, Wish::Cancel),
            (1, 0, Wish::Cancel),
            (2, 1, Wish::Kill),
            (15, 3, Wish::Cancel),
        ];
        for (signal, earlier, expected) in table {
            assert_eq!(wish(signal, earlier), expected, "signal {signal} after {earlier}");
        }
    }
}
