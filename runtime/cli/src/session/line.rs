//! The way to the daemon, and the way back to it when it breaks.
//!
//! State: `Whole → Broken (since, attempts) → Whole`. How long to wait is decided by [`Patience`], which knows no clock.

use std::pin::Pin;
use std::time::Duration;

use runtime_proto::v1::job_service_client::JobServiceClient;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Response, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{client, endpoint::Endpoint, error::Error, output};

/// How long a broken connection is tried again: a daemon that is upgraded or that crashed is back within seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same before the daemon has ever said anything: perhaps it is none.
const PATIENCE_UNHEARD: Duration = Duration::from_secs(10);
/// After this the caller is told, once.
const SILENT: Duration = Duration::from_secs(2);
/// First wait, doubled each time.
const WAIT_FIRST: Duration = Duration::from_millis(50);
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// One attempt.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Reasons with which a daemon asks to come back soon, before it has taken a job; every other refusal is the caller's to weigh. One
/// that shuts down is among them: a job that waits for its turn waits on disk for the next one, which may be there in a second.
const COME_BACK: [&str; 3] = ["SERVER_RESTARTING", "CONNECTION_DROPPED", "SHUTTING_DOWN"];

/// Makes a connection.
pub type Dial = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Channel, Error>>>>>;

/// The way to a daemon.
pub struct Line {
    channel: Channel,
    dial: Option<Dial>,
    /// A daemon has answered over this line.
    heard: bool,
    patience: Option<Patience>,
    next: Instant,
}

impl Line {
    /// A connection that cannot be made again: the private launcher's.
    pub fn once(channel: Channel) -> Line {
        Line { channel, dial: None, heard: false, patience: None, next: Instant::now() }
    }

    /// A connection that `dial` can make again.
    pub fn with(channel: Channel, dial: Dial) -> Line {
        Line { dial: Some(dial), ..Line::once(channel) }
    }

    /// Connects to a daemon; a failure now is told at once.
    pub async fn to(endpoint: Endpoint) -> Result<Line, Error> {
        let channel = client::connect(&endpoint).await?;
        let dial = move || -> Pin<Box<dyn Future<Output = Result<Channel, Error>>>> {
            let endpoint = endpoint.clone();
            Box::pin(async move { client::connect(&endpoint).await })
        };
        Ok(Line::with(channel, Box::new(dial)))
    }

