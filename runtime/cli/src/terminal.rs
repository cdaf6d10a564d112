//! The terminal that we were called from, while it is lent to a job's: its size, raw mode and the way back.
//!
//! The way back is a value that is dropped, also by a panic. The signals that end us are all caught while it lives (`signals`),
//! so that none ends us past it; only KILL leaves a raw terminal behind (`reset` mends it).

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use runtime_plan::spec::{TERMINAL_SIDE_MAX, Terminal};
use runtime_proto::v1::Resize;
use runtime_sys::caller_terminal::{self, Raw, Size};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// Type of a terminal that has none, or one that no job can have.
const TERM: &str = "xterm-256color";
/// Size where there is no terminal, or one that does not know its own.
const SIZE: Size = Size { rows: 24, columns: 80 };

/// Whether our terminal is raw now: lines of ours must then bring their carriage returns along.
static RAW: AtomicBool = AtomicBool::new(false);

/// Whether our terminal is raw now.
pub fn is_raw() -> bool {
    RAW.load(Ordering::Relaxed)
}

/// The terminal that a job should get: ours in size and type. `term` is our TERM.
pub fn wanted(term: Option<&str>) -> Terminal {
    terminal_of(size(), term)
}

fn terminal_of(size: Option<Size>, term: Option<&str>) -> Terminal {
    let side = |side: u16, default: u16| if side == 0 { default } else { side.min(TERMINAL_SIDE_MAX) };
    let size = size.unwrap_or(SIZE);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
    let term = term.filter(|term| (1..=64).contains(&term.len()) && term.chars().all(plain)).unwrap_or(TERM);
    Terminal {
        rows: side(size.rows, SIZE.rows),
        columns: side(size.columns, SIZE.columns),
        term: term.to_owned(),
    }
}

/// The size of the first of stdin, stdout and stderr that is a terminal.
fn size() -> Option<Size> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter().find_map(|fd| caller_terminal::size(fd).ok())
}

/// Whether stdin is a terminal.
pub fn types() -> bool {
    std::io::stdin().is_terminal()
}

/// Our terminal, lent to a job's.
#[derive(Debug)]
pub struct Lent {
    keys: bool,
    raw: Option<RawMode>,
    resized: Signal,
    continued: Signal,
}

#[derive(Debug)]
struct RawMode(Raw);

impl Drop for RawMode {
    fn drop(&mut self) {
        RAW.store(false, Ordering::Relaxed);
    }
}

impl Lent {
    /// Follows the size from now on; with `keys` every key will go to the job. Needs a tokio runtime.
    pub fn new(keys: bool) -> Result<Lent, Error> {
        let catch = |kind, name: &str| signal(kind).map_err(|error| Error::io("catch", name, error));
        Ok(Lent {
            keys,
            raw: None,
            resized: catch(SignalKind::window_change(), "SIGWINCH")?,
            continued: catch(SignalKind::from_raw(SIGCONT), "SIGCONT")?,
        })
    }

    /// The job is there: the terminal becomes raw, when its keys go to the job.
    pub fn enter(&mut self) -> Result<(), Error> {
        if !self.keys || self.raw.is_some() {
            return Ok(());
        }
        let raw = Raw::enter(std::io::stdin().as_fd())
            .map_err(|source| Error::Kernel { act: "make the terminal raw", source })?;
        RAW.store(true, Ordering::Relaxed);
        self.raw = Some(RawMode(raw));
        Ok(())
    }

    /// The size as it is now; `None` when there is none.
    pub fn size(&self) -> Option<Resize> {
        let terminal = terminal_of(Some(size()?), None);
        Some(Resize { rows: terminal.rows.into(), columns: terminal.columns.into() })
    }

    /// Waits until the size may have changed. Cancel safe.
    pub async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            Some(()) = self.resized.recv() => Ok(()),
            Some(()) = self.continued.recv() => match &self.raw {
                // A shell has had the terminal meanwhile.
                Some(RawMode(raw)) => raw.again().map_err(|source| Error::Kernel { act: "make the terminal raw again", source }),
                None => Ok(()),
            },
            else => std::future::pending().await,
        }
    }
}

/// signal(7): a stopped process goes on.
const SIGCONT: i32 = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_gets_our_size_and_our_type_or_good_ones() {
        let of = |rows, columns, term| {
            let terminal = terminal_of(Some(Size { rows, columns }), term);
            (terminal.rows, terminal.columns, terminal.term)
        };
        assert_eq!(of(50, 200, Some("screen.xterm-256color")), (50, 200, "screen.xterm-256color".to_owned()));
        assert_eq!(of(0, 0, None), (24, 80, TERM.to_owned()));
        assert_eq!(of(60_000, 1, Some("x; rm -rf /")), (4_096, 1, TERM.to_owned()));
        assert_eq!(of(1, 1, Some("")).2, TERM);
        assert_eq!(terminal_of(None, None).columns, 80);
    }
}
