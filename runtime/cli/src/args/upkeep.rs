//! Flags of the verbs that keep a host in order: `gc` and `upgrade`.

use clap::Args;

/// `runtime upgrade`.
#[derive(Debug, Clone, Args)]
pub struct UpgradeArgs {
    /// Wait for at most this long, as 90s or 2min.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub timeout: String,
}

/// `runtime gc`.
#[derive(Debug, Clone, Copy, Args)]
pub struct GcArgs {
    /// Only list what is left; remove nothing.
    #[arg(long, conflicts_with = "check")]
    pub dry_run: bool,
    /// Only list what is left, and exit with 1 when there is anything.
    #[arg(long)]
    pub check: bool,
}
