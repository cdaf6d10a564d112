//! A server in this process, a client of it, and the launcher's end of its link.

use crate::link::{self, Link, Notice};
use crate::listen::{Connection, Listener};
use crate::peer::Allowed;
use crate::serve::{ServeError, Service};
use runtime_plan::facts::HostFacts;
use runtime_plan::limit::LimitRequest;
use runtime_plan::link::{JobId, ToLauncher, ToServer, Welcome, decode, encode};
use runtime_plan::outcome::{ExitReport, Outcome, Usage};
use runtime_plan::policy::Policy;
use runtime_plan::profile::ProfileSummary;
use runtime_plan::wall::Enforcement;
use runtime_proto::v1::{self, job_service_client::JobServiceClient, run_response};
use runtime_sandbox::frame;
use runtime_sys::socket::{seqpacket_pair, stream_pair};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Nothing in these tests takes long; what takes longer hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What a launcher says first.
pub(crate) fn welcome(version: u32) -> Welcome {
    let profile = ProfileSummary {
        name: "default".to_owned(),
        description: String::new(),
        origin: "built-in".to_owned(),
        digest: "d1".to_owned(),
        extends: Vec::new(),
    };
    Welcome {
        version,
        facts: HostFacts::default(),
        profiles: vec![profile],
        policy: Policy {
            name: "local".to_owned(),
            origin: "built-in".to_owned(),
            digest: "p1".to_owned(),
            profiles: None,
            ceilings: LimitRequest::default(),
            must_set: Vec::new(),
            jobs_running_max: 2,
            jobs_queued_max: 1,
            host_directory: true,
        },
        findings: Vec::new(),
        default_profile_runs: true,
    }
}

/// The launcher's end of the link.
pub(super) struct Launcher {
    socket: Arc<UnixStream>,
}

/// The job's ends of its pipes.
pub(super) struct Ends {
    pub(super) stdin: Option<File>,
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
}

impl Launcher {
    pub(super) async fn recv(&self) -> ToLauncher {
        let mut buffer = vec![0; frame::BUFFER_BYTES];
        let received = self.socket.async_io(Interest::READABLE, || {
            frame::receive(self.socket.as_fd(), &mut buffer, 0, true).map_err(|error| {
                if error.would_block() {
                    std::io::ErrorKind::WouldBlock.into()
                } else {
                    std::io::Error::other(error)
                }
            })
        });
        let frame = tokio::time::timeout(PATIENCE, received).await.expect("a message in time").unwrap();
        decode(&frame.expect("the server is there").body).unwrap()
    }

    pub(super) fn send(&self, message: &ToServer, fds: &[BorrowedFd<'_>]) {
        frame::send(self.socket.as_fd(), &encode(message).unwrap(), fds, false).unwrap();
    }

    /// Waits for a start; anything else is a failure.
    pub(super) async fn started(&self) -> (JobId, runtime_plan::spec::Spec) {
        match self.recv().await {
            ToLauncher::Start { job, spec } => (job, *spec),
            other => panic!("not a start: {other:?}"),
        }
    }

    /// Takes a job: makes its pipes, as the launcher does, and keeps the job's ends.
    pub(super) fn accept(&self, job: &JobId, stdin: bool, output_bytes_max: u64) -> Ends {
        let pipe = || runtime_sys::pipe::pipe().unwrap();
        let (out, out_writer) = pipe();
        let (err, err_writer) = pipe();
        let input: Option<(OwnedFd, OwnedFd)> = stdin.then(pipe);
        let message = ToServer::Accepted { job: job.clone(), stdin, output_bytes_max };
        let mut fds: Vec<BorrowedFd<'_>> = input.iter().map(|(_, writer)| writer.as_fd()).collect();
        fds.extend([out.as_fd(), err.as_fd()]);
        self.send(&message, &fds);
        let stdin = input.map(|(reader, _)| File::from(reader));
        Ends { stdin, stdout: Some(out_writer.into()), stderr: Some(err_writer.into()) }
    }

    pub(super) fn say_started(&self, job: &JobId) {
        self.send(&ToServer::Started { job: job.clone(), enforcement: Box::default() }, &[]);
    }

    pub(super) fn say_finished(&self, job: &JobId, outcome: Outcome) {
        let report = ExitReport {
            outcome,
            limits_hit: Vec::new(),
            usage: Usage::default(),
            cleanup_errors: Vec::new(),
        };
        let enforcement = Box::new(Enforcement { kernel: "6.18".to_owned(), ..Enforcement::default() });
        self.send(&ToServer::Finished { job: job.clone(), report: Box::new(report), enforcement }, &[]);
    }
}

/// Everything a test needs.
pub(super) struct World {
    pub(super) launcher: Launcher,
    pub(super) client: JobServiceClient<Channel>,
    pub(super) channel: Channel,
    pub(super) server: tokio::task::JoinHandle<Result<(), ServeError>>,
    pub(super) logs: std::path::PathBuf,
    _place: tempfile::TempDir,
}

/// The two ends of a link that has been greeted.
pub(super) fn linked() -> (Launcher, Link, mpsc::Receiver<Notice>, Welcome) {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let socket = std::os::unix::net::UnixStream::from(theirs);
    socket.set_nonblocking(true).unwrap();
    let launcher = Launcher { socket: Arc::new(UnixStream::from_std(socket).unwrap()) };
    let hello = ToServer::Hello(Box::new(welcome(runtime_plan::link::VERSION)));
    launcher.send(&hello, &[]);
    let welcome = link::greet(&ours).unwrap();
    let (link, notices) = Link::start(ours).unwrap();
    (launcher, link, notices, welcome)
}

/// A server with one connection and no listener, as in the embedded form.
pub(super) async fn world() -> World {
    start(Vec::new(), Allowed { owner_uid: 1000, socket_gid: None }).await
}

pub(super) async fn start(listeners: Vec<Listener>, allowed: Allowed) -> World {
    let (launcher, link, notices, welcome) = linked();
    assert!(matches!(launcher.recv().await, ToLauncher::Hello { .. }));
    let place = tempfile::tempdir().unwrap();
    let (ours, theirs) = stream_pair().unwrap();
    let logs = place.path().to_owned();
    let connection = Some(Connection::connected(ours, 1000).unwrap());
    let service = Service { link, notices, welcome, logs: logs.clone(), allowed, listeners, connection };
    let server = tokio::spawn(service.serve(|_| Ok(())));
    let channel = channel(theirs).await;
    let client = JobServiceClient::new(channel.clone());
    World { launcher, client, channel, server, logs, _place: place }
}

/// A client over a connected socket.
pub(super) async fn channel(socket: OwnedFd) -> Channel {
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true).unwrap();
    let mut socket = Some(UnixStream::from_std(socket).unwrap());
    let connector = tower::service_fn(move |_| {
        let socket = socket.take().ok_or_else(|| std::io::Error::other("there is one connection only"));
        async move { socket.map(hyper_util::rt::TokioIo::new) }
    });
    Endpoint::from_static("http://runtime.invalid").connect_with_connector(connector).await.unwrap()
}

