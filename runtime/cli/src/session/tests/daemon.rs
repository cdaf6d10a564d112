//! The daemon of the plays: each call, `Run` or `Attach`, plays the next scene.

use super::*;
use runtime_proto::v1::job_service_server::{JobService, JobServiceServer};
use std::collections::VecDeque;
use std::pin::Pin;
use tokio::sync::Notify;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Streaming};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What one call sees.
#[derive(Clone, Default)]
pub struct Scene {
    refusal: Option<Status>,
    job: Option<Job>,
    events: Vec<run_response::Event>,
    /// Pieces of stdin that are waited for.
    takes: usize,
    until: Until,
}

/// How a scene goes on after its events.
#[derive(Clone, Default, PartialEq, Eq)]
enum Until {
    #[default]
    End,
    Breaks,
    Cancelled,
    StdinEnds,
}

impl Scene {
    pub fn of(events: Vec<run_response::Event>) -> Scene {
        Scene { events, ..Scene::default() }
    }

    pub fn attached(job: Job, events: Vec<run_response::Event>) -> Scene {
        Scene { job: Some(job), ..Scene::of(events) }
    }

    pub fn refused(status: Status) -> Scene {
        Scene { refusal: Some(status), ..Scene::default() }
    }

    pub fn breaks(self) -> Scene {
        Scene { until: Until::Breaks, ..self }
    }

    pub fn waits_for_cancel(self) -> Scene {
        Scene { until: Until::Cancelled, ..self }
    }

    pub fn waits_for_stdin(self) -> Scene {
        Scene { until: Until::StdinEnds, ..self }
    }

    pub fn takes(self, takes: usize) -> Scene {
        Scene { takes, ..self }
    }
}

#[derive(Clone)]
pub struct Daemon {
    scenes: Arc<Mutex<VecDeque<Scene>>>,
    pub calls: Arc<Mutex<Vec<String>>>,
    pub stdin: Arc<Mutex<Vec<job_input::Input>>>,
    pub cancels: Arc<Mutex<Vec<String>>>,
    /// What each call of `StreamLogs` sees; without its last message it breaks off.
    pub logs: Arc<Mutex<VecDeque<Vec<stream_logs_response::Event>>>>,
    pub logs_asked: Arc<Mutex<Vec<StreamLogsRequest>>>,
    fed: Arc<Notify>,
    cancelled: Arc<Notify>,
    returns: bool,
    deaf: bool,
}

impl Daemon {
    pub fn new(scenes: Vec<Scene>) -> Daemon {
        Daemon {
            scenes: Arc::new(Mutex::new(scenes.into())),
            calls: Arc::default(),
            stdin: Arc::default(),
            cancels: Arc::default(),
            logs: Arc::default(),
            logs_asked: Arc::default(),
            fed: Arc::default(),
            cancelled: Arc::default(),
            returns: true,
            deaf: false,
        }
    }

    /// There is one connection and no other.
    pub fn once(self) -> Daemon {
        Daemon { returns: false, ..self }
    }

    /// There is one connection, and afterwards nobody listens.
    pub fn deaf(self) -> Daemon {
        Daemon { deaf: true, ..self }
    }

    /// What waits for a cancel ends without one.
    pub fn ends_alone(self) -> Daemon {
        self.cancelled.notify_one();
        self
    }

    pub async fn line(self) -> Line {
        let first = self.clone().connect().await.unwrap();
        if self.deaf {
            let refuse = || Error::Usage { message: "nobody listens".to_owned() };
            return Line::with(first, Box::new(move || Box::pin(async move { Err(refuse()) })));
        }
        match self.returns {
            true => Line::with(first, Box::new(move || Box::pin(self.clone().connect()))),
            false => Line::once(first),
        }
    }

    async fn connect(self) -> Result<tonic::transport::Channel, Error> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let connections = tokio_stream::once(Ok::<_, std::io::Error>(theirs));
        let server = tonic::transport::Server::builder().add_service(JobServiceServer::new(self));
        tokio::spawn(server.serve_with_incoming(connections.chain(tokio_stream::pending())));
        crate::client::over(ours, "the play").await
    }

    fn play<T: Send + 'static>(
        &self,
        mut inputs: mpsc::Receiver<JobInput>,
        answer: impl Fn(Either) -> T + Send + 'static,
    ) -> Result<Response<Answers<T>>, Status> {
        let scene = self.scenes.lock().unwrap().pop_front().expect("a scene for each call");
        if let Some(refusal) = scene.refusal {
            return Err(refusal);
        }
        let (send, receive) = mpsc::channel(1);
        let daemon = self.clone();
        tokio::spawn(async move {
            while let Some(JobInput { input: Some(input) }) = inputs.recv().await {
                daemon.stdin.lock().unwrap().push(input);
                daemon.fed.notify_one();
            }
        });
        let daemon = self.clone();
        tokio::spawn(async move {
            let events = scene
                .job
                .map(Box::new)
                .map(Either::Job)
                .into_iter()
                .chain(scene.events.into_iter().map(Box::new).map(Either::Event));
            for event in events {
                if send.send(Ok(answer(event))).await.is_err() {
                    return;
                }
            }
            while daemon.stdin.lock().unwrap().len() < scene.takes {
                daemon.fed.notified().await;
            }
            let last = match scene.until {
                Until::End => return,
                Until::Breaks => Err(Status::unavailable("gone")),
                Until::StdinEnds => {
                    while !daemon.has_end() {
                        daemon.fed.notified().await;
                    }
                    Ok(answer(Either::Event(Box::new(exited()))))
                }
                Until::Cancelled => {
                    daemon.cancelled.notified().await;
                    Ok(answer(Either::Event(Box::new(finished(outcome::Cause::Cancelled(
                        CancelledOutcome::default(),
                    ))))))
                }
            };
            drop(send.send(last).await);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    fn has_end(&self) -> bool {
        matches!(self.stdin.lock().unwrap().last(), Some(job_input::Input::CloseStdin(_)))
    }
}

/// What a scene says, in either call.
enum Either {
    Job(Box<Job>),
    Event(Box<run_response::Event>),
}

/// The inputs behind the first message.
fn inputs<R: Send + 'static>(
    mut stream: Streaming<R>,
    input: impl Fn(R) -> Option<JobInput> + Send + 'static,
) -> mpsc::Receiver<JobInput> {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok(Some(request)) = stream.message().await {
            if let Some(input) = input(request)
                && send.send(input).await.is_err()
            {
                return;
            }
        }
    });
    receive
}

