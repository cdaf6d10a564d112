//! One job over one stream, `Run` or `Attach`: output to the screen, stdin to the job, signals to a cancel, until the end.
//!
//! ```text
//! open ─▶ taken ─▶ finished          open, taken ─▶ broken ─▶ open    (`line`: as long as there is patience)
//! ```
//!
//! A stream that breaks is opened again: before the job was taken by the same call with the same idempotency key, afterwards by
//! `Attach` from the cursors of the screen, so that no byte is missing and none comes twice. The cancel goes by a call of its
//! own: on the stream it would stand behind stdin that the job does not read.

mod call;
mod ending;
mod events;
mod feed;
mod keys;
mod line;
mod record;

use std::time::Duration;

use runtime_proto::v1::{AttachStart, CancelRequest, JobInput, Resize, job_input};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;

use crate::error::Error;
use crate::screen::{Look, Screen};
use crate::signals::Signals;
use crate::stdio::WriteFailure;
use crate::{stdio, terminal};
pub use call::Call;
use call::{Event, Events};
use feed::{Fed, Feed};
pub use line::{Line, is_broken};
pub use record::Record;

/// A daemon that says nothing for so long is gone; it says something every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long the end of a job that is not taken yet is waited for, after a signal.
const LEAVE_AFTER: Duration = Duration::from_secs(2);

/// What of ours the job gets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wants {
    /// Our stdin.
    pub stdin: bool,
    /// Our terminal: its size and, with `stdin`, its keys.
    pub terminal: bool,
    /// Ctrl-P Ctrl-Q leaves.
    pub detach_keys: bool,
    /// How its output is shown.
    pub look: Look,
}

/// Makes the call and stays until the job's end.
pub async fn hold(line: Line, call: Call, wants: Wants, signals: &mut Signals) -> Record {
    let typed = terminal::types();
    let lent = wants.terminal.then(|| terminal::Lent::new(wants.stdin && typed)).transpose();
    let screen = Screen::start(wants.look).map(Screen::at_the_start);
    let feed = match wants.stdin {
        true => Feed::new(Box::new(stdio::start_reading), typed, wants.detach_keys && typed),
        false => Feed::none(),
    };
    match (lent, screen) {
        (Ok(lent), Ok(screen)) => Session::new(line, call, feed, screen, lent).follow(signals).await,
        (Err(error), _) | (_, Err(error)) => Record::failed(error),
    }
}

/// The state of [`Session::follow`].
struct Session {
    line: Line,
    call: Call,
    inputs: mpsc::Sender<JobInput>,
    feed: Feed,
    screen: Screen,
    terminal: Option<terminal::Lent>,
    /// A size that the job does not know yet.
    size: Option<Resize>,
    cancels: tokio::task::JoinSet<Result<(), Status>>,
    /// What was asked for by a cancel, to be asked for again after a broken connection.
    cancel: Option<CancelRequest>,
    leave_at: Option<Instant>,
    signals_seen: u32,
    record: Record,
}

impl Session {
    fn new(line: Line, call: Call, feed: Feed, screen: Screen, terminal: Option<terminal::Lent>) -> Session {
        Session {
            line,
            call,
            // Replaced when the call is opened.
            inputs: mpsc::channel(1).0,
            feed,
            screen,
            terminal,
            size: None,
            cancels: tokio::task::JoinSet::new(),
            cancel: None,
            leave_at: None,
            signals_seen: 0,
            record: Record::default(),
        }
    }

    async fn follow(mut self, signals: &mut Signals) -> Record {
        let mut events = Some(self.open());
        loop {
            let (room_out, room_in) = (self.screen.queue(), self.inputs.clone());
            let silence = self.line.can_return().then_some(SILENCE_MAX);
            let go_on = tokio::select! {
                signal = signals.next() => self.on_signal(signal, events.is_some()),
                event = next_event(&mut events, silence), if self.screen.has_room() => match event {
                    Some(Ok(event)) => self.on_event(event),
                    Some(Err(status)) => {
                        events = None;
                        self.on_status(&status)
                    }
                    None => {
                        self.record.fail(Error::Protocol { what: "the stream ended before the job did".to_owned() });
                        false
                    }
                },
                back = self.line.back(), if events.is_none() => match back {
                    Ok(()) => {
                        events = Some(self.open());
                        true
                    }
                    Err(error) => {
                        self.record.fail(self.lost(&error.to_string()));
                        false
                    }
                },
                room = room_out.reserve(), if !self.screen.has_room() => {
                    if let Ok(room) = room {
                        self.screen.hand_over(room);
                    }
                    true
                }
                done = writer_done(&mut self.screen) => {
                    self.on_written(done);
                    true
                }
                piece = self.feed.next() => {
                    let fed = self.feed.take(piece);
                    self.on_fed(fed)
                }
                room = room_in.reserve(), if self.has_input() && events.is_some() => {
                    if let (Ok(room), Some(input)) = (room, self.next_input()) {
                        room.send(input);
                    }
                    true
                }
                changed = changed(&mut self.terminal) => {
                    self.size = self.terminal.as_ref().and_then(terminal::Lent::size);
                    self.record.fail_if(changed);
                    true
                }
                Some(cancelled) = self.cancels.join_next() => {
                    self.on_cancelled(cancelled);
                    true
                }
                () = at(self.leave_at) => false,
            };
            if !go_on {
                break;
            }
        }
        drop(events);
        self.flush(signals).await
    }

    /// Makes the call: the first one until the job is taken, `Attach` afterwards.
    fn open(&mut self) -> Events {
        let (inputs, queue) = mpsc::channel(1);
        self.inputs = inputs;
        let [stdout, stderr] = self.screen.cursors().map(Option::unwrap_or_default);
        let call = match &self.record.job_id {
            Some(job_id) => Call::Attach(AttachStart {
                job_id: job_id.clone(),
                stdout_offset_bytes: stdout,
                stderr_offset_bytes: stderr,
            }),
            None => self.call.clone(),
        };
        call::open(self.line.jobs(), call, queue)
    }

    /// Whether the session goes on.
    fn on_fed(&mut self, fed: Fed) -> bool {
        match fed {
            Fed::Bytes => {}
            Fed::Failed(error) => self.record.fail(error),
            Fed::Detach => self.record.detached = true,
        }
        !self.record.detached
    }

    const fn has_input(&self) -> bool {
        self.record.job_id.is_some() && (self.size.is_some() || self.feed.is_waiting())
    }

    fn next_input(&mut self) -> Option<JobInput> {
        match self.size.take() {
            Some(size) => Some(JobInput { input: Some(job_input::Input::Resize(size)) }),
            None => self.feed.send(),
        }
    }
}

/// The next event; never, without a stream.
async fn next_event(
    events: &mut Option<Events>,
    silence_max: Option<Duration>,
) -> Option<Result<Event, Status>> {
    match (events, silence_max) {
        (Some(events), Some(longest)) => match timeout(longest, events.next()).await {
            Ok(event) => event,
            Err(_) => Some(Err(Status::unavailable("the daemon says nothing any more"))),
        },
        (Some(events), None) => events.next().await,
        (None, _) => std::future::pending().await,
    }
}

/// What the writer says at its end; never, after it.
async fn writer_done(screen: &mut Screen) -> Result<(), WriteFailure> {
    match screen.is_writing() {
        true => screen.done().await.unwrap_or(Ok(())),
        false => std::future::pending().await,
    }
}

async fn changed(terminal: &mut Option<terminal::Lent>) -> Result<(), Error> {
    match terminal {
        Some(terminal) => terminal.changed().await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "session/tests.rs"]
pub mod tests;