/// One call of Run.
pub(super) struct Run {
    pub(super) requests: mpsc::Sender<v1::RunRequest>,
    pub(super) responses: Streaming<v1::RunResponse>,
}

/// A spec of one word.
pub(super) fn spec(command: &str) -> v1::JobSpec {
    v1::JobSpec { argv: vec![command.as_bytes().to_vec().into()], ..Default::default() }
}

pub(super) fn start_message(spec: v1::JobSpec) -> v1::RunRequest {
    let start = v1::RunStart { spec: Some(spec), validate_only: false };
    v1::RunRequest { request: Some(v1::run_request::Request::Start(start)) }
}

pub(super) fn input(input: v1::job_input::Input) -> v1::RunRequest {
    let input = v1::JobInput { input: Some(input) };
    v1::RunRequest { request: Some(v1::run_request::Request::Input(input)) }
}

impl World {
    /// Calls Run with this first message.
    pub(super) async fn call(&self, first: v1::RunRequest) -> Result<Run, Status> {
        let (requests, outgoing) = mpsc::channel(64);
        requests.send(first).await.unwrap();
        let responses = self.client.clone().run(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Run { requests, responses })
    }

    pub(super) async fn run(&self, spec: v1::JobSpec) -> Run {
        self.call(start_message(spec)).await.unwrap()
    }

    /// Runs a job up to its start.
    pub(super) async fn running(&self, spec: v1::JobSpec, output_bytes_max: u64) -> (Run, JobId, Ends) {
        let stdin = spec.stdin;
        let mut run = self.run(spec).await;
        let (job, _) = self.launcher.started().await;
        let ends = self.launcher.accept(&job, stdin, output_bytes_max);
        assert_eq!(run.accepted().await, job.as_str());
        self.launcher.say_started(&job);
        assert!(matches!(run.next().await, run_response::Event::Started(_)));
        (run, job, ends)
    }
}

impl Run {
    pub(super) async fn try_next(&mut self) -> Result<Option<run_response::Event>, Status> {
        let message =
            tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("a message in time");
        Ok(message?.map(|response| response.event.expect("an event")))
    }

    pub(super) async fn next(&mut self) -> run_response::Event {
        self.try_next().await.unwrap().expect("one more event")
    }

    pub(super) async fn accepted(&mut self) -> String {
        match self.next().await {
            run_response::Event::Accepted(accepted) => accepted.job_id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(super) async fn output(&mut self) -> v1::OutputChunk {
        match self.next().await {
            run_response::Event::Output(chunk) => chunk,
            other => panic!("no output: {other:?}"),
        }
    }

    /// Everything up to the end: the bytes of both streams, and the end.
    pub(super) async fn until_end(&mut self) -> (Vec<u8>, Vec<u8>, v1::JobFinished) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match self.next().await {
                run_response::Event::Output(chunk) => {
                    let to = if chunk.stream() == v1::OutputStream::Stdout { &mut out } else { &mut err };
                    assert_eq!(chunk.offset_bytes, to.len() as u64);
                    to.extend_from_slice(&chunk.data);
                }
                run_response::Event::Finished(finished) => {
                    assert!(self.try_next().await.unwrap().is_none(), "nothing comes after the end");
                    return (out, err, finished);
                }
                other => panic!("neither output nor end: {other:?}"),
            }
        }
    }
}

/// The reason in a status.
pub(super) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt;
    status.get_error_details().error_info().expect("an ErrorInfo").reason.clone()
}
