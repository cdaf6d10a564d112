//! The life of a job, as a total function of state and event. Pure.
//!
//! ```text
//! Queued ──▶ Starting ──▶ Accepted ──▶ Running ──▶ Draining ──▶ Finished
//!    │          │             └───────────(start failed)──▲──────────▲
//!    │          └──▶ Rejected                                        │
//!    └──────────────────────(cancelled while it waited)──────────────┘
//! any of them that is not over ──(the launcher is gone)──▶ Lost
//! ```
//!
//! Output may end before the command does, and the command before its output: `Finished` needs both.

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its turn.
    Queued,
    /// The launcher has been asked.
    Starting,
    /// The launcher has taken it: there will be an outcome.
    Accepted {
        /// Both pipes have ended.
        output_ended: bool,
    },
    /// The command runs.
    Running {
        /// Both pipes have ended.
        output_ended: bool,
    },
    /// The outcome is known, output is still coming.
    Draining,
    /// Over: outcome and output are complete.
    Finished,
    /// Never taken.
    Rejected,
    /// Nobody will say how it ended.
    Lost,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its turn has come.
    Admitted,
    /// Somebody ended it while it waited.
    CancelledInQueue,
    /// The launcher takes it.
    Accepted,
    /// The launcher, or this server, does not take it.
    Rejected,
    /// The command runs.
    Started,
    /// The launcher reports the end.
    Exited,
    /// Both pipes have ended, or are waited for no longer.
    OutputEnded,
    /// The link has ended.
    LauncherGone,
}

/// The launcher said something that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a job that is {state:?}")]
pub struct Unexpected {
    /// Where the job was, and stays.
    pub state: State,
    /// What came.
    pub event: Event,
}

impl State {
    /// Nothing more can happen.
    pub fn is_over(self) -> bool {
        matches!(self, State::Finished | State::Rejected | State::Lost)
    }

    /// There is or will be an outcome.
    pub fn is_accepted(self) -> bool {
        !matches!(self, State::Queued | State::Starting | State::Rejected | State::Lost)
    }
}

/// The next state.
///
/// # Errors
/// [`Unexpected`] for everything that the diagram does not show.
pub fn next(state: State, event: Event) -> Result<State, Unexpected> {
    use State::{Accepted, Draining, Finished, Lost, Queued, Rejected, Running, Starting};
    match (state, event) {
        (Queued, Event::Admitted) => Ok(Starting),
        (Queued, Event::CancelledInQueue) => Ok(Finished),
        (Queued | Starting, Event::Rejected) => Ok(Rejected),
        (Starting, Event::Accepted) => Ok(Accepted { output_ended: false }),
        (Accepted { output_ended }, Event::Started) => Ok(Running { output_ended }),
        (Accepted { output_ended: false }, Event::OutputEnded) => Ok(Accepted { output_ended: true }),
        (Running { output_ended: false }, Event::OutputEnded) => Ok(Running { output_ended: true }),
        (Accepted { output_ended } | Running { output_ended }, Event::Exited) => {
            Ok(if output_ended { Finished } else { Draining })
        }
        (Draining, Event::OutputEnded) => Ok(Finished),
        (Queued | Starting | Accepted { .. } | Running { .. } | Draining, Event::LauncherGone) => Ok(Lost),
        (Queued | Starting | Accepted { .. } | Running { .. } | Draining | Finished | Rejected | Lost, _) => {
            Err(Unexpected { state, event })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [Event; 8] = [
        Event::Admitted,
        Event::CancelledInQueue,
        Event::Accepted,
        Event::Rejected,
        Event::Started,
        Event::Exited,
        Event::OutputEnded,
        Event::LauncherGone,
    ];

    fn walk(events: &[Event]) -> Result<State, Unexpected> {
        events.iter().try_fold(State::Queued, |state, event| next(state, *event))
    }

    #[test]
    fn the_ways_through() {
        use Event::{Accepted, Admitted, CancelledInQueue, Exited, OutputEnded, Rejected, Started};
        for (events, end) in [
            (&[Admitted, Accepted, Started, Exited, OutputEnded][..], State::Finished),
            (&[Admitted, Accepted, Started, OutputEnded, Exited], State::Finished),
            (&[Admitted, Accepted, OutputEnded, Started, Exited], State::Finished),
            (&[Admitted, Accepted, Exited, OutputEnded], State::Finished),
            (&[Admitted, Accepted, OutputEnded, Exited], State::Finished),
            (&[Admitted, Rejected], State::Rejected),
            (&[Rejected], State::Rejected),
            (&[CancelledInQueue], State::Finished),
            (&[Admitted, Accepted, Started, Exited], State::Draining),
            (&[Admitted, Accepted, Event::LauncherGone], State::Lost),
        ] {
            assert_eq!(walk(events), Ok(end), "{events:?}");
        }
    }

    proptest! {
        #[test]
        fn a_job_ends_at_most_once_and_never_comes_back(picks in proptest::collection::vec(0..8usize, 0..30)) {
            let mut state = State::Queued;
            let mut exits = 0;
            for pick in picks {
                let event = EVENTS[pick];
                match next(state, event) {
                    Ok(to) => {
                        prop_assert!(!state.is_over(), "{:?} after {:?}", event, state);
                        prop_assert_ne!(state, to);
                        prop_assert!(!state.is_accepted() || to.is_accepted() || to == State::Lost);
                        exits += usize::from(event == Event::Exited);
                        state = to;
                    }
                    Err(unexpected) => prop_assert_eq!(unexpected, Unexpected { state, event }),
                }
            }
            prop_assert!(exits <= 1);
        }
    }
}
