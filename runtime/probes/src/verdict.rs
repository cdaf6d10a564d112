//! What a probe is and how its answer is judged: refused, reached, or not tried at all.
//!
//! Judging only: nothing here enters the kernel.

use crate::kernel::{Outcome, errno_name};
use std::fmt::Display;

/// What a probe that could be tried found.
#[derive(Debug)]
pub enum Verdict {
    /// The attack was refused; the text is the fact that shows it.
    Contained(String),
    /// The attack worked; the text says what was reached.
    Breached(String),
}

/// Why a probe could not be tried: a step before the attack failed for another reason.
#[derive(Debug)]
pub struct Broken(pub String);

/// The answer of a probe.
pub type Tried = Result<Verdict, Broken>;

impl From<String> for Broken {
    fn from(text: String) -> Self {
        Broken(text)
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Broken(format!("set-up: {error}"))
    }
}

/// Names the set-up step that failed.
pub trait Step<T> {
    /// Turns a failure into `broken: STEP: cause`.
    fn step(self, step: &str) -> Result<T, Broken>;
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: &str) -> Result<T, Broken> {
        self.map_err(|error| Broken(format!("{step}: {error}")))
    }
}

impl<T> Step<T> for Result<T, i32> {
    fn step(self, step: &str) -> Result<T, Broken> {
        self.map_err(|errno| Broken(format!("{step}: {}", errno_name(errno))))
    }
}

/// Shorthand.
pub fn contained(detail: impl Display) -> Tried {
    Ok(Verdict::Contained(detail.to_string()))
}

/// Shorthand.
pub fn breached(detail: impl Display) -> Tried {
    Ok(Verdict::Breached(detail.to_string()))
}

/// Shorthand.
pub fn broken(detail: impl Display) -> Tried {
    Err(Broken(detail.to_string()))
}

/// Breached when the condition holds, else contained; the same fact is the detail of both.
pub fn breached_if(condition: bool, detail: impl Display) -> Tried {
    if condition { breached(detail) } else { contained(detail) }
}

/// An act that must fail with one of these errnos. Any other errno means that the act could not be tried.
pub fn refused(act: &str, outcome: Outcome, refusals: &[i32]) -> Tried {
    match outcome {
        Ok(value) => breached(format!("{act} succeeded ({value})")),
        Err(errno) if refusals.contains(&errno) => contained(format!("{act}: {}", errno_name(errno))),
        Err(errno) => broken(format!("{act}: {} is no refusal", errno_name(errno))),
    }
}

/// An act whose mere arrival in the kernel's handler is the attack: any answer other than these is one of the handler.
pub fn unreached(act: &str, outcome: Outcome, refusals: &[i32]) -> Tried {
    match outcome {
        Ok(value) => breached(format!("{act} succeeded ({value})")),
        Err(errno) if refusals.contains(&errno) => contained(format!("{act}: {}", errno_name(errno))),
        Err(errno) => breached(format!("{act}: the kernel's handler answered {}", errno_name(errno))),
    }
}

/// Several attacks of one kind: breached when any of them worked, contained when all were refused.
pub fn all_contained(answers: impl IntoIterator<Item = Tried>) -> Tried {
    let (mut contained_texts, mut breached_texts) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer? {
            Verdict::Contained(text) => contained_texts.push(text),
            Verdict::Breached(text) => breached_texts.push(text),
        }
    }
    if !breached_texts.is_empty() {
        breached(breached_texts.join("; "))
    } else if contained_texts.is_empty() {
        broken("nothing was tried")
    } else {
        contained(contained_texts.join("; "))
    }
}

/// When a probe runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With `all`.
    All,
    /// By name only: it may take the whole job with it.
    Solo,
    /// By name only: one half of a story over two jobs.
    Half,
}

/// One attack.
pub struct Probe {
    /// `ROW.variant`.
    pub id: &'static str,
    /// What is tried, in a few words.
    pub name: &'static str,
    /// The walls that must all be off before it succeeds, or `-` when no switch lets it.
    pub walls: &'static str,
    /// Why `-`, or what else stands in the way.
    pub note: &'static str,
    /// When it runs.
    pub mode: Mode,
    /// It would harm a host: refuses to run without `PROBE_INSIDE=1`.
    pub inside: bool,
    /// Environment variables with facts that only the harness knows.
    pub needs: &'static [&'static str],
    /// Seconds before it is stopped.
    pub seconds: u32,
    /// A signal that ends the probe and by that contains the attack.
    pub fatal: Option<i32>,
    /// The attack.
    pub run: fn(&[i64]) -> Tried,
    /// Its arguments, when several probes share a function.
    pub args: &'static [i64],
}

impl Probe {
    /// A probe that runs with `all`.
    pub const fn new(
        id: &'static str,
        name: &'static str,
        walls: &'static str,
        run: fn(&[i64]) -> Tried,
    ) -> Probe {
        Probe {
            id,
            name,
            walls,
            note: "",
            mode: Mode::All,
            inside: false,
            needs: &[],
            seconds: 10,
            fatal: None,
            run,
            args: &[],
        }
    }

    /// Sets the arguments.
    pub const fn args(mut self, args: &'static [i64]) -> Probe {
        self.args = args;
        self
    }

    /// Sets the note.
    pub const fn note(mut self, note: &'static str) -> Probe {
        self.note = note;
        self
    }

    /// Refuses to run on a bare host.
    pub const fn inside(mut self) -> Probe {
        self.inside = true;
        self
    }

    /// Sets when it runs.
    pub const fn mode(mut self, mode: Mode) -> Probe {
        self.mode = mode;
        self
    }

    /// Sets the facts that it needs.
    pub const fn needs(mut self, needs: &'static [&'static str]) -> Probe {
        self.needs = needs;
        self
    }

    /// Sets its deadline.
    pub const fn seconds(mut self, seconds: u32) -> Probe {
        self.seconds = seconds;
        self
    }

    /// Sets the signal that contains it.
    pub const fn fatal(mut self, signal: i32) -> Probe {
        self.fatal = Some(signal);
        self
    }
}
