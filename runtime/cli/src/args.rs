//! The command line as data. Parsing has no effect: nothing is opened, no thread is started.

use clap::{Args, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

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
    /// Serve the API until a signal ends it.
    Serve(ServeArgs),
    /// List jobs, newest first.
    Ps(PsArgs),
    /// Show one job: state, walls, outcome.
    Inspect(InspectArgs),
    /// Join a job: its output from the start, with -i its stdin. The exit status is the job's.
    Attach(AttachArgs),
    /// End a job: TERM, grace, KILL.
    Cancel(CancelArgs),
    /// Sandbox profiles: list, show, check.
    Profile(ProfileArgs),
    /// What each wall needs on this host, and what mends what is missing.
    Doctor,
    /// Try to break out of a sandbox on this host, and show what held.
    Selftest(SelftestArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// `runtime run`.
#[derive(Debug, Clone, Args, Default)]
pub struct RunArgs {
    /// The sandbox profile (`runtime profile list`).
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
    /// Where the command starts, inside. Default: /workspace.
    #[arg(long, value_name = "PATH")]
    pub workdir: Option<OsString>,
    /// A variable for the command: NAME=VALUE, or NAME to hand on ours. May be repeated.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<OsString>,
    /// End the command after this time, with a unit: 30s, 5min. The same as --limit wall_time=….
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,
    /// A limit: memory, swap, cpu, cpu_time, wall_time, pids, files, output, scratch, inodes. May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub limit: Vec<String>,
    /// Mount a directory of this host as /workspace (embedded form only); with :ro read-only.
    #[arg(long, value_name = "PATH[:ro]")]
    pub dir: Option<OsString>,
    /// Hand our stdin on to the command. Without it the command's stdin is empty.
    #[arg(short = 'i', long)]
    pub interactive: bool,
    /// Write outcome and enforcement as JSON to this file; `-` is stderr.
    #[arg(long, value_name = "FILE")]
    pub report: Option<OsString>,
    /// Print the launch plan as JSON and run nothing.
    #[arg(long)]
    pub plan: bool,
    /// Run without a daemon, even where there is one.
    #[arg(long, conflicts_with = "endpoint")]
    pub embedded: bool,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `runtime serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen: unix:PATH or, with --insecure-tcp, http://127.0.0.1:PORT. May be repeated. Default: the default socket.
    #[arg(long, value_name = "ENDPOINT")]
    pub listen: Vec<OsString>,
    /// Allow http:// on loopback, where every local user may then run jobs.
    #[arg(long)]
    pub insecure_tcp: bool,
    /// Where jobs are kept. Default: /var/lib/runtime, or the XDG state directory.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Profiles of the operator; they override built-in ones by name. Default: /etc/runtime/profiles, or the XDG configuration.
    #[arg(long, value_name = "DIR")]
    pub profiles: Option<PathBuf>,
    /// Policies of the operator. Default: /etc/runtime/policies, or the XDG configuration.
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Let this group use the sockets (name or number). Default: their owner only.
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Write the endpoints as JSON to this inherited descriptor once jobs are accepted.
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<i32>,
    /// End when the process that started us ends.
    #[arg(long)]
    pub die_with_parent: bool,
}

/// `runtime ps`.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Only jobs in this state.
    #[arg(long, value_name = "STATE", value_parser = ["queued", "starting", "running", "finished"])]
    pub state: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub max: u32,
}

/// `runtime inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The job's id, or any unique prefix.
    #[arg(value_name = "JOB")]
    pub job: String,
}

/// `runtime attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The job's id, or any unique prefix.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Hand our stdin on to the command.
    #[arg(short = 'i', long)]
    pub interactive: bool,
}

/// `runtime cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The job's id, or any unique prefix. May be repeated.
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Words for the record.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// KILL at once, without TERM and grace.
    #[arg(long)]
    pub kill: bool,
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
