//! A server in this process, a client of it, and the launcher's end of its link.

use crate::api::Context;
use crate::faults::Faults;
use crate::jobs::{Keep, OnDisconnect, Parts, Registry, Request, Retention};
use crate::link::{self, Link};
use crate::listen::{Connection, Listener};
use crate::metrics::Metrics;
use crate::peer::Allowed;
use crate::serve::{ServeError, Service};
use runtime_plan::facts::HostFacts;
use runtime_plan::limit::LimitRequest;
use runtime_plan::link::{
    JobId, LauncherId, Pipes, PipesKind, Refusal, RefusalReason, Rules, SealKey, ToLauncher, ToServer,
    Welcome, decode, encode,
};
use runtime_plan::outcome::{ExitReport, Outcome, Usage};
use runtime_plan::policy::Policy;
use runtime_plan::profile::ProfileSummary;
use runtime_plan::spec::{Spec, UncheckedSpec};
use runtime_plan::wall::Enforcement;
use runtime_proto::v1::{self, job_service_client::JobServiceClient, run_response};
use runtime_sandbox::frame;
use runtime_sys::socket::{seqpacket_pair, stream_pair};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// When every command of these tests starts, and ends, in microseconds since 1970.
pub(crate) const STARTED_US: u64 = 1_900_000_000_000_000;
pub(crate) const FINISHED_US: u64 = STARTED_US + 5_000_000;
/// Nothing in these tests takes long; what takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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
        rules: Rules {
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
        },
        launcher: LauncherId { instance: "0123456789abcdef".to_owned(), boot_id: "boot".to_owned(), pid: 1 },
        generation: 1,
        seal_key: SealKey([7; 32]),
        findings: Vec::new(),
        default_profile_runs: true,
    }
}

/// The launcher, as far as a server sees it. It outlives its servers, and hands its jobs to the next one.
pub(crate) struct Launcher {
    socket: Mutex<Arc<UnixStream>>,
    held: Mutex<BTreeMap<JobId, Held>>,
    pub(crate) welcome: Mutex<Welcome>,
    /// Ends so far: each is a second after the one before.
    ends: Mutex<u64>,
    /// What came before the test looked.
    unread: Mutex<VecDeque<ToLauncher>>,
}

/// A job that is not acknowledged, and what a launcher keeps of it.
struct Held {
    record: Vec<u8>,
    pipes: Option<(Pipes, Vec<OwnedFd>)>,
    /// Started and finished, with the terminal.
    told: Vec<(ToServer, Vec<OwnedFd>)>,
}

/// The job's ends of its pipes.
pub(crate) struct Ends {
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: Option<File>,
    pub(crate) stderr: Option<File>,
}

impl Launcher {
    /// A launcher with a server at the other end of its link, which it has greeted.
    pub(crate) fn new(welcome: Welcome) -> (Launcher, OwnedFd) {
        let (ours, theirs) = seqpacket_pair().unwrap();
        let launcher = Launcher {
            socket: Mutex::new(Arc::new(register(theirs))),
            held: Mutex::default(),
            welcome: Mutex::new(welcome),
            ends: Mutex::new(0),
            unread: Mutex::default(),
        };
        launcher.greet();
        (launcher, ours)
    }

    /// The server is gone: a link for the next one, with all that it has to be told.
    pub(crate) fn next_server(&self) -> OwnedFd {
        let (ours, theirs) = seqpacket_pair().unwrap();
        *self.socket.lock().unwrap() = Arc::new(register(theirs));
        self.welcome.lock().unwrap().generation += 1;
        self.greet();
        ours
    }

    /// Greets and hands over.
    fn greet(&self) {
        let welcome = self.welcome.lock().unwrap().clone();
        self.send(&ToServer::Hello(Box::new(welcome)), &[]);
        for (job, held) in &*self.held.lock().unwrap() {
            // A job that was refused, or that nobody has taken yet, is none.
            let Some((pipes, fds)) = &held.pipes else { continue };
            let adopt = ToServer::Adopt { job: job.clone(), record: held.record.clone(), pipes: *pipes };
            self.send(&adopt, &borrowed(fds));
            for (message, fds) in &held.told {
                self.send(message, &borrowed(fds));
            }
        }
        self.send(&ToServer::AdoptionComplete, &[]);
    }

