//! The verbs, one file each: what they ask and what they print.

mod attach;
mod cancel;
mod completions;
mod doctor;
mod drain;
mod gc;
mod inspect;
mod logs;
mod probe;
mod profile;
mod ps;
mod resume;
mod rm;
mod run;
mod selftest;
mod serve;
mod server;
mod signal;
mod submit;
mod upgrade;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use tonic::transport::Channel;

use crate::args::{self, Cli, Global, Verb};
use crate::endpoint::{self, Wishes};
use crate::error::{Error, STATUS_OURS};
use crate::places::Surroundings;
use crate::{client, output};

/// Reads the command line and does what it says. No thread may exist yet.
pub fn dispatch(argv: Vec<OsString>) -> ExitCode {
    // The hidden verbs are for our own processes, which know what to write.
    if argv.get(1).is_some_and(|verb| verb == "__server") {
        return server::serve(&argv[2..]);
    }
    if argv.get(1).is_some_and(|verb| verb == resume::RESUME) {
        return resume::resume(&argv[2..]);
    }
    if argv.get(1).is_some_and(|verb| verb == resume::CHECK) {
        return resume::check(&argv[2..]);
    }
    if argv.get(1).is_some_and(|verb| verb == runtime_probes::VERB) {
        return probe::probe(&argv[2..]);
    }
    let cli = match args::parse(&argv) {
        Ok(cli) => cli,
        Err(error) => return refuse(&argv, &error),
    };
    let like_run = cli.verb.is_like_run();
    let json = cli.global.json;
    let status = act(cli).unwrap_or_else(|error| {
        output::complain(&error.show(json));
        error.exit_status(like_run)
    });
    ExitCode::from(status)
}

fn act(cli: Cli) -> Result<u8, Error> {
    let global = cli.global;
    match cli.verb {
        Verb::Run(args) => run::run(global, &args),
        Verb::Submit(args) => submit::submit(global, &args.job, args.interactive),
        Verb::Serve(args) => serve::serve(*args),
        Verb::Ps(args) => ps::ps(global, &args),
        Verb::Inspect(args) => inspect::inspect(global, args),
        Verb::Logs(args) => logs::logs(global, args),
        Verb::Attach(args) => attach::attach(global, args),
        Verb::Wait(args) => wait::wait(global, args),
        Verb::Signal(args) => signal::send(global, args),
        Verb::Cancel(args) => cancel::cancel(global, args),
        Verb::Rm(args) => rm::rm(global, args),
        Verb::Drain(args) => drain::drain(global, &args),
        Verb::Gc(args) => gc::gc(global, args),
        Verb::Upgrade(args) => upgrade::upgrade(global, &args),
        Verb::Profile(args) => profile::profile(global, args),
        Verb::Doctor => doctor::doctor(global),
        Verb::Selftest(args) => selftest::selftest(global, &args),
        Verb::Completions(args) => completions::completions(&args),
    }
}

/// A command line that does not parse: help and version are answers, the rest is usage.
fn refuse(argv: &[OsString], error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return print_help(error);
    }
    let (verb, json) = args::guess_verb(argv);
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && verb.is_none() {
        // `runtime` alone: the help is the answer.
        return print_help(error);
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
    let error = Error::CommandLine { text };
    output::complain(&error.show(json));
    ExitCode::from(error.exit_status(args::is_like_run(verb)))
}

fn print_help(help: &clap::Error) -> ExitCode {
    match output::print(&help.to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A runtime of one thread: the command waits, it does not compute.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start", "the event loop", error))
}

/// The endpoint of a verb that needs a daemon.
fn endpoint(global: Global) -> Result<endpoint::Endpoint, Error> {
    let places = Surroundings::now();
    let default = endpoint::look_at(&places.default_socket(), places.uid);
    endpoint::choose(&Wishes::now(global.endpoint, false), default)
}

/// Connects to the daemon and does something with it.
fn with_daemon<T, F>(global: Global, act: impl FnOnce(Channel) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let endpoint = endpoint(global)?;
    runtime()?.block_on(async { act(client::connect(&endpoint).await?).await })
}

/// An answer without the message that it must have.
fn missing(what: &str) -> Error {
    Error::Protocol { what: format!("the answer has no {what}") }
}

/// The exit status of everything that is neither usage nor a job's, as a byte.
fn status_of(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(STATUS_OURS)
}
