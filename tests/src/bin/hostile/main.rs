//! A launcher whose server is hostile: `hostile SCENARIO` becomes launcher and server as `runtime run` does, and the server
//! plays that scenario on the link. For tests only.
//!
//! What the server says goes to stdout, a fact a line. `go` on stdin lets it go on; the end of stdin is the end of the
//! launcher's lifeline. At the end come `fatal: …` and `status: …` of the launcher.
//!
//! A scenario of [`successors`] is played in a daemon: each server of the launcher plays its own part of it.

mod link;
mod reach;
mod scenarios;
mod successors;

use runtime_sandbox::launcher::{self, Mode, Options};
use runtime_sys::{
    clone::{self, Cloned, SingleThreaded},
    inherit, pidfd, pipe,
    process::exit_now,
    socket,
};
use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("__server") => {
            let number = |flag: &str| value(&args, flag).parse().expect("a number");
            let adopt = |flag: &str| inherit::adopt_fd(number(flag)).expect("an inherited descriptor");
            let socket = adopt("--link-fd");
            let scenario = value(&args, "--scenario");
            if successors::ALL.contains(&scenario.as_str()) {
                let listener = value(&args, "--unix-listener-fd");
                let fd = listener.split('=').next().and_then(|fd| fd.parse().ok()).expect("a number");
                let listener = UnixListener::from(inherit::adopt_fd(fd).expect("an inherited socket"));
                let (test, _) = listener.accept().expect("the test connects");
                successors::play(&scenario, link::Link::new(socket, test));
                return ExitCode::SUCCESS;
            }
            let link = link::Link::new(socket, UnixStream::from(adopt("--connection-fd")));
            scenarios::play(&scenario, link);
            ExitCode::SUCCESS
        }
        Some(scenario) if successors::ALL.contains(&scenario) => start_daemon(scenario),
        Some(scenario) if args.len() > 2 => start(scenario, &args[2..]),
        Some(scenario) => start(scenario, &[]),
        None => ExitCode::from(2),
    }
}

fn value(args: &[String], flag: &str) -> String {
    let place = args.iter().position(|arg| arg == flag).expect("the flag is there");
    args[place + 1].clone()
}

/// `faults` are as `serve --fault` takes them.
fn start(scenario: &str, faults: &[String]) -> ExitCode {
    let (connection, ours) = socket::stream_pair().expect("a connection");
    let (lifeline, our_life) = pipe::pipe().expect("a lifeline");
    let (fatal, fatal_end) = pipe::pipe().expect("a pipe for a fatal error");
    let proof = SingleThreaded::prove().expect("one thread");
    match clone::fork(&proof).expect("fork") {
        Cloned::Child => {
            drop((ours, our_life, fatal));
            let mode = Mode::Embedded { connection, lifeline, fatal: fatal_end, directory: None };
            let server_args = vec!["--scenario".to_owned(), scenario.to_owned()];
            exit_now(launcher::run(Options {
                mode,
                profiles_dir: None,
                policies_dir: None,
                server_args,
                drain_timeout: Duration::ZERO,
                store_version: 1,
                faults: faults.iter().map(|text| fault_option(text)).collect(),
            }))
        }
        Cloned::Parent { pidfd, .. } => {
            drop((connection, lifeline, fatal_end));
            follow(UnixStream::from(ours), our_life);
            let mut text = String::new();
            File::from(fatal).read_to_string(&mut text).expect("the fatal error");
            println!("fatal: {text}");
            println!("status: {:?}", pidfd::reap_blocking(pidfd.as_fd()).expect("the launcher's end").status);
            ExitCode::SUCCESS
        }
    }
}

fn fault_option(text: &str) -> launcher::FaultOption {
    launcher::FaultOption { text: text.to_owned(), fault: runtime_plan::fault::parse(text).expect("a fault") }
}

/// The same in the form of a daemon.
fn start_daemon(scenario: &str) -> ExitCode {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (lifeline, our_life) = pipe::pipe().expect("a lifeline");
    let proof = SingleThreaded::prove().expect("one thread");
    match clone::fork(&proof).expect("fork") {
        Cloned::Child => {
            drop(our_life);
            let mode = Mode::Serve {
                state_dir: place.path().join("state"),
                unix: vec![launcher::UnixListener { path, fd: listener.into() }],
                tcp: Vec::new(),
                metrics: None,
                ready_fd: None,
                socket_group: None,
                parent: Some(lifeline),
            };
            exit_now(launcher::run(Options {
                mode,
                profiles_dir: None,
                policies_dir: None,
                server_args: vec!["--scenario".to_owned(), scenario.to_owned()],
                drain_timeout: Duration::ZERO,
                store_version: 1,
                faults: Vec::new(),
            }))
        }
        Cloned::Parent { pidfd, .. } => {
            drop((lifeline, listener));
            follow_all(&path, our_life);
            println!("fatal: ");
            println!("status: {:?}", pidfd::reap_blocking(pidfd.as_fd()).expect("the launcher's end").status);
            ExitCode::SUCCESS
        }
    }
}

/// Hands on what goes to and fro with one server after the other, until no socket is there to connect to.
fn follow_all(path: &Path, lifeline: OwnedFd) {
    let current: Arc<Mutex<Option<UnixStream>>> = Arc::default();
    let writer = Arc::clone(&current);
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut bytes) {
            if let Some(server) = &mut *writer.lock().expect("nobody panics") {
                // The server may be gone already: then there is nobody to tell.
                server.write_all(&bytes[..length]).ok();
            }
        }
        drop(lifeline);
    });
    while let Ok(mut server) = UnixStream::connect(path) {
        *current.lock().expect("nobody panics") = server.try_clone().ok();
        copy_to_stdout(&mut server);
    }
}

fn copy_to_stdout(from: &mut UnixStream) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        std::io::stdout().write_all(&bytes[..length]).expect("stdout");
        std::io::stdout().flush().expect("stdout");
    }
}

/// Hands on what goes to and fro until the server is gone.
fn follow(connection: UnixStream, lifeline: OwnedFd) {
    let mut to_server = connection.try_clone().expect("a second descriptor");
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut bytes) {
            // The server may be gone already: then there is nobody to tell.
            to_server.write_all(&bytes[..length]).ok();
        }
        drop(lifeline);
    });
    let mut from_server = connection;
    copy_to_stdout(&mut from_server);
}
