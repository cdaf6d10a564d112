//! The ways to start the program, and one start in each of them.

use crate::client::{Client, Sample};
use crate::daemon::Daemon;
use crate::error::Error;
use crate::program::{self, Program};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A way to start the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// posix_spawn(3), as the standard library calls it: the reference.
    PosixSpawn,
    /// bubblewrap with comparable namespaces and mounts: the other reference.
    Bubblewrap,
    /// `runtime run` without a daemon: launcher, zygote and server start and end with it.
    RunEmbedded,
    /// `runtime run` at a daemon that runs.
    RunAtDaemon,
    /// The `Run` call at a daemon that runs, over a connection that stands.
    RunCall,
}

impl Way {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Way::PosixSpawn => "posix_spawn",
            Way::Bubblewrap => "bubblewrap",
            Way::RunEmbedded => "runtime run, embedded",
            Way::RunAtDaemon => "runtime run, at a daemon",
            Way::RunCall => "Run call",
        }
    }
}

/// Everything that a measurement needs.
#[derive(Debug)]
pub struct Stage {
    /// The binary under test.
    pub runtime: PathBuf,
    /// What is started.
    pub program: Program,
    /// bubblewrap, where it is installed and works.
    pub bwrap: Option<PathBuf>,
    /// The profile of the jobs.
    pub profile: String,
    /// The daemon of the ways that need one.
    pub daemon: Daemon,
    /// Its client.
    pub client: Client,
    /// What drives the client: one thread.
    pub tokio: tokio::runtime::Runtime,
}

impl Stage {
    /// The ways among these that this host has.
    pub fn available(&self, ways: &[Way]) -> Vec<Way> {
        let is_available = |way: &Way| *way != Way::Bubblewrap || self.bwrap.is_some();
        ways.iter().copied().filter(is_available).collect()
    }

    /// The command line of a way that is a process of its own; `None` for the call. `output_bytes_max` is asked for where
    /// there is such a limit.
    pub fn line(&self, way: Way, argv: &[OsString], output_bytes_max: Option<u64>) -> Option<Vec<OsString>> {
        let run = |socket| program::runtime_run(&self.runtime, socket, &self.profile, output_bytes_max, argv);
        match way {
            Way::PosixSpawn => Some(argv.to_vec()),
            Way::Bubblewrap => self.bwrap.as_ref().map(|bwrap| program::bubblewrap(bwrap, argv)),
            Way::RunEmbedded => Some(run(None)),
            Way::RunAtDaemon => Some(run(Some(self.daemon.socket()))),
            Way::RunCall => None,
        }
    }

    /// One start, from before it to after its end. The second part is what the call alone can tell.
    pub fn once(&self, way: Way) -> Result<(Duration, Option<Sample>), Error> {
        let argv = &self.program.argv;
        match self.line(way, argv, None) {
            Some(line) => Ok((run_line(way, &line)?, None)),
            None => {
                let sample = self.tokio.block_on(self.client.run(argv, None))?;
                Ok((sample.total, Some(sample)))
            }
        }
    }
}

/// Starts a command line, reads its stdout and stderr to their ends, and waits for it. An end that is not success is an error.
pub fn run_line(way: Way, line: &[OsString]) -> Result<Duration, Error> {
    let (name, arguments) = line.split_first().ok_or_else(|| Error::Missing {
        what: "a command".to_owned(),
        next: "give one with at least one word",
    })?;
    let begin = Instant::now();
    let output = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("start {}", name.to_string_lossy())))?;
    let elapsed = begin.elapsed();
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Ended { mode: way.name(), status: output.status, words });
    }
    Ok(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_no_sample() {
        assert!(run_line(Way::PosixSpawn, &["/bin/true".into()]).unwrap() > Duration::ZERO);
        let error = run_line(Way::PosixSpawn, &["/bin/false".into()]).unwrap_err();
        assert!(matches!(error, Error::Ended { .. }), "{error}");
        assert!(run_line(Way::PosixSpawn, &["/no/such/program".into()]).is_err());
        assert!(run_line(Way::PosixSpawn, &[]).is_err());
    }
}
