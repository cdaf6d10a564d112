//! The life of a job, as a total function of state and event. Pure.
//!
//! ```text
//!           ┌──(no room yet)──┐
//! Found ──▶ Queued ──▶ Starting ──▶ Accepted ──▶ Running ──▶ Draining ──▶ Committing ──▶ Finished
//!   │ │       │ │          │ │         ▲ └────────(start failed)──▲           ▲
//!   │ │       │ │          │ └──▶ Rejected                                    │
//!   │ └───────│─│──────────│───(taken over)┘                                  │
//!   └─────────┴─│──────────┴────────(ended before it ran)─────────────────────┘
//!               └──▶ Postponed
//! any of them that is not over ──(the launcher is gone)──▶ Lost
//! ```
//!
//! `Found` is a job of an earlier server, in the store or with the launcher. Output may end before the command does, and the
//! command before its output: `Committing` needs both. A job is finished when its outcome is on disk, and not before.

use crate::store::RowState;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// An earlier server had it; what becomes of it is not decided yet.
    Found,
    /// Waits for its turn.
    Queued,
    /// The launcher has been asked.
    Starting,
    /// The launcher has taken it: there will be an outcome.
    Accepted {
        /// Its output has ended.
        output_ended: bool,
    },
    /// The command runs.
    Running {
        /// Its output has ended.
        output_ended: bool,
    },
    /// The outcome is known, output is still coming.
    Draining,
    /// Outcome and output are complete, and on their way to the disk.
    Committing,
    /// Over: the outcome is on disk.
    Finished,
    /// Never taken, and forgotten.
    Rejected,
    /// It waits on disk for another server.
    Postponed,
    /// Nobody will say how it ended.
    Lost,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was found on disk only, and can still be started.
    Requeued,
    /// The launcher has it, and hands it over.
    Adopted,
    /// Its turn has come.
    Admitted,
    /// It gets an outcome without having run: cancelled while it waited, lost, or refused after it was promised.
    EndedUnstarted,
    /// The launcher takes it.
    Accepted,
    /// The launcher has no room for it now.
    Deferred,
    /// The launcher, or this server, does not take it.
    Rejected,
    /// The server leaves, and the job has not been started.
    Postponed,
    /// The command runs.
    Started,
    /// The launcher reports the end.
    Exited,
    /// The output has ended, or is waited for no longer.
    OutputEnded,
    /// The outcome is on disk.
    Committed,
    /// The link has ended.
    LauncherGone,
}

/// Something came that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a job that is {state:?}")]
pub struct Unexpected {
    /// Where the job was, and stays.
    pub state: State,
    /// What came.
    pub event: Event,
}

impl State {
    /// Nothing more can happen, here.
    pub fn is_over(self) -> bool {
        matches!(self, State::Finished | State::Rejected | State::Postponed | State::Lost)
    }

    /// There is or will be an outcome, and the launcher had or has the job.
    pub fn is_accepted(self) -> bool {
        matches!(
            self,
            State::Accepted { .. }
                | State::Running { .. }
                | State::Draining
                | State::Committing
                | State::Finished
        )
    }

    /// As records and clients have it. Without an outcome on disk nobody is told that it is over.
    pub fn row(self) -> RowState {
        match self {
            State::Found | State::Queued | State::Postponed => RowState::Queued,
            State::Starting | State::Accepted { .. } => RowState::Starting,
            State::Running { .. } | State::Draining | State::Committing => RowState::Running,
            State::Finished | State::Rejected | State::Lost => RowState::Finished,
        }
    }
}

