//! What is done with jobs that there are: the arguments of `ps`, `logs`, `attach` and the like.

use clap::Args;

/// `runtime ps`.
#[derive(Debug, Clone, Args, Default)]
pub struct PsArgs {
    /// Only jobs in this state.
    #[arg(long, value_name = "STATE", value_parser = ["queued", "starting", "running", "finished"])]
    pub state: Option<String>,
    /// Only jobs with this label. May be repeated: all of them.
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// Only jobs of this profile.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Only jobs of this org.
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
    /// Only jobs asked for since then: 10min, 2h, 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with = "all")]
    pub max: u32,
    /// All of them.
    #[arg(long)]
    pub all: bool,
    /// Then go on: a line for each change of a job, until a signal ends it. Begins with the jobs that are not finished.
    #[arg(long, conflicts_with_all = ["max", "all", "since"])]
    pub watch: bool,
}

/// `runtime inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The job's id, or any unique prefix.
    #[arg(value_name = "JOB")]
    pub job: String,
}

/// `runtime logs`.
#[derive(Debug, Clone, Args, Default)]
pub struct LogsArgs {
    /// The job's id, or any unique prefix.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Go on until the job is over.
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Only what came since then: 10min, 2h, 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only the end of each stream, with a unit: 64KiB.
    #[arg(long, value_name = "SIZE")]
    pub tail: Option<String>,
    /// Only stdout.
    #[arg(long, conflicts_with = "stderr")]
    pub stdout: bool,
    /// Only stderr.
    #[arg(long)]
    pub stderr: bool,
    /// Print control sequences as they are, also to a terminal.
    #[arg(long)]
    pub raw: bool,
    /// Begin each line with the time at which it came.
    #[arg(long)]
    pub timestamps: bool,
}

/// `runtime attach`.
#[derive(Debug, Clone, Args, Default)]
pub struct AttachArgs {
    /// The job's id, or any unique prefix.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Hand our stdin on to the command.
    #[arg(short = 'i', long)]
    pub interactive: bool,
    /// Lend our terminal to the command's: its size, and with -i every key. Ctrl-P Ctrl-Q leaves, and the job goes on.
    #[arg(short = 't', long = "terminal", visible_alias = "tty")]
    pub terminal: bool,
    /// Print control sequences as they are, also to a terminal.
    #[arg(long)]
    pub raw: bool,
}

/// `runtime wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The job's id, or any unique prefix. May be repeated.
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Give up after this time, with a unit; the jobs go on. The exit status is 125 then.
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,
}

/// `runtime signal`.
#[derive(Debug, Args)]
pub struct SignalArgs {
    /// The job's id, or any unique prefix.
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The signal: a name (TERM, SIGUSR1, RTMIN+1) or a number.
    #[arg(value_name = "SIGNAL")]
    pub signal: String,
    /// To every process of the job, not only the first.
    #[arg(long)]
    pub all: bool,
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

/// `runtime rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The job's id, or any unique prefix. May be repeated.
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
}