    /// Every job dies with its launcher: the next one knows none of them, and has another key.
    pub(crate) fn die(&self, boot_id: &str) {
        self.held.lock().unwrap().clear();
        let mut welcome = self.welcome.lock().unwrap();
        welcome.launcher.instance = "fedcba9876543210".to_owned();
        welcome.launcher.boot_id = boot_id.to_owned();
        welcome.seal_key = SealKey([8; 32]);
        welcome.generation = 0;
    }

    /// The next message; what a launcher keeps of it is kept.
    pub(crate) async fn recv(&self) -> ToLauncher {
        let unread = self.unread.lock().unwrap().pop_front();
        match unread {
            Some(message) => message,
            None => self.recv_or_end().await.expect("the server is there"),
        }
    }

    /// What the server has said before it died.
    pub(crate) async fn read_all(&self) -> Vec<ToLauncher> {
        let mut all = Vec::new();
        while let Some(message) = self.recv_or_end().await {
            all.push(message);
        }
        all
    }

    async fn recv_or_end(&self) -> Option<ToLauncher> {
        let socket = Arc::clone(&self.socket.lock().unwrap());
        let mut buffer = vec![0; frame::BUFFER_BYTES];
        let received = socket.async_io(Interest::READABLE, || {
            frame::receive(socket.as_fd(), &mut buffer, 0, true).map_err(|error| {
                if error.would_block() {
                    std::io::ErrorKind::WouldBlock.into()
                } else {
                    std::io::Error::other(error)
                }
            })
        });
        // A server that ended with messages unread resets the link.
        let frame = tokio::time::timeout(PATIENCE, received).await.expect("a message in time").ok()??;
        let message = decode(&frame.body).unwrap();
        let mut held = self.held.lock().unwrap();
        match &message {
            ToLauncher::Start { job, record, .. } => {
                let new = Held { record: record.clone(), pipes: None, told: Vec::new() };
                held.insert(job.clone(), new);
            }
            ToLauncher::CloseStdin { job } => {
                if let Some(Held { pipes: Some((pipes, fds)), .. }) = held.get_mut(job)
                    && let PipesKind::Streams { stdin } = &mut pipes.kind
                    && *stdin
                {
                    *stdin = false;
                    drop(fds.remove(0));
                }
            }
            ToLauncher::Acknowledge { job } => drop(held.remove(job)),
            _ => {}
        }
        drop(held);
        Some(message)
    }

