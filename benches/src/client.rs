//! The `Run` call, straight through the generated client: no command line between us and the daemon.

use crate::error::Error;
use runtime_proto::v1::{
    InfoRequest, InfoResponse, JobFinished, JobSpec, Limits, OutputStream, RunRequest, RunStart,
    job_service_client::JobServiceClient, node_service_client::NodeServiceClient, outcome::Cause,
    run_request::Request, run_response::Event,
};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

/// As the command line has it: how far output runs ahead of us.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for the connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// A client of the daemon, cheap to clone: all clones share one connection.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    profile: String,
}

/// When things happened in one call, counted from before the request was made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// The launcher had taken the job.
    pub accepted: Duration,
    /// The program ran.
    pub started: Duration,
    /// The outcome was here, and the stream had ended.
    pub total: Duration,
    /// From the request's arrival at the launcher to exec, as the outcome says.
    pub spawn: Duration,
    /// From exec to the end of the program, as the outcome says.
    pub run: Duration,
    /// Bytes of stdout that came.
    pub stdout_bytes: u64,
}

impl Client {
    /// Connects to a daemon's socket.
    pub async fn connect(socket: &Path, profile: &str) -> Result<Client, Error> {
        let channel = Endpoint::from_shared(format!("unix:{}", socket.display()))?
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect()
            .await?;
        Ok(Client { channel, profile: profile.to_owned() })
    }

    /// What the daemon says about itself and the host.
    pub async fn info(&self) -> Result<InfoResponse, Error> {
        Ok(NodeServiceClient::new(self.channel.clone()).info(InfoRequest {}).await?.into_inner())
    }

    /// Runs one job to its end. A job that does not exit with 0 is an error.
    pub async fn run(&self, argv: &[OsString], output_bytes_max: Option<u64>) -> Result<Sample, Error> {
        let mut jobs = JobServiceClient::new(self.channel.clone());
        let begin = Instant::now();
        // One request, then the end of our half: stdin is empty anyway.
        let request = RunRequest { request: Some(Request::Start(self.start(argv, output_bytes_max))) };
        let mut answers = jobs.run(tokio_stream::iter([request])).await?.into_inner();
        let mut sample = Sample::default();
        let mut finished = None;
        while let Some(answer) = answers.message().await? {
            match answer.event {
                Some(Event::Accepted(_)) => sample.accepted = begin.elapsed(),
                Some(Event::Started(_)) => sample.started = begin.elapsed(),
                Some(Event::Output(chunk)) if chunk.stream() == OutputStream::Stdout => {
                    sample.stdout_bytes += chunk.data.len() as u64;
                }
                Some(Event::Gap(gap)) => return Err(Error::Job(format!("output is missing: {gap:?}"))),
                Some(Event::Finished(end)) => finished = Some(end),
                Some(Event::Output(_) | Event::Heartbeat(_) | Event::Planned(_)) | None => {}
            }
        }
        sample.total = begin.elapsed();
        let finished =
            finished.ok_or_else(|| Error::Job("the stream ended without an outcome".to_owned()))?;
        (sample.spawn, sample.run) = times(&finished)?;
        Ok(sample)
    }

    fn start(&self, argv: &[OsString], output_bytes_max: Option<u64>) -> RunStart {
        let argv = argv.iter().map(|word| word.clone().into_vec().into()).collect();
        let limits = Limits { output_bytes: output_bytes_max, ..Limits::default() };
        let spec =
            JobSpec { argv, profile: self.profile.clone(), limits: Some(limits), ..JobSpec::default() };
        RunStart { spec: Some(spec), ..RunStart::default() }
    }
}

/// Spawn and run time of a job that ended well.
fn times(finished: &JobFinished) -> Result<(Duration, Duration), Error> {
    let outcome = finished.outcome.as_ref();
    let cause = outcome.and_then(|outcome| outcome.cause.as_ref());
    let (Some(outcome), Some(Cause::Exited(exited))) = (outcome, cause) else {
        return Err(Error::Job(format!("{cause:?}")));
    };
    if exited.code != 0 || !outcome.cleanup_errors.is_empty() {
        return Err(Error::Job(format!(
            "exit code {}, while cleaning up: {:?}",
            exited.code, outcome.cleanup_errors
        )));
    }
    let usage = outcome.usage.unwrap_or_default();
    let time = |time: Option<_>| time.and_then(|time| Duration::try_from(time).ok()).unwrap_or_default();
    Ok((time(usage.spawn_time), time(usage.run_time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_proto::v1::{ExitedOutcome, Outcome, Usage};

    fn finished(cause: Option<Cause>, cleanup_errors: Vec<String>) -> JobFinished {
        let spawn_time = Duration::from_millis(3).try_into().ok();
        let usage = Some(Usage { spawn_time, ..Usage::default() });
        JobFinished {
            outcome: Some(Outcome { cause, cleanup_errors, usage, ..Outcome::default() }),
            ..JobFinished::default()
        }
    }

    #[test]
    fn only_a_clean_exit_counts() {
        let exited = |code| Some(Cause::Exited(ExitedOutcome { code }));
        let (spawn, run) = times(&finished(exited(0), Vec::new())).unwrap();
        assert_eq!((spawn, run), (Duration::from_millis(3), Duration::ZERO));
        let bad = [
            finished(exited(1), Vec::new()),
            finished(exited(0), vec!["a cgroup stays".to_owned()]),
            finished(None, Vec::new()),
            JobFinished::default(),
        ];
        for end in bad {
            assert!(times(&end).is_err(), "{end:?}");
        }
    }
}