/// The next state.
///
/// # Errors
/// [`Unexpected`] for everything that the diagram does not show.
pub fn next(state: State, event: Event) -> Result<State, Unexpected> {
    use State::{
        Accepted, Committing, Draining, Finished, Found, Lost, Postponed, Queued, Rejected, Running, Starting,
    };
    match (state, event) {
        (Found, Event::Requeued) => Ok(Queued),
        (Found, Event::Adopted) => Ok(Accepted { output_ended: false }),
        (Queued, Event::Admitted) => Ok(Starting),
        (Queued, Event::Postponed) => Ok(Postponed),
        (Found | Queued | Starting, Event::EndedUnstarted) => Ok(Committing),
        (Queued | Starting, Event::Rejected) => Ok(Rejected),
        (Starting, Event::Deferred) => Ok(Queued),
        (Starting, Event::Accepted) => Ok(Accepted { output_ended: false }),
        (Accepted { output_ended }, Event::Started) => Ok(Running { output_ended }),
        (Accepted { output_ended: false }, Event::OutputEnded) => Ok(Accepted { output_ended: true }),
        (Running { output_ended: false }, Event::OutputEnded) => Ok(Running { output_ended: true }),
        (Accepted { output_ended } | Running { output_ended }, Event::Exited) => {
            Ok(if output_ended { Committing } else { Draining })
        }
        (Draining, Event::OutputEnded) => Ok(Committing),
        (Committing, Event::Committed) => Ok(Finished),
        (
            Found | Queued | Starting | Accepted { .. } | Running { .. } | Draining | Committing,
            Event::LauncherGone,
        ) => Ok(Lost),
        (
            Found
            | Queued
            | Starting
            | Accepted { .. }
            | Running { .. }
            | Draining
            | Committing
            | Finished
            | Rejected
            | Postponed
            | Lost,
            _,
        ) => Err(Unexpected { state, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [Event; 13] = [
        Event::Requeued,
        Event::Adopted,
        Event::Admitted,
        Event::EndedUnstarted,
        Event::Accepted,
        Event::Deferred,
        Event::Rejected,
        Event::Postponed,
        Event::Started,
        Event::Exited,
        Event::OutputEnded,
        Event::Committed,
        Event::LauncherGone,
    ];

    const STATES: [State; 13] = [
        State::Found,
        State::Queued,
        State::Starting,
        State::Accepted { output_ended: false },
        State::Accepted { output_ended: true },
        State::Running { output_ended: false },
        State::Running { output_ended: true },
        State::Draining,
        State::Committing,
        State::Finished,
        State::Rejected,
        State::Postponed,
        State::Lost,
    ];

    fn walk(from: State, events: &[Event]) -> Result<State, Unexpected> {
        events.iter().try_fold(from, |state, event| next(state, *event))
    }

    #[test]
    fn the_ways_through() {
        use Event::{
            Accepted, Admitted, Adopted, Committed, Deferred, EndedUnstarted, Exited, LauncherGone,
            OutputEnded, Rejected, Requeued, Started,
        };
        for (events, end) in [
            (&[Admitted, Accepted, Started, Exited, OutputEnded, Committed][..], State::Finished),
            (&[Admitted, Accepted, Started, OutputEnded, Exited, Committed], State::Finished),
            (&[Admitted, Accepted, OutputEnded, Started, Exited, Committed], State::Finished),
            (&[Admitted, Accepted, Exited, OutputEnded, Committed], State::Finished),
            (&[Admitted, Accepted, OutputEnded, Exited, Committed], State::Finished),
            (&[Admitted, Deferred, Admitted, Accepted], State::Accepted { output_ended: false }),
            (&[Admitted, Rejected], State::Rejected),
            (&[Rejected], State::Rejected),
            (&[EndedUnstarted, Committed], State::Finished),
            (&[Admitted, EndedUnstarted, Committed], State::Finished),
            (&[Event::Postponed], State::Postponed),
            (&[Admitted, Accepted, Started, Exited], State::Draining),
            (&[Admitted, Accepted, Started, Exited, OutputEnded], State::Committing),
            (&[Admitted, Accepted, LauncherGone], State::Lost),
        ] {
            assert_eq!(walk(State::Queued, events), Ok(end), "{events:?}");
        }
        for (events, end) in [
            (&[Adopted, Started, Exited, OutputEnded, Committed][..], State::Finished),
            (&[Adopted, Exited, OutputEnded, Committed], State::Finished),
            (&[Adopted, OutputEnded, Exited, Committed], State::Finished),
            (&[Requeued, Admitted, Accepted, Started], State::Running { output_ended: false }),
            (&[EndedUnstarted, Committed], State::Finished),
        ] {
            assert_eq!(walk(State::Found, events), Ok(end), "{events:?}");
        }
    }

    #[test]
    fn nothing_leads_out_of_an_end_and_every_other_state_has_a_way_to_one() {
        for state in STATES {
            let ways = EVENTS.iter().filter_map(|event| next(state, *event).ok());
            assert_eq!(ways.clone().count() == 0, state.is_over(), "{state:?}");
            // From everywhere an end can be reached without the launcher's death.
            let mut reached = vec![state];
            loop {
                let more: Vec<State> = reached
                    .iter()
                    .flat_map(|state| {
                        EVENTS
                            .iter()
                            .filter(|event| **event != Event::LauncherGone)
                            .map(|event| next(*state, *event))
                    })
                    .flatten()
                    .filter(|state| !reached.contains(state))
                    .collect();
                if more.is_empty() {
                    break;
                }
                reached.extend(more);
                reached.dedup();
            }
            assert!(reached.iter().any(|state| state.is_over()), "{state:?}");
        }
    }

    #[test]
    fn a_job_that_was_accepted_ends_finished_only_and_through_a_commit() {
        for state in STATES.into_iter().filter(|state| state.is_accepted()) {
            for event in EVENTS {
                let Ok(to) = next(state, event) else { continue };
                assert!(to.is_accepted() || event == Event::LauncherGone, "{state:?} {event:?}");
                assert_eq!(to == State::Finished, event == Event::Committed, "{state:?} {event:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_job_ends_at_most_once_and_never_comes_back(
            found: bool,
            picks in proptest::collection::vec(0..EVENTS.len(), 0..40),
        ) {
            let mut state = if found { State::Found } else { State::Queued };
            let (mut exits, mut commits) = (0, 0);
            for pick in picks {
                let event = EVENTS[pick];
                match next(state, event) {
                    Ok(to) => {
                        prop_assert!(!state.is_over(), "{:?} after {:?}", event, state);
                        prop_assert_ne!(state, to);
                        exits += usize::from(event == Event::Exited);
                        commits += usize::from(event == Event::Committed);
                        state = to;
                    }
                    Err(unexpected) => prop_assert_eq!(unexpected, Unexpected { state, event }),
                }
            }
            prop_assert!(exits <= 1 && commits <= 1);
        }
    }
}
