//! How fast the output of one job comes to one and to many readers: from the pipe to the disk, and from there over gRPC.
//! Beside each number the ceiling of the same run: a pipe that is sent over gRPC and kept nowhere. The two take turns.
//!
//! Rates count from the first byte that a reader has to the last one of the slowest reader, so neither the start of the
//! sandbox nor the outcome is in them.

use crate::ceiling::{self, Flow};
use crate::error::Error;
use crate::statistics::median;
use comfy_table::{CellAlignment, Table, presets};
use runtime_proto::v1::{
    JobSpec, Limits, StreamLogsRequest, SubmitRequest, job_service_client::JobServiceClient,
    stream_logs_response::Event,
};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tonic::transport::{Channel, Endpoint};

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;
/// As the command line has it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for the connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// What a line has, its end included.
const LINE_BYTES: u64 = 100;

/// One thing that is measured.
#[derive(Debug)]
pub struct Flood {
    /// For people.
    pub what: String,
    /// Who reads at once.
    pub readers: usize,
    /// What the job writes.
    pub bytes: u64,
    /// MiB per second to each reader through the daemon, one number a round.
    pub daemon: Vec<f64>,
    /// The same without a disk.
    pub ceiling: Vec<f64>,
    /// MiB per second of the program alone with its output in a file of the same file system; for one reader.
    pub disk: Option<f64>,
}

/// Everything that is measured, in turns.
pub fn measure(
    daemon: &Path,
    home: &Path,
    profile: &str,
    past_mib: u64,
    rounds: u32,
) -> Result<Vec<Flood>, Error> {
    let socket = home.join("ceiling.sock");
    ceiling::serve(&socket)?;
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let threads = threads.map_err(Error::io("start the clients"))?;
    let mut floods = Vec::new();
    let mut number = 0;
    for (what, argv, readers, bytes) in floods_of(past_mib) {
        let disk = if readers == 1 { Some(write(home, &argv, bytes)?) } else { None };
        let mut flood = Flood { what, readers, bytes, daemon: Vec::new(), ceiling: Vec::new(), disk };
        let rounds = if bytes > 1_024 * MIB { 1 } else { rounds };
        for _round in 0..rounds {
            number += 1;
            let flow = Flow { argv: argv.clone(), readers, number };
            let ceiling = threads.block_on(read(&socket, &flow.id(), readers, bytes, false))?;
            let daemon = threads.block_on(async {
                let job = submit(daemon, profile, &argv, bytes).await?;
                read(daemon, &job, readers, bytes, true).await
            })?;
            flood.ceiling.push(ceiling);
            flood.daemon.push(daemon);
        }
        floods.push(flood);
    }
    Ok(floods)
}

/// What is measured: name, program, readers, bytes.
fn floods_of(past_mib: u64) -> Vec<(String, Vec<String>, usize, u64)> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let zeros = |mib: u64| (words(&format!("/usr/bin/head -c {} /dev/zero", mib * MIB)), mib * MIB);
    let mut floods = Vec::new();
    for (readers, mib) in [(1, 512), (10, 128), (100, 16)] {
        let (argv, bytes) = zeros(mib);
        floods.push((format!("{mib} MiB, page cache"), argv, readers, bytes));
    }
    if past_mib > 0 {
        let (argv, bytes) = zeros(past_mib);
        floods.push((format!("{past_mib} MiB, past the page cache"), argv, 1, bytes));
    }
    let lines = 1_000_000;
    let argv = words(&format!("/usr/bin/dd if=/dev/zero bs={LINE_BYTES} count={lines} status=none"));
    floods.push((format!("{lines} writes of {LINE_BYTES} bytes"), argv, 1, lines * LINE_BYTES));
    floods
}

/// A connection to a daemon, with the windows of the command line.
pub async fn connect(socket: &Path) -> Result<JobServiceClient<Channel>, Error> {
    let channel = Endpoint::from_shared(format!("unix:{}", socket.display()))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect()
        .await?;
    Ok(JobServiceClient::new(channel))
}

async fn submit(socket: &Path, profile: &str, argv: &[String], bytes: u64) -> Result<String, Error> {
    let argv = argv.iter().map(|word| word.clone().into_bytes().into()).collect();
    let limits = Limits { output_bytes: Some(bytes), ..Limits::default() };
    let spec = JobSpec { argv, profile: profile.to_owned(), limits: Some(limits), ..JobSpec::default() };
    let request = SubmitRequest { spec: Some(spec), ..SubmitRequest::default() };
    let answer = connect(socket).await?.submit(request).await?.into_inner();
    answer.job.map(|job| job.job_id).ok_or_else(|| Error::Job("no job came back".to_owned()))
}