#[tonic::async_trait]
impl JobService for Daemon {
    type RunStream = Answers<RunResponse>;
    type AttachStream = Answers<AttachResponse>;
    type StreamLogsStream = Answers<StreamLogsResponse>;
    type WatchStream = Answers<WatchResponse>;

    async fn run(
        &self,
        request: Request<Streaming<RunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|first| first.request);
        let Some(run_request::Request::Start(start)) = first else {
            return Err(Status::invalid_argument("no start"));
        };
        self.calls.lock().unwrap().push(format!("run {}", start.idempotency_key));
        let inputs = inputs(stream, |request: RunRequest| match request.request {
            Some(run_request::Request::Input(input)) => Some(input),
            _ => None,
        });
        self.play(inputs, |event| match event {
            Either::Event(event) => RunResponse { event: Some(*event) },
            Either::Job(_) => RunResponse { event: None },
        })
    }

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|first| first.request);
        let Some(attach_request::Request::Start(start)) = first else {
            return Err(Status::invalid_argument("no start"));
        };
        let call =
            format!("attach {} {} {}", start.job_id, start.stdout_offset_bytes, start.stderr_offset_bytes);
        self.calls.lock().unwrap().push(call);
        let inputs = inputs(stream, |request: AttachRequest| match request.request {
            Some(attach_request::Request::Input(input)) => Some(input),
            _ => None,
        });
        self.play(inputs, |event| AttachResponse {
            event: match event {
                Either::Job(job) => Some(attach_response::Event::Job(*job)),
                Either::Event(event) => of_attach(*event),
            },
        })
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        self.cancels.lock().unwrap().push(request.into_inner().reason);
        self.cancelled.notify_one();
        Ok(Response::new(CancelResponse { job: None }))
    }

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn stream_logs(
        &self,
        request: Request<StreamLogsRequest>,
    ) -> Result<Response<Self::StreamLogsStream>, Status> {
        self.logs_asked.lock().unwrap().push(request.into_inner());
        let events = self.logs.lock().unwrap().pop_front().ok_or_else(|| Status::unavailable("gone"))?;
        let whole = matches!(events.last(), Some(stream_logs_response::Event::End(_)));
        let answers = events.into_iter().map(|event| Ok(StreamLogsResponse { event: Some(event) }));
        let broken = (!whole).then(|| Err(Status::unavailable("gone")));
        let answers: Vec<_> = answers.chain(broken).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn get(&self, _: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn wait(&self, _: Request<WaitRequest>) -> Result<Response<WaitResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn signal(&self, _: Request<SignalRequest>) -> Result<Response<SignalResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn delete(&self, _: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }
}

fn of_attach(event: run_response::Event) -> Option<attach_response::Event> {
    match event {
        run_response::Event::Started(started) => Some(attach_response::Event::Started(started)),
        run_response::Event::Output(chunk) => Some(attach_response::Event::Output(chunk)),
        run_response::Event::Gap(gap) => Some(attach_response::Event::Gap(gap)),
        run_response::Event::Finished(end) => Some(attach_response::Event::Finished(end)),
        _ => None,
    }
}

pub fn accepted() -> run_response::Event {
    run_response::Event::Accepted(JobAccepted { job_id: "job-1".into() })
}

pub fn output(stream: OutputStream, offset_bytes: u64, data: &'static [u8]) -> run_response::Event {
    let stream = stream.into();
    run_response::Event::Output(OutputChunk { stream, offset_bytes, time: None, data: data.into() })
}

pub fn gap(offset_bytes: u64, length_bytes: u64) -> run_response::Event {
    let stream = OutputStream::Stdout.into();
    run_response::Event::Gap(OutputGap {
        stream,
        offset_bytes,
        length_bytes,
        reason: GapReason::JobCap.into(),
    })
}

pub fn finished(cause: outcome::Cause) -> run_response::Event {
    let outcome = Outcome { cause: Some(cause), ..Default::default() };
    run_response::Event::Finished(JobFinished { outcome: Some(outcome), ..Default::default() })
}

pub fn exited() -> run_response::Event {
    finished(outcome::Cause::Exited(ExitedOutcome { code: 0 }))
}

pub fn job(state: JobState, stdin_open: bool) -> Job {
    Job { job_id: "job-1".into(), state: state.into(), stdin_open, ..Default::default() }
}