    /// The calls about jobs, on the connection that there is now.
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        client::jobs(self.channel.clone())
    }

    /// Whether a broken connection can be made again.
    pub const fn can_return(&self) -> bool {
        self.dial.is_some()
    }

    /// The connection broke: [`Line::back`] may be awaited. Breaks without progress between them count as one.
    pub fn broke(&mut self) {
        let longest = if self.heard { PATIENCE } else { PATIENCE_UNHEARD };
        let patience = self.patience.get_or_insert_with(|| Patience::new(Instant::now(), longest));
        self.next = Instant::now() + patience.wait();
    }

    /// A daemon has answered. That alone is no progress: it may break off each time.
    pub const fn heard(&mut self) {
        self.heard = true;
    }

    /// Something came over the connection that a daemon only says when all is well.
    pub fn progress(&mut self) {
        self.heard = true;
        self.patience = None;
    }

    /// Connects again, with pauses, until it works or the time is up. Cancel safe: the next call goes on where this was.
    pub async fn back(&mut self) -> Result<(), Error> {
        loop {
            sleep_until(self.next).await;
            let (Some(dial), Some(patience)) = (&self.dial, &mut self.patience) else { return Ok(()) };
            if patience.is_to_be_told(Instant::now()) {
                let seconds = patience.longest.as_secs();
                output::complain(&format!(
                    "runtime: the connection to the daemon is lost; trying again for {seconds} s"
                ));
            }
            let failure = match timeout(ATTEMPT, dial()).await {
                Ok(Ok(channel)) => {
                    self.channel = channel;
                    return Ok(());
                }
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            let Some(patience) = &mut self.patience else { return Ok(()) };
            // Whoever has never answered and does not even listen any more was no daemon: its sockets outlive a server.
            if patience.is_over(Instant::now()) || (!self.heard && failure.is_some()) {
                let why = "it did not answer".to_owned();
                return Err(failure.unwrap_or(Error::Connect {
                    endpoint: "the daemon".to_owned(),
                    why,
                    next: "is it running?",
                }));
            }
            self.next = Instant::now() + patience.wait();
        }
    }

    /// Asks something that may be asked twice, as often as the connection breaks. `taken` as in [`is_broken`].
    pub async fn ask<T>(
        &mut self,
        taken: bool,
        call: impl AsyncFn(JobServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        loop {
            match call(self.jobs()).await {
                Ok(answer) => {
                    self.progress();
                    return Ok(answer.into_inner());
                }
                Err(status) if self.can_return() && is_broken(&status, taken) && !self.is_worn_out() => {
                    self.broke();
                    self.back().await?;
                }
                Err(status) => return Err(client::refused(&status)),
            }
        }
    }

    /// Whether there has been no progress for so long that it is time to give up, although connecting works.
    pub fn is_worn_out(&self) -> bool {
        self.patience.as_ref().is_some_and(|patience| patience.is_over(Instant::now()))
    }
}

/// How long and how often to try.
struct Patience {
    since: Instant,
    longest: Duration,
    attempts: u32,
    told: bool,
}

impl Patience {
    const fn new(since: Instant, longest: Duration) -> Patience {
        Patience { since, longest, attempts: 0, told: false }
    }

    /// The pause before the next attempt: none before the first, then doubled up to a bound.
    fn wait(&mut self) -> Duration {
        let attempt = self.attempts;
        self.attempts = self.attempts.saturating_add(1);
        match attempt {
            0 => Duration::ZERO,
            _ => WAIT_FIRST.saturating_mul(1 << (attempt - 1).min(10)).min(WAIT_MAX),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.longest
    }

    fn is_to_be_told(&mut self, now: Instant) -> bool {
        let late = !self.told && now.saturating_duration_since(self.since) >= SILENT;
        self.told |= late;
        late
    }
}

/// Whether a status says that the connection broke, and not that the daemon refuses. `taken` is whether the job is the daemon's
/// already: then even a daemon that is on its way down is asked again, for another one follows it.
pub fn is_broken(status: &Status, taken: bool) -> bool {
    let reason = status.get_details_error_info().map(|info| info.reason).filter(|reason| !reason.is_empty());
    match (status.code(), reason) {
        (Code::Unavailable, Some(reason)) => taken || COME_BACK.contains(&reason.as_str()),
        (Code::Unavailable, None) => true,
        // What the transport makes of a connection that ended in the middle. The daemon gives its reasons.
        (Code::Unknown | Code::Internal | Code::Cancelled, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn the_first_attempt_is_at_once_and_the_pauses_grow_to_a_bound() {
        let mut patience = Patience::new(Instant::now(), PATIENCE);
        let pauses: Vec<u128> = (0..9).map(|_| patience.wait().as_millis()).collect();
        assert_eq!(pauses, [0, 50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
    }

    #[test]
    fn a_break_is_told_once_and_ends_after_a_minute() {
        let start = Instant::now();
        let mut patience = Patience::new(start, PATIENCE);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!patience.is_to_be_told(after(1)));
        assert!(patience.is_to_be_told(after(2)));
        assert!(!patience.is_to_be_told(after(3)));
        assert!(!patience.is_over(after(59)) && patience.is_over(after(60)));
    }

    #[test]
    fn a_refusal_is_told_from_a_broken_connection() {
        let with_reason = |code, reason: &str| {
            let details =
                ErrorDetails::with_error_info(reason, "runtime.v1", std::collections::HashMap::new());
            Status::with_error_details(code, "x", details)
        };
        let table = [
            (Status::unavailable("gone"), false, true),
            (Status::unknown("transport error"), false, true),
            (Status::internal("h2 protocol error"), true, true),
            (with_reason(Code::Internal, "DUPLICATE_JOB"), false, false),
            (with_reason(Code::Unavailable, "DRAINING"), false, false),
            (with_reason(Code::Unavailable, "DRAINING"), true, true),
            (with_reason(Code::Unavailable, "SHUTTING_DOWN"), false, true),
            (with_reason(Code::Unavailable, "SERVER_RESTARTING"), false, true),
            (with_reason(Code::Unavailable, "STATE_READ_ONLY"), false, false),
            (Status::resource_exhausted("full"), true, false),
            (Status::not_found("no such job"), true, false),
        ];
        for (status, taken, broken) in table {
            assert_eq!(is_broken(&status, taken), broken, "{status:?} {taken}");
        }
    }
}
