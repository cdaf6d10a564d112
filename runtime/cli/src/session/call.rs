//! The two calls that a session can make, `Run` and `Attach`, brought to one form: inputs out, events in.

use std::pin::Pin;

use runtime_proto::v1::{
    AttachRequest, AttachResponse, AttachStart, Job, JobFinished, JobInput, JobStarted, OutputChunk,
    OutputGap, RunRequest, RunResponse, RunStart, attach_request, attach_response,
    job_service_client::JobServiceClient, run_request, run_response,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Status, transport::Channel};

/// What comes from the daemon, of either call.
#[derive(Debug)]
pub enum Event {
    /// The job is taken; its id.
    Accepted(String),
    /// The job as it is now.
    Job(Box<Job>),
    /// The command runs.
    Started(JobStarted),
    /// Some output.
    Output(OutputChunk),
    /// Output that is kept no longer.
    Gap(OutputGap),
    /// The end.
    Finished(Box<JobFinished>),
    /// The answer to `validate_only`.
    Planned(String),
    /// A sign of life, or something of a later version.
    Nothing,
}

/// Which call the session makes.
#[derive(Debug, Clone)]
pub enum Call {
    /// A new job.
    Run(Box<RunStart>),
    /// A job that there is.
    Attach(AttachStart),
}

/// A call that is open: its events, the daemon's refusal among them. Dropped, it is hung up.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Result<Event, Status>>,
    task: tokio::task::JoinHandle<()>,
}

impl Events {
    /// The next event; `None` after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Event, Status>> {
        self.queue.recv().await
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

/// Makes the call. One event waits in a queue, so a session that does not listen stops the daemon.
pub fn open(client: JobServiceClient<Channel>, call: Call, inputs: mpsc::Receiver<JobInput>) -> Events {
    let (send, queue) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let mut answers = match answers(client, call, inputs).await {
            Ok(answers) => answers,
            Err(status) => Box::pin(tokio_stream::once(Err(status))),
        };
        while let Some(event) = answers.next().await {
            if send.send(event).await.is_err() {
                return;
            }
        }
    });
    Events { queue, task }
}

async fn answers(
    mut client: JobServiceClient<Channel>,
    call: Call,
    inputs: mpsc::Receiver<JobInput>,
) -> Result<Answers, Status> {
    let inputs = ReceiverStream::new(inputs);
    match call {
        Call::Run(start) => {
            let request = |request| RunRequest { request: Some(request) };
            let first = tokio_stream::once(request(run_request::Request::Start(*start)));
            let requests = first.chain(inputs.map(move |input| request(run_request::Request::Input(input))));
            let answers = client.run(requests).await?.into_inner();
            Ok(Box::pin(answers.map(|answer| answer.map(of_run))))
        }
        Call::Attach(start) => {
            let request = |request| AttachRequest { request: Some(request) };
            let first = tokio_stream::once(request(attach_request::Request::Start(start)));
            let requests =
                first.chain(inputs.map(move |input| request(attach_request::Request::Input(input))));
            let answers = client.attach(requests).await?.into_inner();
            Ok(Box::pin(answers.map(|answer| answer.map(of_attach))))
        }
    }
}

fn of_run(answer: RunResponse) -> Event {
    match answer.event {
        Some(run_response::Event::Accepted(accepted)) => Event::Accepted(accepted.job_id),
        Some(run_response::Event::Started(started)) => Event::Started(started),
        Some(run_response::Event::Output(chunk)) => Event::Output(chunk),
        Some(run_response::Event::Gap(gap)) => Event::Gap(gap),
        Some(run_response::Event::Finished(finished)) => Event::Finished(finished.into()),
        Some(run_response::Event::Planned(planned)) => Event::Planned(planned.plan_json),
        Some(run_response::Event::Heartbeat(_)) | None => Event::Nothing,
    }
}

fn of_attach(answer: AttachResponse) -> Event {
    match answer.event {
        Some(attach_response::Event::Job(job)) => Event::Job(job.into()),
        Some(attach_response::Event::Started(started)) => Event::Started(started),
        Some(attach_response::Event::Output(chunk)) => Event::Output(chunk),
        Some(attach_response::Event::Gap(gap)) => Event::Gap(gap),
        Some(attach_response::Event::Finished(finished)) => Event::Finished(finished.into()),
        Some(attach_response::Event::Heartbeat(_)) | None => Event::Nothing,
    }
}
