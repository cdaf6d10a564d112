//! The flags. Their defaults together take about a minute and a half on two cores.

use clap::Parser;
use std::path::PathBuf;

/// Measures starts of a program in a sandbox, against posix_spawn and bubblewrap in the same run.
#[derive(Debug, Clone, Parser)]
#[command(name = "runtime-benches", version)]
pub struct Args {
    /// Samples of each way to start, one at a time.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples: u32,
    /// Blocks of each way to start at each number in flight.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Length of one such block, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub block_ms: u64,
    /// Numbers of jobs in flight.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2, 8, 32], value_parser = clap::value_parser!(u32).range(1..=64))]
    pub in_flight: Vec<u32>,
    /// Mebibytes of output to stream; 0 leaves that part out.
    #[arg(long, value_name = "MIB", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=4_000))]
    pub stream_mib: u64,
    /// Measure the way of output alone: from the pipe over the disk to 1, 10 and 100 readers.
    #[arg(long)]
    pub logs: bool,
    /// With --logs: mebibytes of one job that are to go past what the page cache takes at once; 0 leaves that part out.
    #[arg(long, value_name = "MIB", default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(0..=4_000))]
    pub past_mib: u64,
    /// Measure alone whether calls get slower as finished jobs pile up in the store.
    #[arg(long, conflicts_with = "logs")]
    pub growth: bool,
    /// With --growth: the numbers of finished jobs; ratios are to the first. The daemon keeps a million by default.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10, 10_000, 1_000_000], value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub finished: Vec<u64>,
    /// The profile of the jobs.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
    /// As root: run everything, the references too, as this ordinary user.
    #[arg(long, value_name = "UID", value_parser = clap::value_parser!(u32).range(1..=2_000_000_000))]
    pub user: Option<u32>,
    /// The binary to measure. Default: `runtime` beside this program.
    #[arg(long, value_name = "FILE")]
    pub runtime: Option<PathBuf>,
    /// Where the JSON goes. Default: `bench` beside the directory of this program.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The name of the JSON file, without its ending. Default: `launch`, `launch-user` with --user, `logs` with --logs, `growth`
    /// with --growth.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_stay_below_the_policy_and_the_minute_and_a_half() {
        let args = Args::parse_from(["runtime-benches"]);
        assert_eq!(args.in_flight, [1, 2, 8, 32]);
        // Three ways to start at each number in flight.
        let blocks_ms = u64::from(args.rounds) * args.block_ms * args.in_flight.len() as u64 * 3;
        assert!(blocks_ms < 60_000, "{blocks_ms}");
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for bad in
            ["--samples=0", "--in-flight=0", "--in-flight=65", "--block-ms=0", "--user=0", "--finished=9"]
        {
            assert!(Args::try_parse_from(["runtime-benches", bad]).is_err(), "{bad}");
        }
    }
}
