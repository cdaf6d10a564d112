//! How fast the output of one job comes: a program that writes zeros, read to the end. The ways take turns.

use crate::error::Error;
use crate::stage::{Stage, Way};
use crate::statistics::median;
use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// All but the private launcher: its start would be a part of the time.
const WAYS: [Way; 4] = [Way::PosixSpawn, Way::Bubblewrap, Way::RunAtDaemon, Way::RunCall];
/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;
/// The writer; it is in coreutils, and inside of every profile.
const WRITER: &str = "/usr/bin/head";

/// One way.
#[derive(Debug)]
pub struct Streaming {
    /// Which way.
    pub way: Way,
    /// MiB per second of each round.
    pub mib_per_second: Vec<f64>,
    /// The middle of these.
    pub median: f64,
}

/// Streams so many MiB in each way and round.
pub fn measure(stage: &Stage, mib: u64, rounds: u32) -> Result<Vec<Streaming>, Error> {
    let bytes = mib * MIB;
    let argv: Vec<OsString> =
        [WRITER, "-c", &bytes.to_string(), "/dev/zero"].iter().map(OsString::from).collect();
    let ways: Vec<Way> = stage.available(&WAYS);
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    for _round in 0..rounds {
        for (way, rates) in ways.iter().zip(&mut rates) {
            let elapsed = stream(stage, *way, &argv, bytes)?;
            rates.push(mib as f64 / elapsed.as_secs_f64());
        }
    }
    let sum_up = |(way, rates): (&Way, Vec<f64>)| {
        Some(Streaming { way: *way, median: median(&rates)?, mib_per_second: rates })
    };
    Ok(ways.iter().zip(rates).filter_map(sum_up).collect())
}

fn stream(stage: &Stage, way: Way, argv: &[OsString], bytes: u64) -> Result<Duration, Error> {
    let begin = Instant::now();
    let seen = match stage.line(way, argv, Some(bytes)) {
        Some(line) => read_all(way, &line)?,
        None => stage.tokio.block_on(stage.client.run(argv, Some(bytes)))?.stdout_bytes,
    };
    let elapsed = begin.elapsed();
    match seen == bytes {
        true => Ok(elapsed),
        false => Err(Error::Job(format!("{}: {seen} bytes came, not {bytes}", way.name()))),
    }
}

/// Counts what a command line writes. Its stderr is ours.
fn read_all(way: Way, line: &[OsString]) -> Result<u64, Error> {
    let (name, arguments) = line.split_first().ok_or_else(|| Error::Job("no command".to_owned()))?;
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("start {}", name.to_string_lossy())))?;
    let seen = match child.stdout.take() {
        Some(stdout) => count(stdout).map_err(Error::io("read the output")),
        None => Ok(0),
    };
    let status = child.wait().map_err(Error::io("wait for the program"))?;
    match status.success() {
        true => seen,
        false => Err(Error::Ended { mode: way.name(), status, words: "see above".to_owned() }),
    }
}

/// Reads to the end in pieces as large as a pipe.
fn count(mut from: impl io::Read) -> io::Result<u64> {
    let mut piece = vec![0; 64 * 1024];
    let mut seen = 0;
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(seen),
            Ok(bytes) => seen += bytes as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_to_the_end() {
        assert_eq!(count(&vec![7; 200_000][..]).unwrap(), 200_000);
        let line: Vec<OsString> = [WRITER, "-c", "100000", "/dev/zero"].iter().map(OsString::from).collect();
        assert_eq!(read_all(Way::PosixSpawn, &line).unwrap(), 100_000);
        assert!(read_all(Way::PosixSpawn, &["/bin/false".into()]).is_err());
    }
}
