//! Sessions with a daemon that says what a script tells it to say.

use super::*;
use runtime_proto::v1::job_service_server::{JobService, JobServiceServer};
use runtime_proto::v1::*;
use std::fs::File;
use std::io::{Read, Seek};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio_stream::Stream;
use tonic::{Request, Response};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers `Run` with its script; after it, `Waits` only ends when it is cancelled.
#[derive(Clone, Default)]
struct Daemon {
    script: Vec<Result<run_response::Event, Status>>,
    refusal: Option<Status>,
    waits: bool,
    stdin: Arc<Mutex<Vec<job_input::Input>>>,
    cancelled: Arc<tokio::sync::Notify>,
}

#[tonic::async_trait]
impl JobService for Daemon {
    type RunStream = Answers<RunResponse>;
    type AttachStream = Answers<AttachResponse>;

    async fn run(
        &self,
        request: Request<tonic::Streaming<RunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let answer = |event| RunResponse { event: Some(event) };
        let (send, receive) = mpsc::channel(1);
        let (daemon, mut inputs) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            for event in daemon.script {
                if send.send(event.map(answer)).await.is_err() {
                    return;
                }
            }
            if daemon.waits {
                daemon.cancelled.notified().await;
                let cause = outcome::Cause::Cancelled(CancelledOutcome::default());
                drop(send.send(Ok(answer(finished(cause)))).await);
            }
        });
        let stdin = Arc::clone(&self.stdin);
        tokio::spawn(async move {
            while let Ok(Some(RunRequest { request: Some(request) })) = inputs.message().await {
                if let run_request::Request::Input(JobInput { input: Some(input) }) = request {
                    stdin.lock().unwrap().push(input);
                }
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receive))))
    }

    async fn cancel(&self, _: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        self.cancelled.notify_one();
        Ok(Response::new(CancelResponse { job: None }))
    }

    async fn attach(
        &self,
        _: Request<tonic::Streaming<AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn get(&self, _: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }
}

fn accepted() -> run_response::Event {
    run_response::Event::Accepted(JobAccepted { job_id: "job-1".into() })
}

fn output(stream: OutputStream, offset_bytes: u64, data: &'static [u8]) -> run_response::Event {
    run_response::Event::Output(OutputChunk {
        stream: stream.into(),
        offset_bytes,
        time: None,
        data: data.into(),
    })
}

fn finished(cause: outcome::Cause) -> run_response::Event {
    let outcome = Outcome { cause: Some(cause), ..Default::default() };
    run_response::Event::Finished(JobFinished { outcome: Some(outcome), ..Default::default() })
}

fn exited() -> run_response::Event {
    finished(outcome::Cause::Exited(ExitedOutcome { code: 0 }))
}

/// Plays one session and gives the record; `stdout` takes the job's output, `input` is its stdin.
fn play(daemon: Daemon, stdout: File, input: Vec<Input>) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let connections = tokio_stream::once(Ok::<_, std::io::Error>(theirs));
        let server = tonic::transport::Server::builder().add_service(JobServiceServer::new(daemon));
        tokio::spawn(server.serve_with_incoming(connections.chain(tokio_stream::pending())));
        let channel = crate::client::over(ours, "the play").await.unwrap();
        let (send, stdin) = mpsc::channel(8);
        for piece in input {
            send.send(piece).await.unwrap();
        }
        let null = File::options().write(true).open("/dev/null").unwrap();
        let streams = || Ok(Streams { stdin: Some(stdin), writer: Writer::start_with(stdout, null)? });
        let call = Call::Run(Box::default());
        hold_with(crate::client::jobs(channel), call, streams, &mut Signals::none()).await
    })
}

fn script(events: Vec<run_response::Event>) -> Daemon {
    Daemon { script: events.into_iter().map(Ok).collect(), ..Default::default() }
}

fn null() -> File {
    File::options().write(true).open("/dev/null").unwrap()
}

