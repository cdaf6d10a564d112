//! The command line as data. Parsing has no effect: nothing is opened, no thread is started.

mod daemon;
mod job;
mod jobs;
mod upkeep;

use clap::{Args, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub use daemon::{DrainArgs, ServeArgs};
pub use job::{JobArgs, KeepWish, RunArgs, SubmitArgs};
pub use jobs::{AttachArgs, CancelArgs, InspectArgs, LogsArgs, PsArgs, RmArgs, SignalArgs, WaitArgs};
pub use upkeep::{GcArgs, UpgradeArgs};

/// Runs untrusted commands, each in a sandbox of its own, and says how each ended.
#[derive(Debug, Parser)]
#[command(name = "runtime", version, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb, before or after it.
#[derive(Debug, Clone, Args, Default)]
pub struct Global {
    /// The daemon to ask: unix:PATH or http://HOST:PORT (loopback). Default: RUNTIME_ENDPOINT, else the default socket.
    #[arg(long, global = true, value_name = "ENDPOINT")]
    pub endpoint: Option<OsString>,
    /// Print JSON, one object a line; errors too.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command in a sandbox; the exit status is the command's.
    Run(Box<RunArgs>),
    /// Hand a command to the daemon and print the job's id; it runs whether we are there or not.
    Submit(Box<SubmitArgs>),
    /// Serve the API until a signal ends it.
    Serve(Box<ServeArgs>),
    /// List jobs, newest first.
    Ps(PsArgs),
    /// Show one job: state, walls, outcome.
    Inspect(InspectArgs),
    /// Print the output of a job, as long as it is kept.
    Logs(LogsArgs),
    /// Join a job: its output from the start, with -i its stdin. The exit status is the job's.
    Attach(AttachArgs),
    /// Wait until jobs are over. The exit status is the job's; of several, the first that is not 0.
    Wait(WaitArgs),
    /// Send a signal to a job.
    Signal(SignalArgs),
    /// End a job: TERM, grace, KILL.
    Cancel(CancelArgs),
    /// Remove the records and the output of jobs that are over.
    Rm(RmArgs),
    /// Take no new jobs and let those that run finish.
    Drain(DrainArgs),
    /// Remove what daemons that died left on this host, or list it.
    Gc(GcArgs),
    /// Put the program on disk in the place of the daemon's; jobs run on.
    Upgrade(UpgradeArgs),
    /// Sandbox profiles: list, show, check.
    Profile(ProfileArgs),
    /// What each wall needs on this host, and what mends what is missing.
    Doctor,
    /// Try to break out of a sandbox on this host, and show what held.
    Selftest(SelftestArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

impl Verb {
    /// Whether the exit status is a job's, so that failures of ours are 125.
    pub const fn is_like_run(&self) -> bool {
        matches!(self, Verb::Run(_) | Verb::Attach(_) | Verb::Wait(_))
    }
}

/// The same for the name of a verb, when the line did not parse.
pub fn is_like_run(verb: Option<&OsStr>) -> bool {
    ["run", "attach", "wait"].iter().any(|name| verb == Some(OsStr::new(name)))
}

/// `runtime profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ProfileAction,
    /// Profiles of the operator. Default: /etc/runtime/profiles, or the XDG configuration.
    #[arg(long, value_name = "DIR", global = true)]
    pub profiles: Option<PathBuf>,
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileAction {
    /// Name, origin, digest and description of each.
    List,
    /// What one resolves to.
    Show {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Check files before they are used: every error at once, with file and line.
    Check {
        /// The files.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// `runtime selftest`.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// The profile to try.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
}

/// `runtime completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Reads a command line, the program's name first.
pub fn parse(argv: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(argv)
}

/// What a command line that does not parse was meant for: the verb and whether JSON was asked for.
pub fn guess_verb(argv: &[OsString]) -> (Option<&OsStr>, bool) {
    let mut verb = None;
    let mut json = false;
    let mut words = argv.iter().skip(1).map(OsString::as_os_str);
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        } else if word == "--json" {
            json = true;
        } else if word == "--endpoint" && verb.is_none() {
            words.next();
        } else if verb.is_none() && !word.as_encoded_bytes().starts_with(b"-") {
            verb = Some(word);
        }
    }
    (verb, json)
}

#[cfg(test)]
#[path = "args/tests.rs"]
mod tests;