    pub(crate) fn send(&self, message: &ToServer, fds: &[BorrowedFd<'_>]) {
        let socket = Arc::clone(&self.socket.lock().unwrap());
        // A server that has just died hears nothing, as from a real launcher.
        if let Err(error) = frame::send(socket.as_fd(), &encode(message).unwrap(), fds, false) {
            println!("the server is gone: {error}");
        }
    }

    /// Waits for a start; anything else is a failure.
    pub(crate) async fn started(&self) -> (JobId, runtime_plan::spec::Spec) {
        match self.recv().await {
            ToLauncher::Start { job, spec, .. } => (job, *spec),
            other => panic!("not a start: {other:?}"),
        }
    }

    /// Waits for the word that this job's end is on disk; anything else is a failure.
    pub(crate) async fn acknowledged(&self, job: &JobId) {
        match self.recv().await {
            ToLauncher::Acknowledge { job: over } => assert_eq!(over, *job),
            other => panic!("not acknowledged: {other:?}"),
        }
    }

    /// Takes a job: makes its pipes, as the launcher does, and keeps the job's ends.
    pub(crate) fn accept(&self, job: &JobId, stdin: bool, output_bytes_max: u64) -> Ends {
        self.accept_with(
            job,
            Pipes { kind: PipesKind::Streams { stdin }, output_bytes_max, idle_ms_max: None },
        )
    }

    pub(crate) fn accept_with(&self, job: &JobId, pipes: Pipes) -> Ends {
        let pipe = || runtime_sys::pipe::pipe().unwrap();
        let (out, out_writer) = pipe();
        let (err, err_writer) = pipe();
        let input: Option<(OwnedFd, OwnedFd)> =
            matches!(pipes.kind, PipesKind::Streams { stdin: true }).then(pipe);
        let (stdin, stdin_writer) = input.unzip();
        let fds: Vec<OwnedFd> = stdin_writer.into_iter().chain([out, err]).collect();
        self.send(&ToServer::Accepted { job: job.clone(), pipes }, &borrowed(&fds));
        self.held.lock().unwrap().get_mut(job).expect("a job that was asked for").pipes = Some((pipes, fds));
        Ends {
            stdin: stdin.map(File::from),
            stdout: Some(out_writer.into()),
            stderr: Some(err_writer.into()),
        }
    }

    /// Takes a job with a terminal; the answer is its relay, for a look.
    pub(crate) fn accept_terminal(&self, job: &JobId) {
        let (read, write) = runtime_sys::pipe::pipe().unwrap();
        let pipes = Pipes { kind: PipesKind::Terminal, output_bytes_max: u64::MAX, idle_ms_max: None };
        let fds = vec![read, write];
        self.send(&ToServer::Accepted { job: job.clone(), pipes }, &borrowed(&fds));
        self.held.lock().unwrap().get_mut(job).expect("a job that was asked for").pipes = Some((pipes, fds));
    }

    pub(crate) fn refuse(&self, job: &JobId, reason: RefusalReason, message: &str) {
        self.held.lock().unwrap().remove(job);
        let refusal = Refusal { reason, message: message.to_owned() };
        self.send(&ToServer::Refused { job: job.clone(), refusal }, &[]);
    }

    pub(crate) fn say_started(&self, job: &JobId) {
        self.say_started_with(job, None);
    }

    pub(crate) fn say_started_with(&self, job: &JobId, master: Option<OwnedFd>) {
        let started =
            ToServer::Started { job: job.clone(), time_us: STARTED_US, enforcement: Box::default() };
        self.say(job, started, master.into_iter().collect());
    }

    pub(crate) fn say_finished(&self, job: &JobId, outcome: Outcome) {
        let report = ExitReport {
            outcome,
            limits_hit: Vec::new(),
            usage: Usage::default(),
            cleanup_errors: Vec::new(),
        };
        let enforcement = Box::new(Enforcement { kernel: "6.18".to_owned(), ..Enforcement::default() });
        let report = Box::new(report);
        let time_us = {
            let mut ends = self.ends.lock().unwrap();
            *ends += 1;
            FINISHED_US + *ends * 1_000_000
        };
        let finished = ToServer::Finished { job: job.clone(), time_us, report, enforcement };
        self.say(job, finished, Vec::new());
    }

    fn say(&self, job: &JobId, message: ToServer, fds: Vec<OwnedFd>) {
        self.send(&message, &borrowed(&fds));
        if let Some(held) = self.held.lock().unwrap().get_mut(job) {
            held.told.push((message, fds));
        }
    }

    /// Jobs that are not acknowledged.
    pub(crate) fn holds(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

fn borrowed(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}

fn register(socket: OwnedFd) -> UnixStream {
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true).unwrap();
    UnixStream::from_std(socket).unwrap()
}

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) launcher: Launcher,
    pub(crate) client: JobServiceClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) registry: Arc<Registry>,
    pub(crate) context: Arc<Context>,
    pub(crate) server: tokio::task::JoinHandle<Result<(), ServeError>>,
    pub(crate) place: tempfile::TempDir,
    /// What the server said before it was ready.
    pub(crate) before: Vec<ToLauncher>,
    pub(crate) runtime: OwnRuntime,
}

/// The server's own runtime, so that all of it can be dropped at once.
pub(crate) struct OwnRuntime(Option<tokio::runtime::Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// How a server is started.
pub(crate) struct Plan {
    pub(crate) listeners: Vec<std::os::unix::net::UnixListener>,
    pub(crate) tcp: Vec<std::net::TcpListener>,
    pub(crate) allowed: Allowed,
    pub(crate) welcome: Welcome,
    pub(crate) faults: Faults,
    pub(crate) retention: Retention,
    pub(crate) org_running_max: Option<u32>,
    /// Without a launcher of its own making, an empty place.
    pub(crate) place: tempfile::TempDir,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            listeners: Vec::new(),
            tcp: Vec::new(),
            allowed: Allowed { owner_uid: 1000, socket_gid: None },
            welcome: welcome(runtime_plan::link::VERSION),
            faults: Faults::default(),
            retention: Retention::default(),
            org_running_max: None,
            place: tempfile::tempdir().unwrap(),
        }
    }
}

