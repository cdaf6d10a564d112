//! `runtime run`: one command, here or at a daemon; its bytes, its status, and a report when asked for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use runtime_proto::v1::RunStart;
use tonic::transport::Channel;

use crate::args::{Global, RunArgs};
use crate::embedded::Embedded;
use crate::endpoint::{self, Choice, Endpoint, Wishes};
use crate::error::Error;
use crate::json::job::{Report, report};
use crate::places::Surroundings;
use crate::session::{self, Call, Record};
use crate::signals::Signals;
use crate::verdict::Verdict;
use crate::{client, output, request, verdict};

/// Runs the command. Forks the launcher before anything that makes a thread.
pub fn run(global: Global, args: &RunArgs) -> Result<u8, Error> {
    let start = request::run_start(args, |name| std::env::var_os(name))?;
    let directory = args.dir.as_deref().map(request::directory).transpose()?;
    let places = Surroundings::now();
    let default = endpoint::look_at(&places.default_socket(), places.uid);
    let json = global.json;
    let record = match endpoint::choose_for_run(&Wishes::now(global.endpoint, args.embedded), default)? {
        Choice::Daemon(endpoint) if directory.is_some() => return Err(directory_at_daemon(&endpoint)),
        Choice::Daemon(endpoint) => at_daemon(&endpoint, start, args)?,
        Choice::Embedded => embedded(Embedded::start(&places, directory.as_ref())?, start, args)?,
    };
    finish(&record, args, json)
}

fn directory_at_daemon(endpoint: &Endpoint) -> Error {
    Error::Usage {
        message: format!(
            "--dir mounts a directory of this host, which the daemon at {endpoint} cannot be asked for: add --embedded to run without the daemon"
        ),
    }
}

fn at_daemon(endpoint: &Endpoint, start: RunStart, args: &RunArgs) -> Result<Record, Error> {
    super::runtime()?.block_on(async {
        let mut signals = Signals::catch()?;
        let channel = client::connect(endpoint).await?;
        prepare_report(args)?;
        Ok(hold(channel, start, args, &mut signals).await)
    })
}

/// Whatever happens on the way, the launcher is gone when this returns.
fn embedded(embedded: Embedded, start: RunStart, args: &RunArgs) -> Result<Record, Error> {
    let (connection, tie) = embedded.split();
    let session = super::runtime().and_then(|runtime| {
        runtime.block_on(async {
            let mut signals = Signals::catch()?;
            prepare_report(args)?;
            let channel = private(connection).await?;
            Ok(hold(channel, start, args, &mut signals).await)
        })
    });
    let last_words = tie.finish()?;
    match (session, last_words) {
        // The launcher's own sentence says more than "the connection broke".
        (Err(Error::Connect { .. }), Some(text)) => Err(Error::Launcher { text }),
        (Ok(record), Some(text)) if is_broken(&record) => {
            Ok(Record { error: Some(Error::Launcher { text }), ..record })
        }
        (Ok(record), None) => Ok(without_launcher(record)),
        (session, _) => session,
    }
}

/// A private launcher that went away without a word was killed, and its jobs with it.
fn without_launcher(record: Record) -> Record {
    match record.error {
        Some(Error::ConnectionLost { job, why }) => {
            let text = format!(
                "the private launcher ended by itself while {job} ran ({why}): the job ended with it"
            );
            Record { error: Some(Error::Launcher { text }), ..record }
        }
        error => Record { error, ..record },
    }
}

/// Whether the session ended because the other side went away.
fn is_broken(record: &Record) -> bool {
    let gone = |error: &Error| {
        matches!(error, Error::Call { .. } | Error::ConnectionLost { .. } | Error::Protocol { .. })
    };
    record.finished.is_none() && record.error.as_ref().is_some_and(gone)
}

async fn private(connection: Option<UnixStream>) -> Result<Channel, Error> {
    let failed = |error| Error::io("use the socket of", "the launcher", error);
    let connection = connection.ok_or_else(|| failed(std::io::ErrorKind::NotConnected.into()))?;
    connection.set_nonblocking(true).map_err(failed)?;
    let stream = tokio::net::UnixStream::from_std(connection).map_err(failed)?;
    client::over(stream, "the private launcher").await
}

