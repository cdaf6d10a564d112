//! Our stdin on its way to the job: what was sent, what waits, and what a broken connection may have swallowed.

use runtime_proto::v1::{CloseStdin, Job, JobInput, JobState, job_input};
use tokio::sync::mpsc;

use super::keys::DetachKeys;
use crate::error::Error;
use crate::stdio::Input;

/// Opens our stdin, once the job is taken: nothing of it may be lost to a refusal.
pub type Source = Box<dyn FnOnce() -> Result<mpsc::Receiver<Input>, Error>>;

/// The state of stdin.
pub struct Feed {
    source: Option<Source>,
    pieces: Option<mpsc::Receiver<Input>>,
    /// Somebody types: what is lost shows, and can be typed again.
    typed: bool,
    keys: Option<DetachKeys>,
    waiting: Option<job_input::Input>,
    bytes_sent: u64,
    end_sent: bool,
}

/// What a piece of stdin meant.
#[derive(Debug)]
pub enum Fed {
    /// It is for the job, or nothing.
    Bytes,
    /// The keys that leave.
    Detach,
    /// It cannot be read; the job sees the end.
    Failed(Error),
}

impl Feed {
    /// No stdin.
    pub const fn none() -> Feed {
        Feed {
            source: None,
            pieces: None,
            typed: false,
            keys: None,
            waiting: None,
            bytes_sent: 0,
            end_sent: false,
        }
    }

    /// A stdin that is opened later. `keys` looks for those that leave.
    pub fn new(source: Source, typed: bool, keys: bool) -> Feed {
        Feed { source: Some(source), typed, keys: keys.then(DetachKeys::default), ..Feed::none() }
    }

    /// The job is taken: reading begins.
    pub fn start(&mut self) -> Result<(), Error> {
        if let Some(source) = self.source.take() {
            self.pieces = Some(source()?);
        }
        Ok(())
    }

    /// The next piece; never, when there is none or the one before waits. Cancel safe.
    pub async fn next(&mut self) -> Option<Input> {
        match &mut self.pieces {
            Some(pieces) if self.waiting.is_none() => pieces.recv().await,
            _ => std::future::pending().await,
        }
    }

    /// Takes a piece; it waits until there is room for it.
    pub fn take(&mut self, piece: Option<Input>) -> Fed {
        match piece {
            Some(Input::Bytes(bytes)) => {
                let (bytes, detach) = match &mut self.keys {
                    Some(keys) => keys.push(&bytes),
                    None => (bytes, false),
                };
                if detach {
                    self.pieces = None;
                    return Fed::Detach;
                }
                self.waiting = Some(bytes).filter(|bytes| !bytes.is_empty()).map(job_input::Input::Stdin);
                Fed::Bytes
            }
            Some(Input::Failed(error)) => {
                self.end();
                Fed::Failed(error)
            }
            Some(Input::End) | None => {
                self.end();
                Fed::Bytes
            }
        }
    }

    fn end(&mut self) {
        self.pieces = None;
        self.waiting = Some(job_input::Input::CloseStdin(CloseStdin {}));
    }

    /// Whether something waits to be sent.
    pub const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// What is sent now; from here on a broken connection may swallow it.
    pub fn send(&mut self) -> Option<JobInput> {
        let input = self.waiting.take()?;
        match &input {
            job_input::Input::Stdin(bytes) => {
                self.bytes_sent += u64::try_from(bytes.len()).unwrap_or(u64::MAX)
            }
            _ => self.end_sent = true,
        }
        Some(JobInput { input: Some(input) })
    }

    /// After a broken connection: whether stdin goes on without a doubt. `job` is as the daemon knows it now.
    pub fn survives(&mut self, job: &Job) -> bool {
        let arrived = job.state() == JobState::Finished || !job.stdin_open;
        let whole = arrived || self.typed || self.bytes_sent == 0;
        if whole && !arrived && self.end_sent {
            // The end alone may have been lost, and does no harm twice.
            self.end_sent = false;
            self.waiting = Some(job_input::Input::CloseStdin(CloseStdin {}));
        }
        whole
    }

    /// Nothing more is sent.
    pub fn stop(&mut self) {
        self.pieces = None;
        self.waiting = None;
    }
}

/// Bytes of stdin as tests send them.
#[cfg(test)]
pub fn piece(text: &'static str) -> Option<Input> {
    Some(Input::Bytes(bytes::Bytes::from_static(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, stdin_open: bool) -> Job {
        Job { state: state.into(), stdin_open, ..Default::default() }
    }

    fn fed(typed: bool, pieces: Vec<Option<Input>>) -> Feed {
        let mut feed = Feed { typed, ..Feed::none() };
        for piece in pieces {
            assert!(matches!(feed.take(piece), Fed::Bytes));
            assert!(feed.send().is_some());
        }
        feed
    }

    #[test]
    fn stdin_that_may_have_been_cut_is_never_taken_for_whole() {
        let open = job(JobState::Running, true);
        assert!(fed(false, vec![]).survives(&open), "nothing was sent");
        assert!(!fed(false, vec![piece("a")]).survives(&open));
        assert!(
            !fed(false, vec![piece("a"), Some(Input::End)]).survives(&open),
            "sent, and perhaps not there"
        );
        assert!(fed(false, vec![piece("a"), Some(Input::End)]).survives(&job(JobState::Running, false)));
        assert!(fed(false, vec![piece("a")]).survives(&job(JobState::Finished, true)));
        assert!(fed(true, vec![piece("a")]).survives(&open), "somebody types");
    }

    #[test]
    fn an_end_that_may_have_been_lost_is_told_again() {
        let mut feed = fed(false, vec![Some(Input::End)]);
        assert!(!feed.is_waiting() && feed.survives(&job(JobState::Running, true)));
        assert_eq!(feed.send().unwrap().input, Some(job_input::Input::CloseStdin(CloseStdin {})));
        let mut feed = fed(false, vec![Some(Input::End)]);
        assert!(feed.survives(&job(JobState::Running, false)) && !feed.is_waiting());
    }
}