/// A registry without clients over gRPC, and the launcher's end of its link; in the runtime of the test.
pub(crate) async fn registry(plan: Plan) -> (Launcher, Arc<Registry>, tempfile::TempDir) {
    let (launcher, ours) = Launcher::new(plan.welcome);
    let mut welcome = link::greet(&ours).unwrap();
    let (link, notices, handovers) = Link::start(ours).unwrap();
    assert!(matches!(launcher.recv().await, ToLauncher::Hello { .. }));
    let store = crate::open_store(plan.place.path(), false, &welcome, &plan.faults).unwrap();
    let parts = Parts {
        link,
        store,
        state_dir: plan.place.path().to_owned(),
        passing: false,
        org_running_max: plan.org_running_max,
        retention: plan.retention,
        faults: plan.faults,
        metrics: Metrics::new(),
    };
    let registry = Registry::new(parts, &mut welcome);
    registry.recover(handovers).await.unwrap();
    registry.keep_house();
    drop(notices);
    (launcher, registry, plan.place)
}

/// A server with one connection and no listener, as in the embedded form.
pub(crate) async fn world() -> World {
    start(Plan::default()).await
}

pub(crate) async fn start(plan: Plan) -> World {
    let (launcher, ours) = Launcher::new(plan.welcome.clone());
    serve(launcher, ours, plan).await
}

async fn serve(launcher: Launcher, ours: OwnedFd, plan: Plan) -> World {
    if let Ok(filter) = std::env::var("RUNTIME_LOG") {
        // Whoever looks for a mistake; one of several servers of a test is enough to set it up.
        let filter = tracing_subscriber::EnvFilter::new(filter);
        drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
    }
    let Plan { listeners, tcp, allowed, welcome: _, faults, retention, org_running_max, place } = plan;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (client_end, server_end) = stream_pair().unwrap();
    let state_dir = place.path().to_owned();
    let opened = runtime.spawn(async move {
        let welcome = tokio::task::spawn_blocking(move || (link::greet(&ours).unwrap(), ours)).await.unwrap();
        let (welcome, ours) = welcome;
        let (link, notices, handovers) = Link::start(ours).unwrap();
        let store = crate::open_store(&state_dir, false, &welcome, &faults).unwrap();
        let parts = Parts {
            link,
            store,
            state_dir,
            passing: false,
            org_running_max,
            retention,
            faults,
            metrics: Metrics::new(),
        };
        let unix = listeners.into_iter().map(|listener| {
            let path = listener.local_addr().unwrap().as_pathname().unwrap().to_owned();
            Listener::unix(listener.into(), path).unwrap()
        });
        let tcp = tcp.into_iter().map(|listener| Listener::tcp(listener.into()).unwrap());
        let listeners = unix.chain(tcp).collect();
        let connection = Some(Connection::connected(server_end, 1000).unwrap());
        let metrics_listeners = Vec::new();
        let service =
            Service { parts, notices, handovers, welcome, allowed, listeners, metrics_listeners, connection };
        let open = service.open().await.unwrap();
        let context = Arc::clone(&open.context);
        (context, tokio::spawn(open.serve(|_| Ok(()))))
    });
    assert!(matches!(launcher.recv().await, ToLauncher::Hello { .. }));
    let (context, server) = opened.await.unwrap();
    let mut before = Vec::new();
    loop {
        match launcher.recv_or_end().await.expect("the server is there") {
            ToLauncher::Ready => break,
            // The test reads of it in its turn, too.
            other => {
                before.push(other.clone());
                launcher.unread.lock().unwrap().push_back(other);
            }
        }
    }
    let channel = channel(client_end).await;
    let client = JobServiceClient::new(channel.clone());
    let registry = Arc::clone(&context.registry);
    let runtime = OwnRuntime(Some(runtime));
    World { launcher, client, channel, registry, context, server, place, before, runtime }
}

impl World {
    /// The server dies as with SIGKILL: every task of it is gone, and every descriptor. What it said before is heard.
    pub(crate) async fn crash(self) -> Crashed {
        let World { launcher, place, mut runtime, registry, context, .. } = self;
        drop((registry, context));
        let runtime = runtime.0.take().expect("it runs");
        let gone = move || runtime.shutdown_timeout(Duration::from_secs(1));
        tokio::task::spawn_blocking(gone).await.unwrap();
        let said = launcher.read_all().await;
        Crashed { launcher, place, said }
    }
}

/// What a server that died leaves.
pub(crate) struct Crashed {
    pub(crate) launcher: Launcher,
    pub(crate) place: tempfile::TempDir,
    /// What it said, and nobody had read.
    pub(crate) said: Vec<ToLauncher>,
}

impl Crashed {
    /// Another server of the same launcher in the same place.
    pub(crate) async fn restart(self) -> World {
        self.restart_with(Plan::default()).await
    }