async fn hold(channel: Channel, start: RunStart, args: &RunArgs, signals: &mut Signals) -> Record {
    session::hold(client::jobs(channel), Call::Run(start.into()), args.interactive, signals).await
}

/// Prints the plan or the line, writes the report, and gives the status.
fn finish(record: &Record, args: &RunArgs, json: bool) -> Result<u8, Error> {
    let verdict = verdict::of(record);
    if let Some(plan) = &record.planned {
        output::print(&pretty(plan, json)?)?;
    }
    if let (Some(line), error) = (&verdict.line, &record.error) {
        output::complain(&match error {
            Some(error) => error.show(json),
            None => format!("runtime: {line}"),
        });
    }
    write_report(record, &verdict, args)?;
    Ok(verdict.status)
}

fn pretty(plan: &str, json: bool) -> Result<String, Error> {
    let not_json =
        |error: serde_json::Error| Error::Protocol { what: format!("the plan is no JSON ({error})") };
    let value: serde_json::Value = serde_json::from_str(plan).map_err(not_json)?;
    let text = if json { Ok(value.to_string()) } else { serde_json::to_string_pretty(&value) };
    text.map(|text| text + "\n").map_err(not_json)
}

/// The file of `--report`; `None` when there is none to make, or it is stderr.
fn report_file(args: &RunArgs) -> Option<&OsStr> {
    args.report.as_deref().filter(|path| path.as_bytes() != b"-")
}

/// Makes the report's file before the job runs: a path that cannot be written is said at once.
fn prepare_report(args: &RunArgs) -> Result<(), Error> {
    let Some(path) = report_file(args) else { return Ok(()) };
    std::fs::File::create(path)
        .map(drop)
        .map_err(|error| Error::io("make the report", path.to_string_lossy(), error))
}

fn write_report(record: &Record, verdict: &Verdict, args: &RunArgs) -> Result<(), Error> {
    let Some(path) = args.report.as_deref() else { return Ok(()) };
    let finished = record.finished.as_ref();
    let started = record.started.as_ref();
    let text = report(&Report {
        job_id: record.job_id.as_deref(),
        start_time: started.and_then(|started| started.time.as_ref()),
        finish_time: finished.and_then(|finished| finished.time.as_ref()),
        outcome: finished.and_then(|finished| finished.outcome.as_ref()),
        enforcement: finished
            .and_then(|finished| finished.enforcement.as_ref())
            .or_else(|| started.and_then(|started| started.enforcement.as_ref())),
        error: record.error.as_ref().map(|error| (error.code(), error.to_string())),
        exit_status: verdict.status,
    })
    .to_string();
    match report_file(args) {
        None => {
            output::complain(&text);
            Ok(())
        }
        Some(_) => std::fs::write(path, text + "\n")
            .map_err(|error| Error::io("write the report", path.to_string_lossy(), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_printed_readably_or_on_one_line() {
        assert_eq!(pretty("{\"a\":1}", false).unwrap(), "{\n  \"a\": 1\n}\n");
        assert_eq!(pretty("{\"a\": 1}", true).unwrap(), "{\"a\":1}\n");
        assert_eq!(pretty("no", false).unwrap_err().code(), "PROTOCOL");
    }

    #[test]
    fn the_report_is_one_object_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let args = RunArgs { report: Some(path.clone().into()), ..Default::default() };
        prepare_report(&args).unwrap();
        let record = Record { job_id: Some("job-1".into()), ..Default::default() };
        write_report(&record, &verdict::of(&record), &args).unwrap();
        let value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(value, serde_json::json!({"job_id": "job-1", "exit_status": 125}));
    }

    #[test]
    fn a_report_that_cannot_be_written_is_said_before_the_job_runs() {
        let args = RunArgs { report: Some("/no/such/directory/report.json".into()), ..Default::default() };
        assert_eq!(prepare_report(&args).unwrap_err().code(), "IO_FAILED");
    }

    #[test]
    fn a_directory_at_a_daemon_names_the_next_step() {
        let error = directory_at_daemon(&Endpoint::Unix("/run/x".into()));
        assert!(error.to_string().contains("--embedded"), "{error}");
    }
}
