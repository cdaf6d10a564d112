//! What ends a job early, and the end of the session: signals, a reader that goes away, the cancel.

use runtime_proto::v1::{CancelInput, CancelRequest, JobInput, job_input};
use tokio::task::JoinError;
use tokio::time::Instant;
use tonic::Status;

use super::{LEAVE_AFTER, Record, Session, is_broken};
use crate::client;
use crate::error::Error;
use crate::signals::{self, Signals, Wish};
use crate::stdio::WriteFailure;

impl Session {
    /// Whether the session goes on. Before the job is taken a signal asks for its end and leaves soon, at the third it leaves in
    /// any case: the daemon then cancels.
    pub(super) fn on_signal(&mut self, signal: i32, connected: bool) -> bool {
        let earlier = self.signals_seen;
        self.signals_seen += 1;
        self.record.signal.get_or_insert(signal);
        let kill = signals::wish(signal, earlier) == Wish::Kill;
        if self.record.job_id.is_some() && !(earlier >= 2 && kill) {
            self.cancel(signals::reason(signal), kill);
            return true;
        }
        let cancel = CancelInput { reason: signals::reason(signal).to_owned(), kill: false };
        let input = JobInput { input: Some(job_input::Input::Cancel(cancel)) };
        let asked = self.record.job_id.is_none() && connected && earlier == 0 && self.line.can_return();
        self.leave_at = (asked && self.inputs.try_send(input).is_ok()).then(|| Instant::now() + LEAVE_AFTER);
        self.leave_at.is_some()
    }

    pub(super) fn on_written(&mut self, done: Result<(), WriteFailure>) {
        self.screen.close();
        match done {
            Err(WriteFailure::ReaderGone) => {
                self.record.reader_gone = true;
                self.cancel("the reader of the output went away", false);
            }
            Err(WriteFailure::Failed(error)) => {
                self.record.fail(error);
                self.cancel("the output could not be written", false);
            }
            Ok(()) => {}
        }
    }

    pub(super) fn cancel(&mut self, reason: &str, kill: bool) {
        let Some(job_id) = self.record.job_id.clone() else { return };
        let mut client = self.line.jobs();
        let request = CancelRequest { job_id, reason: reason.to_owned(), kill };
        self.cancel = Some(request.clone());
        self.cancels.spawn(async move { client.cancel(request).await.map(drop) });
    }

    pub(super) fn on_cancelled(&mut self, cancelled: Result<Result<(), Status>, JoinError>) {
        match cancelled {
            // It is asked for again when the connection is back.
            Ok(Err(status)) if self.line.can_return() && is_broken(&status, true) => {}
            Ok(Err(status)) => self.record.fail(client::refused(&status)),
            Ok(Ok(())) | Err(_) => {}
        }
    }

    /// Gives the terminal back and waits for the writer, unless a signal says that nobody wants the rest.
    pub(super) async fn flush(self, signals: &mut Signals) -> Record {
        let Session { screen, mut record, terminal, .. } = self;
        if let (Some(signal), None, None) = (record.signal, &record.finished, &record.error) {
            record.fail(Error::Stopped { signal });
        }
        tokio::select! {
            flushed = screen.flush() => match flushed {
                Err(WriteFailure::ReaderGone) => record.reader_gone = true,
                Err(WriteFailure::Failed(error)) => record.fail(error),
                Ok(()) => {}
            },
            signal = signals.next() => record.fail(Error::Stopped { signal }),
        }
        drop(terminal);
        record
    }
}
