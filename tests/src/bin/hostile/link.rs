//! The server's end of the link, and its line to the test.

use runtime_plan::{
    limit::LimitRequest,
    link::{JobId, ToLauncher, ToServer, VERSION, decode, encode},
    outcome::ExitReport,
    spec::{Spec, StdinSource, UncheckedSpec, WorkspaceRequest},
};
use runtime_sandbox::frame;
use runtime_sys::{Errno, socket};
use std::{
    io::{Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// errno(3).
const ETOOMANYREFS: Errno = Errno(109);

/// Both.
pub struct Link {
    pub socket: OwnedFd,
    test: UnixStream,
    buffer: Vec<u8>,
    /// Pipes of jobs, kept open as a server would.
    pub pipes: Vec<OwnedFd>,
}

impl Link {
    /// Takes the two descriptors that a server is started with.
    pub fn new(socket: OwnedFd, test: UnixStream) -> Link {
        Link { socket, test, buffer: vec![0; frame::BUFFER_BYTES], pipes: Vec::new() }
    }

    /// A fact for the test.
    pub fn say(&mut self, fact: &str) {
        writeln!(self.test, "{fact}").expect("the test listens");
    }

    /// Says `ready` and waits for the test's `go`.
    pub fn wait_for_go(&mut self) {
        self.say("ready");
        let mut bytes = [0; 3];
        self.test.read_exact(&mut bytes).expect("the test says go");
    }

    /// Says `done` and stays until it is killed.
    pub fn stay(&mut self) -> ! {
        self.say("done");
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }

    /// A message of the protocol.
    pub fn tell(&self, message: &ToLauncher) {
        frame::send(self.socket.as_fd(), &encode(message).expect("it fits"), &[], false)
            .expect("the launcher listens");
    }

    /// Whether a message went out without waiting.
    pub fn try_tell(&self, message: &ToLauncher) -> bool {
        match frame::send(self.socket.as_fd(), &encode(message).expect("it fits"), &[], true) {
            Ok(()) => true,
            Err(error) if error.would_block() => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// A body of the protocol's framing that may be no message.
    pub fn tell_body(&self, body: &[u8]) {
        frame::send(self.socket.as_fd(), body, &[], false).expect("the launcher listens");
    }

    /// A datagram of any form. One that the kernel refuses to send is no attack on the launcher.
    pub fn tell_raw(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        loop {
            match socket::send(self.socket.as_fd(), bytes, fds, false) {
                Ok(()) => return,
                Err(error) if error.errno == Errno::EMSGSIZE || error.errno == Errno::EINVAL => return,
                // More descriptors are under way than an ordinary user may have: until the launcher has taken some.
                Err(error) if error.errno == ETOOMANYREFS => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next message of the launcher.
    pub fn hear(&mut self) -> ToServer {
        let frame = frame::receive(self.socket.as_fd(), &mut self.buffer, 8, false).expect("a frame");
        let frame = frame.expect("the launcher is there");
        self.pipes.extend(frame.fds);
        decode(&frame.body).expect("a message")
    }

    /// The next message of the launcher, with the descriptors that came with it.
    pub fn hear_all(&mut self) -> (ToServer, Vec<OwnedFd>) {
        let frame = frame::receive(self.socket.as_fd(), &mut self.buffer, 8, false).expect("a frame");
        let frame = frame.expect("the launcher is there");
        (decode(&frame.body).expect("a message"), frame.fds)
    }

    /// The next message, if one is there.
    pub fn try_hear(&mut self) -> Option<ToServer> {
        match frame::receive(self.socket.as_fd(), &mut self.buffer, 8, true) {
            Ok(frame) => {
                let frame = frame.expect("the launcher is there");
                self.pipes.extend(frame.fds);
                Some(decode(&frame.body).expect("a message"))
            }
            Err(error) if error.would_block() => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Begins as a good server does.
    pub fn greet(&mut self) {
        self.tell(&ToLauncher::Hello { version: VERSION });
        assert!(matches!(self.hear(), ToServer::Hello(_)));
        assert!(matches!(self.hear(), ToServer::AdoptionComplete), "there is nothing to adopt");
        self.tell(&ToLauncher::Ready);
    }

    /// Starts a job; says what became of it: `started`, `refused` with the reason, or `finished` with the outcome.
    pub fn start(&mut self, id: &str, spec: Spec) -> String {
        self.start_with(id, spec, Vec::new())
    }

    /// The same with words that the next server hears.
    pub fn start_with(&mut self, id: &str, spec: Spec, record: Vec<u8>) -> String {
        self.tell(&ToLauncher::Start { job: job(id), spec: Box::new(spec), record });
        loop {
            match self.hear() {
                ToServer::Started { job, .. } if job.as_str() == id => return "started".to_owned(),
                ToServer::Refused { job, refusal } if job.as_str() == id => {
                    return format!("refused {:?}", refusal.reason);
                }
                ToServer::Finished { job, report, .. } if job.as_str() == id => {
                    return format!("finished {:?}", report.outcome);
                }
                _ => {}
            }
        }
    }

    /// Waits for the end of a job that was started.
    pub fn finish(&mut self, id: &str) -> ExitReport {
        loop {
            if let ToServer::Finished { job, report, .. } = self.hear()
                && job.as_str() == id
            {
                return *report;
            }
        }
    }

    /// A job from beginning to end, which shows that the launcher still does its work.
    pub fn prove_alive(&mut self, id: &str) {
        let started = self.start(id, spec(&["true"]));
        let finished =
            if started == "started" { format!("finished {:?}", self.finish(id).outcome) } else { started };
        self.say(&format!("alive: {finished}"));
        self.tell(&ToLauncher::Acknowledge { job: job(id) });
    }
}

/// A job's id.
pub fn job(id: &str) -> JobId {
    JobId::try_from(id.to_owned()).expect("a job's id")
}

/// A spec before its check.
pub fn unchecked(argv: &[&str]) -> UncheckedSpec {
    UncheckedSpec {
        argv: argv.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
        env: Vec::new(),
        workdir: None,
        profile: "default".to_owned(),
        workspace: WorkspaceRequest::Scratch,
        stdin: StdinSource::Empty,
        terminal: None,
        user: None,
        group: None,
        limits: LimitRequest::default(),
    }
}

/// A spec that a good server could send.
pub fn spec(argv: &[&str]) -> Spec {
    Spec::check(unchecked(argv)).expect("a spec")
}