#[test]
fn a_job_runs_to_its_end_and_its_bytes_arrive() {
    let mut file = tempfile::tempfile().unwrap();
    let heartbeat = run_response::Event::Heartbeat(Heartbeat {});
    let out = |offset, data| output(OutputStream::Stdout, offset, data);
    let daemon = script(vec![accepted(), heartbeat, out(0, b"one\xff"), out(4, b"two"), exited()]);
    let record = play(daemon, file.try_clone().unwrap(), Vec::new());
    assert!(record.error.is_none() && !record.reader_gone, "{record:?}");
    assert_eq!(record.job_id.as_deref(), Some("job-1"));
    let mut all = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"one\xfftwo");
}

#[test]
fn stdin_arrives_in_order_and_its_end_is_told() {
    let daemon = Daemon { waits: true, ..script(vec![accepted()]) };
    let (seen, cancelled) = (Arc::clone(&daemon.stdin), Arc::clone(&daemon.cancelled));
    std::thread::spawn({
        let seen = Arc::clone(&seen);
        move || {
            while !matches!(seen.lock().unwrap().last(), Some(job_input::Input::CloseStdin(_))) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            cancelled.notify_one();
        }
    });
    let input = vec![Input::Bytes("a".into()), Input::Bytes("b".into()), Input::End];
    let record = play(daemon, null(), input);
    assert!(record.error.is_none(), "{record:?}");
    let stdin = |bytes: &'static str| job_input::Input::Stdin(bytes.into());
    let expected = [stdin("a"), stdin("b"), job_input::Input::CloseStdin(CloseStdin {})];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_hole_in_the_output_is_never_passed_over() {
    let out = |offset, data| output(OutputStream::Stderr, offset, data);
    let record = play(script(vec![accepted(), out(0, b"abc"), out(5, b"x"), exited()]), null(), Vec::new());
    assert_eq!(record.error.as_ref().map(Error::code), Some("PROTOCOL"), "{record:?}");
    assert!(record.finished.is_some(), "the end is still waited for");
}

#[test]
fn a_refusal_keeps_the_daemons_words() {
    let daemon = Daemon { refusal: Some(Status::invalid_argument("no such profile")), ..Default::default() };
    let record = play(daemon, null(), Vec::new());
    assert_eq!(record.error.unwrap().to_string(), "no such profile");
    assert!(record.job_id.is_none());
}

#[test]
fn a_stream_that_ends_early_is_told_by_how_far_it_came() {
    let broken = |script| play(Daemon { script, ..Default::default() }, null(), Vec::new()).error;
    let early = broken(vec![Ok(accepted())]).unwrap();
    assert_eq!(early.code(), "PROTOCOL");
    let lost = broken(vec![Ok(accepted()), Err(Status::unavailable("gone"))]).unwrap();
    assert_eq!(lost.code(), "CONNECTION_LOST");
    let refused = broken(vec![Err(Status::resource_exhausted("full"))]).unwrap();
    assert_eq!((refused.code(), refused.to_string().as_str()), ("RESOURCE_EXHAUSTED", "full"));
}

#[test]
fn a_reader_that_goes_away_cancels_the_job() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let chunk = output(OutputStream::Stdout, 0, b"x");
    let daemon = Daemon { waits: true, ..script(vec![accepted(), chunk]) };
    let record = play(daemon, File::from(std::os::fd::OwnedFd::from(writer)), Vec::new());
    assert!(record.reader_gone && record.finished.is_some(), "{record:?}");
}

#[test]
fn output_that_cannot_be_written_cancels_the_job_and_says_why() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let chunk = output(OutputStream::Stdout, 0, b"x");
    let record = play(Daemon { waits: true, ..script(vec![accepted(), chunk]) }, full, Vec::new());
    assert_eq!(record.error.as_ref().map(Error::code), Some("IO_FAILED"), "{record:?}");
    assert!(record.finished.is_some());
}
