//! What a client sends to a job that exists: stdin, its end, signals, the terminal's size, the cancel.
//!
//! Messages of one stream are taken in order. While the job does not read its stdin, the later ones wait behind (at
//! most 4 pieces are taken ahead): a client that wants the end of such a job calls JobService.Cancel.

use super::convert::size_from_wire;
use super::errors::Reason;
use crate::jobs::{Command, Job, NotDone, StdinPiece};
use runtime_plan::link::REASON_BYTES_MAX;
use runtime_proto::v1::{self, job_input::Input};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

/// The most in one piece of stdin.
const STDIN_BYTES_MAX: usize = 1024 * 1024;

/// The input in a message after the first.
pub(super) trait Later {
    /// # Errors
    /// When it is a first message, or nothing that this version knows.
    fn input(self) -> Result<v1::JobInput, Status>;
}

impl Later for v1::RunRequest {
    fn input(self) -> Result<v1::JobInput, Status> {
        match self.request {
            Some(v1::run_request::Request::Input(input)) => Ok(input),
            Some(v1::run_request::Request::Start(_)) => Err(unexpected_start()),
            None => Err(empty()),
        }
    }
}

impl Later for v1::AttachRequest {
    fn input(self) -> Result<v1::JobInput, Status> {
        match self.request {
            Some(v1::attach_request::Request::Input(input)) => Ok(input),
            Some(v1::attach_request::Request::Start(_)) => Err(unexpected_start()),
            None => Err(empty()),
        }
    }
}

fn unexpected_start() -> Status {
    Reason::UnexpectedStart
        .status("`start` came again: send it once, and open another stream for another job")
}

fn empty() -> Status {
    Reason::EmptyInput.status("the message has no kind that this version knows")
}

/// Passes on what the client sends until it stops. `closes_stdin` says whether the client's half-close is the end of
/// stdin, as it is for the client that runs the job.
///
/// # Errors
/// The first message that is wrong. A client that has gone is no error: its responses end too.
pub(super) async fn pass_on<M: Later>(
    job: &Job,
    by: &str,
    closes_stdin: bool,
    mut messages: impl Stream<Item = Result<M, Status>> + Unpin,
) -> Result<(), Status> {
    while let Some(message) = messages.next().await {
        match message {
            Ok(message) => take(job, by, message.input()?).await?,
            Err(error) => {
                tracing::debug!(job = %job.record.id, code = ?error.code(), "the client's messages ended");
                return Ok(());
            }
        }
    }
    if closes_stdin {
        return feed(job, StdinPiece::Close).await;
    }
    Ok(())
}

async fn take(job: &Job, by: &str, message: v1::JobInput) -> Result<(), Status> {
    match message.input.ok_or_else(empty)? {
        Input::Stdin(bytes) if bytes.len() > STDIN_BYTES_MAX => {
            let text =
                format!("a piece of stdin is {} bytes, over the bound of {STDIN_BYTES_MAX}", bytes.len());
            Err(Reason::StdinTooLarge.status(text))
        }
        Input::Stdin(bytes) => feed(job, StdinPiece::Bytes(bytes)).await,
        Input::CloseStdin(_) => feed(job, StdinPiece::Close).await,
        Input::Signal(v1::SignalInput { signal: number }) => {
            let command = Command::Signal { signal: signal(number)?, all: false };
            if let Err(why) = job.command(command).await {
                // The stream tells when the command starts and ends: whoever sent this could not know it yet.
                tracing::debug!(job = %job.record.id, ?why, "no signal was sent");
            }
            Ok(())
        }
        Input::Cancel(v1::CancelInput { reason, kill }) => cancel(job, by, reason, kill).await,
        Input::Resize(size) => resize(job, size).await,
    }
}

/// The number of a signal.
///
/// # Errors
/// When it is none of signal(7).
pub(super) fn signal(number: i32) -> Result<i32, Status> {
    if (1..=64).contains(&number) {
        return Ok(number);
    }
    Err(Reason::BadSignal.status(format!("{number} is no signal: give a number from 1 to 64")))
}

async fn resize(job: &Job, size: v1::Resize) -> Result<(), Status> {
    let (rows, columns) = size_from_wire(size)?;
    match job.command(Command::Resize { rows, columns }).await {
        Ok(()) | Err(NotDone::NotRunning) => Ok(()),
        Err(NotDone::NoTerminal) => {
            Err(Reason::NoTerminal.status("the job has no terminal: set `terminal` in its spec"))
        }
    }
}

/// Ends a job in somebody's name.
///
/// # Errors
/// When the words are too many.
pub(super) async fn cancel(job: &Job, by: &str, reason: String, kill: bool) -> Result<(), Status> {
    if reason.len() > REASON_BYTES_MAX {
        let text =
            format!("the reason is {} bytes, over the bound of {REASON_BYTES_MAX}: shorten it", reason.len());
        return Err(Reason::ReasonTooLong.status(text));
    }
    if let Err(why) = job.command(Command::Cancel { by: by.to_owned(), reason, kill }).await {
        tracing::debug!(job = %job.record.id, ?why, "nothing is left to cancel");
    }
    Ok(())
}

async fn feed(job: &Job, piece: StdinPiece) -> Result<(), Status> {
    let no_stdin = |_| Reason::NoStdin.status("the job takes no stdin: set `stdin` in its spec");
    job.feed(piece).await.map_err(no_stdin)
}
