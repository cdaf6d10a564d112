//! `runtime run`: one command, here or at a daemon; its bytes, its status, and a report when asked for.

mod report;

use std::os::unix::net::UnixStream;

use runtime_proto::v1::{OnDisconnect, RunStart};
use tonic::transport::Channel;

use super::submit;
use crate::args::{Global, RunArgs};
use crate::embedded::Embedded;
use crate::endpoint::{self, Choice, Endpoint, Wishes};
use crate::error::Error;
use crate::places::Surroundings;
use crate::request::Shape;
use crate::screen::Look;
use crate::session::{self, Call, Line, Record, Wants};
use crate::signals::Signals;
use crate::{client, output, request, verdict};

/// Runs the command. Forks the launcher before anything that makes a thread.
pub fn run(global: Global, args: &RunArgs) -> Result<u8, Error> {
    if args.detach {
        return submit::submit(global, &args.job, args.interactive);
    }
    let directory = args.dir.as_deref().map(request::directory).transpose()?;
    let places = Surroundings::now();
    let default = endpoint::look_at(&places.default_socket(), places.uid);
    let json = global.json;
    let record = match endpoint::choose_for_run(&Wishes::now(global.endpoint, args.embedded), default)? {
        Choice::Daemon(endpoint) if directory.is_some() => return Err(directory_at_daemon(&endpoint)),
        Choice::Daemon(endpoint) => at_daemon(endpoint, start_at_daemon(args)?, args)?,
        Choice::Embedded => {
            let start = start(args, OnDisconnect::CancelNow)?;
            embedded(Embedded::start(&places, directory.as_ref())?, start, args)?
        }
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

fn start(args: &RunArgs, on_disconnect: OnDisconnect) -> Result<RunStart, Error> {
    let shape = Shape {
        host_directory: args.dir.is_some(),
        stdin: args.interactive,
        terminal: args.job.terminal.then(submit::wanted_terminal),
        on_disconnect,
    };
    let spec = request::spec(&args.job, shape, |name| std::env::var_os(name))?;
    let idempotency_key = args.job.idempotency_key.clone().unwrap_or_default();
    Ok(RunStart { spec: Some(spec), validate_only: args.plan, idempotency_key, ..RunStart::default() })
}

/// With a key of its own the call can be made again when its answer was lost. The daemon waits for us to come back.
fn start_at_daemon(args: &RunArgs) -> Result<RunStart, Error> {
    if args.interactive && args.job.idempotency_key.is_some() {
        let message = "-i with --idempotency-key: a second run with the key would feed the job's stdin twice; let it read a file with --stdin-file, or leave the key out".to_owned();
        return Err(Error::Usage { message });
    }
    let mut start = start(args, OnDisconnect::Cancel)?;
    if start.idempotency_key.is_empty() && !args.plan {
        start.idempotency_key = submit::fresh_key();
    }
    Ok(start)
}

fn at_daemon(endpoint: Endpoint, start: RunStart, args: &RunArgs) -> Result<Record, Error> {
    super::runtime()?.block_on(async {
        let mut signals = Signals::catch(args.job.terminal)?;
        let line = Line::to(endpoint).await?;
        report::prepare(args.report.as_deref())?;
        Ok(hold(line, start, args, &mut signals).await)
    })
}

/// Whatever happens on the way, the launcher is gone when this returns.
fn embedded(embedded: Embedded, start: RunStart, args: &RunArgs) -> Result<Record, Error> {
    let (connection, tie) = embedded.split();
    let session = super::runtime().and_then(|runtime| {
        runtime.block_on(async {
            let mut signals = Signals::catch(args.job.terminal)?;
            report::prepare(args.report.as_deref())?;
            let channel = private(connection).await?;
            Ok(hold(Line::once(channel), start, args, &mut signals).await)
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

async fn hold(line: Line, start: RunStart, args: &RunArgs, signals: &mut Signals) -> Record {
    let wants = Wants {
        stdin: args.interactive,
        terminal: args.job.terminal,
        detach_keys: false,
        look: Look { raw: args.raw || args.job.terminal, timestamps: false },
    };
    session::hold(line, Call::Run(start.into()), wants, signals).await
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
    report::write(args.report.as_deref(), record, &verdict)?;
    Ok(verdict.status)
}

fn pretty(plan: &str, json: bool) -> Result<String, Error> {
    let not_json =
        |error: serde_json::Error| Error::Protocol { what: format!("the plan is no JSON ({error})") };
    let value: serde_json::Value = serde_json::from_str(plan).map_err(not_json)?;
    let text = if json { Ok(value.to_string()) } else { serde_json::to_string_pretty(&value) };
    text.map(|text| text + "\n").map_err(not_json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::JobArgs;

    fn args() -> RunArgs {
        let job = JobArgs { profile: "default".into(), command: vec!["true".into()], ..Default::default() };
        RunArgs { job, ..Default::default() }
    }

    #[test]
    fn a_plan_is_printed_readably_or_on_one_line() {
        assert_eq!(pretty("{\"a\":1}", false).unwrap(), "{\n  \"a\": 1\n}\n");
        assert_eq!(pretty("{\"a\": 1}", true).unwrap(), "{\"a\":1}\n");
        assert_eq!(pretty("no", false).unwrap_err().code(), "PROTOCOL");
    }

    #[test]
    fn a_directory_at_a_daemon_names_the_next_step() {
        let error = directory_at_daemon(&Endpoint::Unix("/run/x".into()));
        assert!(error.to_string().contains("--embedded"), "{error}");
    }

    #[test]
    fn a_run_at_a_daemon_can_be_asked_for_again_and_one_without_ends_with_us() {
        let [first, second] = [0; 2].map(|_| start_at_daemon(&args()).unwrap());
        assert!(!first.idempotency_key.is_empty());
        assert_ne!(first.idempotency_key, second.idempotency_key);
        assert_eq!(first.spec.unwrap().on_disconnect(), OnDisconnect::Cancel);
        let alone = start(&args(), OnDisconnect::CancelNow).unwrap();
        assert!(alone.idempotency_key.is_empty());
        assert_eq!(alone.spec.unwrap().on_disconnect(), OnDisconnect::CancelNow);
        let plan = start_at_daemon(&RunArgs { plan: true, ..args() }).unwrap();
        assert!(plan.validate_only && plan.idempotency_key.is_empty());
    }

    #[test]
    fn stdin_and_a_key_of_ones_own_do_not_go_together() {
        let mut args = RunArgs { interactive: true, ..args() };
        assert!(start_at_daemon(&args).is_ok());
        args.job.idempotency_key = Some("k".into());
        assert!(start_at_daemon(&args).unwrap_err().to_string().contains("--stdin-file"));
    }
}
