//! Run and Attach: one client of one job, both directions at once.

use super::Context;
use super::client::{Client, Over, Responses};
use super::errors::Reason;
use super::follow::{Event, Follower};
use super::input::{self, Later};
use super::output::Output;
use crate::jobs::{Job, Presence};
use crate::logs::reader;
use runtime_proto::v1;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Status, Streaming};

/// How long the first message of a stream may take.
const START_MAX: Duration = Duration::from_secs(10);

/// One client of one job, from the first message on.
pub(super) struct Session<M> {
    pub(super) context: Arc<Context>,
    pub(super) job: Arc<Job>,
    pub(super) presence: Presence,
    pub(super) messages: Streaming<M>,
    pub(super) by: String,
    pub(super) from: reader::From,
    /// Whether the client's half-close is the end of stdin.
    pub(super) closes_stdin: bool,
}

impl<M: Later + Send + 'static> Session<M> {
    /// For a client of Run: everything from the acceptance on.
    pub(super) fn run(self) -> Responses<v1::RunResponse> {
        let (client, responses) = Client::new(self.context.metrics.clone(), self.context.faults);
        tokio::spawn(self.serve(client, wrap_run, false, false));
        responses
    }

    /// For a client of Attach: the record, and what comes after it.
    pub(super) fn attach(self) -> Responses<v1::AttachResponse> {
        let (mut client, responses) = Client::new(self.context.metrics.clone(), self.context.faults);
        let now = Context::wire(&self.job);
        let told_started = now.start_time.is_some();
        let first = v1::AttachResponse { event: Some(v1::attach_response::Event::Job(now)) };
        tokio::spawn(async move {
            if client.tell(first).await.is_ok() {
                self.serve(client, wrap_attach, true, told_started).await;
            }
        });
        responses
    }

    /// Until the client has been told the end, has gone, or has sent something wrong.
    async fn serve<T: Send + 'static>(
        self,
        client: Client<T>,
        wrap: fn(Event) -> T,
        told_accepted: bool,
        told_started: bool,
    ) {
        let Session { context, job, presence, messages, by, from, closes_stdin } = self;
        let output = Output::new(job.log.clone(), from.into(), context.metrics.reader_opened());
        let (refuse, ours) = (client.clone(), Arc::clone(&context));
        let follower =
            Follower { context, job: Arc::clone(&job), output, client, wrap, told_accepted, told_started };
        let mut following = pin!(follower.follow());
        tokio::select! {
            () = &mut following => {}
            input = input::pass_on(&job, &by, closes_stdin, messages) => match input {
                Ok(()) => following.await,
                Err(status) => {
                    let Over = refuse.give_up(status).await;
                }
            },
        }
        if ours.is_retiring() {
            // The client has not gone: it comes back to the next server, so the job must not see it go.
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(presence);
            });
        }
    }
}

/// The message that says what the stream is about.
///
/// # Errors
/// When it does not come.
pub(super) async fn first_message<M>(messages: &mut Streaming<M>) -> Result<M, Status> {
    match tokio::time::timeout(START_MAX, messages.message()).await {
        Ok(first) => first?.ok_or_else(|| missing_start("the stream ended before `start`")),
        Err(_) => Err(Reason::StartTimeout.status("`start` did not come within 10 s: send it first")),
    }
}

/// The status of a stream that does not say what it is about.
pub(super) fn missing_start(text: &str) -> Status {
    Reason::MissingStart.status(text)
}

fn wrap_run(event: Event) -> v1::RunResponse {
    use v1::run_response::Event as Wire;
    let event = match event {
        Event::Accepted(accepted) => Wire::Accepted(accepted),
        Event::Started(started) => Wire::Started(started),
        Event::Output(chunk) => Wire::Output(chunk),
        Event::Gap(gap) => Wire::Gap(gap),
        Event::Finished(finished) => Wire::Finished(*finished),
        Event::Heartbeat => Wire::Heartbeat(v1::Heartbeat {}),
    };
    v1::RunResponse { event: Some(event) }
}

fn wrap_attach(event: Event) -> v1::AttachResponse {
    use v1::attach_response::Event as Wire;
    let event = match event {
        // A client that attaches knows the id; the record tells the state.
        Event::Accepted(_) | Event::Heartbeat => Wire::Heartbeat(v1::Heartbeat {}),
        Event::Started(started) => Wire::Started(started),
        Event::Output(chunk) => Wire::Output(chunk),
        Event::Gap(gap) => Wire::Gap(gap),
        Event::Finished(finished) => Wire::Finished(*finished),
    };
    v1::AttachResponse { event: Some(event) }
}
