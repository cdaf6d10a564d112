//! A launcher whose server is hostile: `hostile SCENARIO` becomes launcher and server as `runtime run` does, and the server
//! plays that scenario on the link. For tests only.
//!
//! What the server says goes to stdout, a fact a line. `go` on stdin lets it go on; the end of stdin is the end of the
//! launcher's lifeline. At the end come `fatal: …` and `status: …` of the launcher.

mod link;
mod reach;
mod scenarios;

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
        unix::net::UnixStream,
    },
    process::ExitCode,
    thread,
    time::Duration,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("__server") => {
            let number = |flag: &str| value(&args, flag).parse().expect("a number");
            let adopt = |flag: &str| inherit::adopt_fd(number(flag)).expect("an inherited descriptor");
            let link = link::Link::new(adopt("--link-fd"), UnixStream::from(adopt("--connection-fd")));
            scenarios::play(&value(&args, "--scenario"), link);
            ExitCode::SUCCESS
        }
        Some(scenario) => start(scenario),
        None => ExitCode::from(2),
    }
}

fn value(args: &[String], flag: &str) -> String {
    let place = args.iter().position(|arg| arg == flag).expect("the flag is there");
    args[place + 1].clone()
}

fn start(scenario: &str) -> ExitCode {
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
                faults: Vec::new(),
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
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from_server.read(&mut bytes) {
        std::io::stdout().write_all(&bytes[..length]).expect("stdout");
        std::io::stdout().flush().expect("stdout");
    }
}