    /// The same, with other faults or bounds.
    pub(crate) async fn restart_with(self, plan: Plan) -> World {
        let ours = self.launcher.next_server();
        let Plan { listeners, tcp, allowed, welcome, faults, retention, org_running_max, .. } = plan;
        let place = self.place;
        let plan = Plan { listeners, tcp, allowed, welcome, faults, retention, org_running_max, place };
        serve(self.launcher, ours, plan).await
    }
}

/// A client over a connected socket.
pub(crate) async fn channel(socket: OwnedFd) -> Channel {
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
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) requests: mpsc::Sender<v1::RunRequest>,
    pub(crate) responses: Streaming<v1::RunResponse>,
}

/// A request of one word, as the registry takes it.
pub(crate) fn request(command: &str) -> Request {
    let unchecked = UncheckedSpec {
        argv: vec![command.as_bytes().to_vec()],
        env: Vec::new(),
        workdir: None,
        profile: "default".to_owned(),
        workspace: Default::default(),
        stdin: Default::default(),
        terminal: None,
        user: None,
        group: None,
        limits: Default::default(),
    };
    Request {
        spec: Spec::check(unchecked).unwrap(),
        labels: BTreeMap::new(),
        org: "default".to_owned(),
        priority: 0,
        on_disconnect: OnDisconnect::Cancel,
        keep: Keep::All,
        keep_output_bytes: None,
        key: None,
    }
}

/// A spec of one word.
pub(crate) fn spec(command: &str) -> v1::JobSpec {
    v1::JobSpec { argv: vec![command.as_bytes().to_vec().into()], ..Default::default() }
}

pub(crate) fn start_message(spec: v1::JobSpec) -> v1::RunRequest {
    let start = v1::RunStart { spec: Some(spec), ..Default::default() };
    v1::RunRequest { request: Some(v1::run_request::Request::Start(start)) }
}

pub(crate) fn input(input: v1::job_input::Input) -> v1::RunRequest {
    let input = v1::JobInput { input: Some(input) };
    v1::RunRequest { request: Some(v1::run_request::Request::Input(input)) }
}

impl World {
    /// Calls Run with this first message.
    pub(crate) async fn call(&self, first: v1::RunRequest) -> Result<Run, Status> {
        let (requests, outgoing) = mpsc::channel(64);
        requests.send(first).await.unwrap();
        let responses = self.client.clone().run(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Run { requests, responses })
    }

    pub(crate) async fn run(&self, spec: v1::JobSpec) -> Run {
        self.call(start_message(spec)).await.unwrap()
    }

    /// Runs a job up to its start.
    pub(crate) async fn running(&self, spec: v1::JobSpec, output_bytes_max: u64) -> (Run, JobId, Ends) {
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
    pub(crate) async fn try_next(&mut self) -> Result<Option<run_response::Event>, Status> {
        let message =
            tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("a message in time");
        Ok(message?.map(|response| response.event.expect("an event")))
    }

    pub(crate) async fn next(&mut self) -> run_response::Event {
        self.try_next().await.unwrap().expect("one more event")
    }

    pub(crate) async fn accepted(&mut self) -> String {
        match self.next().await {
            run_response::Event::Accepted(accepted) => accepted.job_id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(crate) async fn output(&mut self) -> v1::OutputChunk {
        match self.next().await {
            run_response::Event::Output(chunk) => chunk,
            other => panic!("no output: {other:?}"),
        }
    }

    /// Everything up to the end: the bytes of both streams, and the end.
    pub(crate) async fn until_end(&mut self) -> (Vec<u8>, Vec<u8>, v1::JobFinished) {
        self.until_rest(0).await
    }

    /// The same, when so many bytes of stdout have come already.
    pub(crate) async fn until_rest(&mut self, before: u64) -> (Vec<u8>, Vec<u8>, v1::JobFinished) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match self.next().await {
                run_response::Event::Output(chunk) => {
                    let is_out = chunk.stream() == v1::OutputStream::Stdout;
                    let (to, before) = if is_out { (&mut out, before) } else { (&mut err, 0) };
                    assert_eq!(chunk.offset_bytes, before + to.len() as u64);
                    to.extend_from_slice(&chunk.data);
                }
                run_response::Event::Heartbeat(_) => {}
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
pub(crate) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt;
    status.get_error_details().error_info().expect("an ErrorInfo").reason.clone()
}
