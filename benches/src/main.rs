//! Benchmarks of the start of a program in a sandbox. Each number stands beside two references that were measured in the
//! same run: posix_spawn of the same program, and bubblewrap with comparable namespaces. Nothing is asserted: it prints.

mod args;
mod as_user;
mod ceiling;
mod client;
mod daemon;
mod error;
mod growth;
mod logs;
mod machine;
mod memory;
mod program;
mod report;
mod stage;
mod start;
mod statistics;
mod streaming;
mod throughput;

use args::Args;
use clap::Parser;
use client::Client;
use daemon::Daemon;
use error::Error;
use machine::Machine;
use report::Report;
use stage::{Stage, Way};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Error> {
    let own = std::env::current_exe().map_err(Error::io("find this program"))?;
    let runtime = runtime(args, &own)?;
    let out = args.out.clone().unwrap_or_else(|| out_directory(&own));
    let name = match (&args.name, args.user) {
        (Some(name), _) => name,
        (None, _) if args.logs => "logs",
        (None, _) if args.growth => "growth",
        (None, None) => "launch",
        (None, Some(_)) => "launch-user",
    };
    if let Some(uid) = args.user {
        return as_user::run(args, uid, &runtime, &out, name);
    }
    let (text, json) = if args.logs {
        measure_logs(args, &runtime)?
    } else if args.growth {
        measure_growth(args, &runtime)?
    } else {
        let report = measure(args, runtime)?;
        (report.text(), report.json())
    };
    print!("{text}");
    let file = out.join(format!("{name}.json"));
    std::fs::create_dir_all(&out).map_err(Error::io(format!("make {}", out.display())))?;
    let json = serde_json::to_string_pretty(&json)? + "\n";
    std::fs::write(&file, json).map_err(Error::io(format!("write {}", file.display())))?;
    println!("written to {}", file.display());
    Ok(())
}

/// The binary under test: what was given, else `runtime` of the same build.
fn runtime(args: &Args, own: &Path) -> Result<PathBuf, Error> {
    let found = args.runtime.clone().unwrap_or_else(|| own.with_file_name("runtime"));
    match found.is_file() {
        true => std::path::absolute(&found).map_err(Error::io("find the binary")),
        false => Err(Error::Missing {
            what: found.display().to_string(),
            next: "build it first with `cargo build --release`, or name it with --runtime",
        }),
    }
}

/// `target/bench` for a program in `target/release`.
fn out_directory(own: &Path) -> PathBuf {
    own.ancestors().nth(2).unwrap_or(Path::new(".")).join("bench")
}

/// The way of output alone.
fn measure_logs(args: &Args, runtime: &Path) -> Result<(String, serde_json::Value), Error> {
    let home = tempfile::Builder::new().prefix("runtime-benches-").tempdir();
    let home = home.map_err(Error::io("make a directory"))?;
    let daemon = Daemon::start(runtime, home.path())?;
    let floods = logs::measure(daemon.socket(), home.path(), &args.profile, args.past_mib, args.rounds)?;
    daemon.stop()?;
    Ok((logs::text(&floods), logs::json(&floods)))
}

/// The same calls at stores of different sizes.
fn measure_growth(args: &Args, runtime: &Path) -> Result<(String, serde_json::Value), Error> {
    let home = tempfile::Builder::new().prefix("runtime-benches-").tempdir();
    let home = home.map_err(Error::io("make a directory"))?;
    let before = machine::load()?;
    let sizes = &args.finished;
    let grown = growth::measure(runtime, home.path(), &args.profile, sizes, args.rounds, args.samples)?;
    let load = format!("load before {before}, after {}\n", machine::load()?);
    Ok((load + &growth::text(&grown), growth::json(&grown)))
}

fn measure(args: &Args, runtime: PathBuf) -> Result<Report, Error> {
    let home = tempfile::Builder::new()
        .prefix("runtime-benches-")
        .tempdir()
        .map_err(Error::io("make a directory"))?;
    let program = program::choose()?;
    let (bwrap, skip) = bubblewrap(&program.argv);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio = tokio.map_err(Error::io("start the client"))?;
    let daemon = Daemon::start(&runtime, home.path())?;
    let client = tokio.block_on(Client::connect(daemon.socket(), &args.profile))?;
    let machine = Machine::look(tokio.block_on(client.info())?)?;
    let stage = Stage { runtime, program, bwrap, profile: args.profile.clone(), daemon, client, tokio };
    let starts = start::measure(&stage, args.samples)?;
    let throughput =
        throughput::measure(&stage, &args.in_flight, args.rounds, Duration::from_millis(args.block_ms))?;
    // Before the stream: its output is a matter of its own.
    let memory = stage.daemon.memory()?;
    let streaming = match args.stream_mib {
        0 => Vec::new(),
        mib => streaming::measure(&stage, mib, args.rounds)?,
    };
    let report = Report {
        machine,
        program: describe(&stage.program),
        profile: stage.profile,
        skipped: skip.into_iter().collect(),
        starts,
        throughput,
        streaming,
        memory,
    };
    drop(stage.client);
    stage.daemon.stop()?;
    Ok(report)
}

/// bubblewrap, when it is there and works on this host; else why it is left out.
fn bubblewrap(argv: &[OsString]) -> (Option<PathBuf>, Option<String>) {
    let Some(bwrap) = program::find("bwrap") else {
        let why = "bubblewrap: not installed; as root `just bench` installs it";
        return (None, Some(why.to_owned()));
    };
    match stage::run_line(Way::Bubblewrap, &program::bubblewrap(&bwrap, argv)) {
        Ok(_elapsed) => (Some(bwrap), None),
        Err(error) => (None, Some(format!("bubblewrap: {error}"))),
    }
}

fn describe(program: &program::Program) -> String {
    let words: Vec<_> = program.argv.iter().map(|word| word.to_string_lossy()).collect();
    let kind = if program.is_static { "static" } else { "dynamic" };
    format!("{} ({kind})", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_beside_the_directory_of_the_program() {
        assert_eq!(out_directory(Path::new("/t/release/runtime-benches")), Path::new("/t/bench"));
    }

    #[test]
    fn a_binary_that_is_missing_says_how_to_get_it() {
        let args = Args::parse_from(["runtime-benches", "--runtime", "/no/such/runtime"]);
        let error = runtime(&args, Path::new("/t/release/runtime-benches")).unwrap_err();
        assert!(error.to_string().contains("cargo build --release"), "{error}");
    }
}