/// Reads one stream with so many readers, each over a connection of its own, and returns MiB per second to each.
async fn read(socket: &Path, job: &str, readers: usize, bytes: u64, follow: bool) -> Result<f64, Error> {
    let mut tasks = Vec::new();
    for _ in 0..readers {
        let mut client = connect(socket).await?;
        let request = StreamLogsRequest { job_id: job.to_owned(), follow, ..StreamLogsRequest::default() };
        tasks.push(tokio::spawn(async move {
            let mut answers = client.stream_logs(request).await?.into_inner();
            let (mut seen, mut times) = (0, None);
            while let Some(answer) = answers.message().await? {
                if let Some(Event::Output(chunk)) = answer.event {
                    seen += chunk.data.len() as u64;
                    let now = Instant::now();
                    times = Some((times.map_or(now, |(first, _)| first), now));
                }
            }
            Ok::<_, Error>((seen, times))
        }));
    }
    let (mut first, mut last) = (None, None);
    for task in tasks {
        let (seen, times) = task.await.map_err(|error| Error::Job(error.to_string()))??;
        let Some((begin, end)) = times.filter(|_| seen == bytes) else {
            return Err(Error::Job(format!("{seen} bytes came to a reader, not {bytes}")));
        };
        first = first.into_iter().chain([begin]).min();
        last = last.into_iter().chain([end]).max();
    }
    let elapsed =
        last.zip(first).map_or(0.0, |(last, first): (Instant, Instant)| (last - first).as_secs_f64());
    Ok(bytes as f64 / MIB as f64 / elapsed)
}

/// The program with its output in a file: what the file system takes when nobody reads.
fn write(home: &Path, argv: &[String], bytes: u64) -> Result<f64, Error> {
    let place = home.join("plain");
    let file = File::create(&place).map_err(Error::io("make a file"))?;
    let (name, arguments) = argv.split_first().ok_or_else(|| Error::Job("no command".to_owned()))?;
    let begin = Instant::now();
    let status = Command::new(name).args(arguments).stdin(Stdio::null()).stdout(file).status();
    let elapsed = begin.elapsed();
    let status = status.map_err(Error::io(format!("start {name}")))?;
    let written = place.metadata().map_err(Error::io("look at a file"))?.len();
    std::fs::remove_file(&place).map_err(Error::io("remove a file"))?;
    match status.success() && written == bytes {
        true => Ok(bytes as f64 / MIB as f64 / elapsed.as_secs_f64()),
        false => {
            Err(Error::Job(format!("{name} wrote {written} bytes, not {bytes}, and ended with {status}")))
        }
    }
}

/// For people.
pub fn text(floods: &[Flood]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "output of one job",
        "readers",
        "daemon",
        "ceiling",
        "x ceiling",
        "plain file",
        "lines/s",
    ]);
    for flood in floods {
        let (daemon, ceiling) = (median(&flood.daemon).unwrap_or(0.0), median(&flood.ceiling).unwrap_or(0.0));
        table.add_row([
            flood.what.clone(),
            flood.readers.to_string(),
            format!("{daemon:.0} MiB/s"),
            format!("{ceiling:.0} MiB/s"),
            format!("{:.2}", daemon / ceiling),
            flood.disk.map_or("-".to_owned(), |disk| format!("{disk:.0} MiB/s")),
            format!("{:.0}", daemon * MIB as f64 / LINE_BYTES as f64),
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("rates are to each reader; lines are of {LINE_BYTES} bytes\n\n{}\n", lines.join("\n"))
}

/// For programs.
pub fn json(floods: &[Flood]) -> Value {
    let floods = floods.iter().map(|flood| {
        json!({
            "what": flood.what,
            "readers": flood.readers,
            "bytes": flood.bytes,
            "daemon_mib_per_second": flood.daemon,
            "ceiling_mib_per_second": flood.ceiling,
            "plain_file_mib_per_second": flood.disk,
        })
    });
    Value::Array(floods.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_ceiling_gives_every_reader_every_byte() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("ceiling.sock");
        ceiling::serve(&socket).unwrap();
        let argv = ["/usr/bin/head", "-c", "1000000", "/dev/zero"].map(str::to_owned).to_vec();
        let flow = Flow { argv, readers: 3, number: 1 };
        assert!(read(&socket, &flow.id(), 3, 1_000_000, false).await.unwrap() > 0.0);
        let flow = Flow { readers: 1, number: 2, ..flow };
        let error = read(&socket, &flow.id(), 1, 999, false).await.unwrap_err();
        assert!(error.to_string().contains("1000000 bytes came"), "{error}");
    }

    #[test]
    fn a_plain_file_takes_every_byte() {
        let place = tempfile::tempdir().unwrap();
        let argv = ["/usr/bin/head", "-c", "1000000", "/dev/zero"].map(str::to_owned);
        assert!(write(place.path(), &argv, 1_000_000).unwrap() > 0.0);
        assert!(write(place.path(), &argv, 999).is_err());
    }

    #[test]
    fn the_table_has_a_ratio() {
        let flood = Flood {
            what: "x".to_owned(),
            readers: 1,
            bytes: 100 * MIB,
            daemon: vec![70.0],
            ceiling: vec![100.0],
            disk: None,
        };
        assert!(text(&[flood]).contains("0.70"));
    }
}
