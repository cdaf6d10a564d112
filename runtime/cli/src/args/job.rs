//! What describes a job: the arguments of `run` and `submit`.

use clap::{Args, ValueEnum};
use std::ffi::OsString;

/// The job itself.
#[derive(Debug, Clone, Args, Default)]
pub struct JobArgs {
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
    /// A limit: memory, swap, cpu, cpu_time, wall_time, idle_time, pids, files, output, scratch, inodes. May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub limit: Vec<String>,
    /// Give the command a terminal of its own, of the size of ours. Its wall time is then the longest that the policy allows.
    #[arg(short = 't', long = "terminal", visible_alias = "tty")]
    pub terminal: bool,
    /// A file inside that the command reads as stdin.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["interactive", "terminal"])]
    pub stdin_file: Option<OsString>,
    /// Who the command is inside. Default: the profile's user.
    #[arg(long, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// A label, to find the job again (`ps --label`). May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// The organisation that the job belongs to.
    #[arg(long, value_name = "ORG", default_value = "default")]
    pub org: String,
    /// Which of the waiting jobs of its org goes first, -100 to 100: the highest does.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// How much output stays on disk, with a unit: of more, the beginning and the end are kept. Not a limit. Default: all.
    #[arg(long, value_name = "SIZE")]
    pub keep_output: Option<String>,
    /// What stays when the job is over.
    #[arg(long, value_name = "WHAT", default_value = "all")]
    pub keep: KeepWish,
    /// Names this request: with a key that the daemon knows, the job that has it is meant, and no second one starts.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// What stays of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum KeepWish {
    /// Record and output, as long as the operator keeps them.
    #[default]
    All,
    /// The record; the output goes soon after the end.
    Record,
}

/// `runtime run`.
#[derive(Debug, Clone, Args, Default)]
pub struct RunArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Mount a directory of this host as /workspace (embedded form only); with :ro read-only.
    #[arg(long, value_name = "PATH[:ro]")]
    pub dir: Option<OsString>,
    /// Hand our stdin on to the command. Without it the command's stdin is empty.
    #[arg(short = 'i', long)]
    pub interactive: bool,
    /// Leave the job with the daemon and print its id: the same as `submit`.
    #[arg(short = 'd', long, conflicts_with_all = ["embedded", "dir", "report", "raw", "plan"])]
    pub detach: bool,
    /// Print control sequences as they are, also to a terminal.
    #[arg(long)]
    pub raw: bool,
    /// Write outcome and enforcement as JSON to this file; `-` is stderr.
    #[arg(long, value_name = "FILE")]
    pub report: Option<OsString>,
    /// Print the launch plan as JSON and run nothing.
    #[arg(long)]
    pub plan: bool,
    /// Run without a daemon, even where there is one.
    #[arg(long, conflicts_with = "endpoint")]
    pub embedded: bool,
}

/// `runtime submit`.
#[derive(Debug, Clone, Args, Default)]
pub struct SubmitArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Give the command a stdin that `attach -i` writes to. Without it the command's stdin is empty.
    #[arg(short = 'i', long)]
    pub interactive: bool,
}
