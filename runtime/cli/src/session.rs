//! One job over one stream, `Run` or `Attach`: output to the writer, stdin to the job, signals to a cancel, until the end.
//!
//! The cancel goes by a call of its own: on the stream it would stand behind stdin that the job does not read.

mod call;

use bytes::Bytes;
use runtime_proto::v1::{
    CancelRequest, CloseStdin, JobFinished, JobInput, JobStarted, OutputChunk, OutputStream, job_input,
    job_service_client::JobServiceClient,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tonic::{Status, transport::Channel};

use crate::error::Error;
use crate::signals::{self, Signals, Wish};
use crate::stdio::{self, Input, WriteFailure, Writer};
pub use call::Call;
use call::{Event, Events};

/// What is known of the job at the end of the session.
#[derive(Debug, Default)]
pub struct Record {
    /// Its id, once it was taken.
    pub job_id: Option<String>,
    /// The start, once it was told.
    pub started: Option<JobStarted>,
    /// The end, once it was told.
    pub finished: Option<JobFinished>,
    /// The answer to `validate_only`.
    pub planned: Option<String>,
    /// The first signal upon which we cancelled.
    pub signal: Option<i32>,
    /// The reader of our output went away, upon which we cancelled.
    pub reader_gone: bool,
    /// What went wrong on our side or on the way.
    pub error: Option<Error>,
}

/// Makes the call and stays until the job's end. `stdin` hands our stdin on.
pub async fn hold(
    client: JobServiceClient<Channel>,
    call: Call,
    stdin: bool,
    signals: &mut Signals,
) -> Record {
    let streams = || {
        let stdin = if stdin { Some(stdio::start_reading()?) } else { None };
        Ok(Streams { stdin, writer: Writer::start()? })
    };
    hold_with(client, call, streams, signals).await
}

/// Where the bytes of a job come from and go to.
struct Streams {
    stdin: Option<mpsc::Receiver<Input>>,
    writer: Writer,
}

/// As [`hold`]; the streams are made once the daemon has taken the call, so that nothing of stdin is lost to a refusal.
async fn hold_with(
    mut client: JobServiceClient<Channel>,
    call: Call,
    streams: impl FnOnce() -> Result<Streams, Error>,
    signals: &mut Signals,
) -> Record {
    let failed = |error| Record { error: Some(error), ..Record::default() };
    let (inputs, queue) = mpsc::channel(1);
    let canceller = client.clone();
    let opened = tokio::select! {
        opened = call::open(&mut client, call, queue) => opened,
        signal = signals.next() => return failed(Error::Stopped { signal }),
    };
    match opened {
        Err(status) => failed(of_status(&status, None)),
        Ok(events) => match streams() {
            Ok(streams) => Session::new(canceller, inputs, streams).follow(events, signals).await,
            Err(error) => failed(error),
        },
    }
}

fn of_status(status: &Status, job: Option<&str>) -> Error {
    match job {
        Some(job) => Error::ConnectionLost { job: job.to_owned(), why: status.message().to_owned() },
        None => crate::client::refused(status),
    }
}

/// The state of [`Session::follow`].
struct Session {
    canceller: JobServiceClient<Channel>,
    cancels: tokio::task::JoinSet<Result<(), Status>>,
    inputs: mpsc::Sender<JobInput>,
    stdin: Option<mpsc::Receiver<Input>>,
    writer: Writer,
    /// Output that the writer has no room for yet; nothing more is read before.
    waiting_output: Option<(stdio::Stream, Bytes)>,
    waiting_input: Option<JobInput>,
    /// Bytes of stdout and stderr that have come.
    seen: [u64; 2],
    signals_seen: u32,
    record: Record,
}

impl Session {
    fn new(
        canceller: JobServiceClient<Channel>,
        inputs: mpsc::Sender<JobInput>,
        streams: Streams,
    ) -> Session {
        Session {
            canceller,
            cancels: tokio::task::JoinSet::new(),
            inputs,
            stdin: streams.stdin,
            writer: streams.writer,
            waiting_output: None,
            waiting_input: None,
            seen: [0; 2],
            signals_seen: 0,
            record: Record::default(),
        }
    }

    async fn follow(mut self, mut events: Events, signals: &mut Signals) -> Record {
        let mut writing = true;
        loop {
            let room_out = self.writer.chunks.clone();
            let room_in = self.inputs.clone();
            tokio::select! {
                signal = signals.next() => {
                    if !self.on_signal(signal) {
                        return self.record;
                    }
                }
                event = events.next(), if self.waiting_output.is_none() => match event {
                    Some(Ok(event)) => {
                        if self.on_event(event) {
                            break;
                        }
                    }
                    Some(Err(status)) => {
                        self.fail(of_status(&status, self.record.job_id.as_deref()));
                        break;
                    }
                    None => {
                        self.fail(Error::Protocol { what: "the stream ended before the job did".to_owned() });
                        break;
                    }
                },
                permit = room_out.reserve(), if self.waiting_output.is_some() => {
                    if let (Ok(permit), Some(chunk)) = (permit, self.waiting_output.take()) {
                        permit.send(chunk);
                    }
                }
                done = &mut self.writer.done, if writing => {
                    writing = false;
                    self.on_written(done);
                }
                input = next_input(&mut self.stdin), if self.waiting_input.is_none() => self.on_input(input),
                permit = room_in.reserve(), if self.waiting_input.is_some() => {
                    if let (Ok(permit), Some(input)) = (permit, self.waiting_input.take()) {
                        permit.send(input);
                    }
                }
                Some(cancelled) = self.cancels.join_next() => {
                    if let Ok(Err(status)) = cancelled {
                        self.fail(crate::client::refused(&status));
                    }
                }
            }
        }
        self.flush(writing, signals).await
    }

    /// Waits for the writer, unless a signal says that nobody wants the rest.
    async fn flush(mut self, writing: bool, signals: &mut Signals) -> Record {
        let Session { writer, ref mut record, waiting_output, .. } = self;
        let Writer { chunks, done } = writer;
        if !writing {
            return self.record;
        }
        let rest = async {
            if let Some(chunk) = waiting_output {
                // A writer that is gone has said why.
                drop(chunks.send(chunk).await);
            }
            drop(chunks);
            done.await
        };
        tokio::select! {
            done = rest => match done {
                Ok(Err(WriteFailure::ReaderGone)) => record.reader_gone = true,
                Ok(Err(WriteFailure::Failed(error))) => { record.error.get_or_insert(error); }
                Ok(Ok(())) | Err(_) => {}
            },
            signal = signals.next() => { record.error.get_or_insert(Error::Stopped { signal }); }
        }
        self.record
    }

    /// Whether it was the last one.
    fn on_event(&mut self, event: Event) -> bool {
        match event {
            Event::Accepted(id) => self.record.job_id = Some(id),
            Event::Job(job) => self.record.job_id = Some(job.job_id),
            Event::Started(started) => self.record.started = Some(started),
            Event::Output(chunk) => self.on_output(chunk),
            Event::Finished(finished) => {
                self.record.finished = Some(*finished);
                return true;
            }
            Event::Planned(plan) => {
                self.record.planned = Some(plan);
                return true;
            }
        }
        false
    }

    fn on_output(&mut self, chunk: OutputChunk) {
        let (stream, index, name) = match chunk.stream() {
            OutputStream::Stdout => (stdio::Stream::Stdout, 0, "stdout"),
            OutputStream::Stderr => (stdio::Stream::Stderr, 1, "stderr"),
            OutputStream::Unspecified => {
                self.fail(Error::Protocol { what: "output of no stream came".to_owned() });
                return;
            }
        };
        if chunk.offset_bytes != self.seen[index] {
            let what = format!("{name} came at byte {} after byte {}", chunk.offset_bytes, self.seen[index]);
            self.fail(Error::Protocol { what });
        }
        self.seen[index] =
            chunk.offset_bytes.saturating_add(u64::try_from(chunk.data.len()).unwrap_or(u64::MAX));
        if !self.record.reader_gone {
            self.waiting_output = Some((stream, chunk.data));
        }
    }

    /// Whether the session goes on. Before the job is taken, and at the third signal, it ends: the daemon then cancels.
    fn on_signal(&mut self, signal: i32) -> bool {
        let earlier = self.signals_seen;
        self.signals_seen += 1;
        self.record.signal.get_or_insert(signal);
        if self.record.job_id.is_none() || (earlier >= 2 && signals::wish(signal, earlier) == Wish::Kill) {
            self.record.error.get_or_insert(Error::Stopped { signal });
            return false;
        }
        self.cancel(signals::reason(signal), signals::wish(signal, earlier) == Wish::Kill);
        true
    }

    fn on_written(&mut self, done: Result<Result<(), WriteFailure>, oneshot::error::RecvError>) {
        self.waiting_output = None;
        // From here on output is read and thrown away, so that the daemon gets to the end.
        self.record.reader_gone |= matches!(done, Ok(Err(WriteFailure::ReaderGone)));
        match done {
            Ok(Err(WriteFailure::ReaderGone)) => self.cancel("the reader of the output went away", false),
            Ok(Err(WriteFailure::Failed(error))) => {
                self.fail(error);
                self.cancel("the output could not be written", false);
            }
            Ok(Ok(())) | Err(_) => {}
        }
    }

    fn on_input(&mut self, input: Option<Input>) {
        let input = match input {
            Some(Input::Bytes(bytes)) => job_input::Input::Stdin(bytes),
            Some(Input::Failed(error)) => {
                self.fail(error);
                self.stdin = None;
                job_input::Input::CloseStdin(CloseStdin {})
            }
            Some(Input::End) | None => {
                self.stdin = None;
                job_input::Input::CloseStdin(CloseStdin {})
            }
        };
        self.waiting_input = Some(JobInput { input: Some(input) });
    }

    fn cancel(&mut self, reason: &str, kill: bool) {
        let Some(job_id) = self.record.job_id.clone() else { return };
        let mut client = self.canceller.clone();
        let request = CancelRequest { job_id, reason: reason.to_owned(), kill };
        self.cancels.spawn(async move { client.cancel(request).await.map(drop) });
    }

    /// Keeps the first cause.
    fn fail(&mut self, error: Error) {
        self.record.error.get_or_insert(error);
    }
}

/// The next piece of stdin; never, when there is none.
async fn next_input(stdin: &mut Option<mpsc::Receiver<Input>>) -> Option<Input> {
    match stdin {
        Some(stdin) => stdin.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "session/tests.rs"]
mod tests;
