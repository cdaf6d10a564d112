//! The way to one client: a bounded queue of messages, and the faults that an operator asked for.
//!
//! Whoever tells waits while the client does not read; nothing else waits for it.

use super::HEARTBEAT;
use super::errors::{Reason, reason_of};
use crate::metrics::Metrics;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

/// Messages that wait for a client, at most 256 KiB each.
pub(super) const RESPONSES_MAX: usize = 4;

/// What goes wrong with clients on purpose (`--fault`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientFaults {
    /// Each message waits so long.
    pub slow_reader: Option<Duration>,
    /// A stream breaks off each time that so many bytes of output went over it.
    pub drop_after_bytes: Option<u64>,
}

/// The stream is over: the client has gone, or has been told all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over;

/// One client's messages.
#[derive(Debug)]
pub(super) struct Client<T> {
    to: mpsc::Sender<Result<T, Status>>,
    metrics: Metrics,
    faults: ClientFaults,
    /// Bytes of output that went over this stream.
    bytes: u64,
    /// When the last message was given away.
    told_at: Instant,
}

/// What a client reads from.
pub(super) type Responses<T> = tokio_stream::wrappers::ReceiverStream<Result<T, Status>>;

impl<T> Client<T> {
    pub(super) fn new(metrics: Metrics, faults: ClientFaults) -> (Client<T>, Responses<T>) {
        let (to, responses) = mpsc::channel(RESPONSES_MAX);
        let told_at = Instant::now();
        (Client { to, metrics, faults, bytes: 0, told_at }, Responses::new(responses))
    }

    /// Says something that has no output in it.
    pub(super) async fn tell(&mut self, message: T) -> Result<(), Over> {
        if let Some(pause) = self.faults.slow_reader {
            tokio::time::sleep(pause).await;
        }
        self.to.send(Ok(message)).await.map_err(|_| Over)?;
        self.told_at = Instant::now();
        Ok(())
    }

    /// Returns when the client has heard nothing for so long that it needs a sign of life.
    pub(super) async fn silence(&self) {
        tokio::time::sleep_until(self.told_at + HEARTBEAT).await;
    }

    /// Says something with so many bytes of output in it.
    pub(super) async fn tell_output(&mut self, message: T, bytes: usize) -> Result<(), Over> {
        self.tell(message).await?;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        match self.faults.drop_after_bytes {
            Some(most) if self.bytes >= most => {
                let text = "the stream was broken off by --fault drop-connection-after: call again, with the cursors after what came last";
                Err(self.give_up(Reason::ConnectionDropped.status(text)).await)
            }
            _ => Ok(()),
        }
    }

    /// Ends the stream with an error.
    pub(super) async fn give_up(&self, status: Status) -> Over {
        if let Some(reason) = reason_of(&status) {
            self.metrics.refused(reason);
        }
        if self.to.send(Err(status)).await.is_err() {
            tracing::debug!("the client has gone already");
        }
        Over
    }

    /// Returns when the client has gone.
    pub(super) async fn gone(&self) {
        self.to.closed().await;
    }
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Client<T> {
        let Client { to, metrics, faults, bytes, told_at } = self;
        Client { to: to.clone(), metrics: metrics.clone(), faults: *faults, bytes: *bytes, told_at: *told_at }
    }
}

#[cfg(test)]
mod tests;
