//! What concerns the daemon as a whole: the arguments of `serve` and `drain`.

use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// `runtime serve`. A flag stands before the same key of the file.
#[derive(Debug, Clone, Args, Default)]
pub struct ServeArgs {
    /// Settings as a file (TOML). Default: /etc/runtime/runtime.toml, or the XDG configuration, where it is there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
    /// Serve metrics for Prometheus here: HOST:PORT, for example 127.0.0.1:9464. Everybody who reaches the port can read them.
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
    /// How long jobs may go on after TERM before they are cancelled. Default: 0s.
    #[arg(long, value_name = "TIME")]
    pub drain_timeout: Option<String>,
    /// How long records and output of finished jobs are kept. Default: 90d.
    #[arg(long, value_name = "TIME")]
    pub keep_for: Option<String>,
    /// How many records of finished jobs are kept, at most.
    #[arg(long, value_name = "N")]
    pub keep_records: Option<u64>,
    /// How much output is kept of each org, at most; the oldest goes first.
    #[arg(long, value_name = "SIZE")]
    pub keep_output: Option<String>,
    /// How many jobs of one org run at the same time, at most.
    #[arg(long, value_name = "N")]
    pub jobs_per_org: Option<u32>,
    /// Make something go wrong on purpose, for tests of clients: crash-at=STEP, disk-full-after=SIZE … May be repeated. Only without a file and with unix sockets.
    #[arg(long, value_name = "NAME=VALUE")]
    pub fault: Vec<String>,
    /// Write the endpoints as JSON to this inherited descriptor once jobs are accepted.
    #[arg(long, value_name = "N")]
    pub ready_fd: Option<i32>,
    /// End when the process that started us ends.
    #[arg(long)]
    pub die_with_parent: bool,
}

/// `runtime drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Cancel what still runs after this time, with a unit. Default: wait for ever.
    #[arg(long, value_name = "TIME", conflicts_with = "undo")]
    pub deadline: Option<String>,
    /// Take jobs again.
    #[arg(long)]
    pub undo: bool,
}
