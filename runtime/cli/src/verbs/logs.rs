//! `runtime logs`: the stored output of a job, from any point on, until its end when it is followed.
//!
//! A stream that breaks goes on from the cursors of the screen: no byte is missing and none comes twice.

mod print;
mod resume;

use runtime_proto::v1::{GetRequest, OutputStream, StreamLogsRequest, stream_logs_response::Event};
use std::time::SystemTime;
use tonic::{Status, Streaming};

use crate::args::{Global, LogsArgs};
use crate::error::{Error, status_of_signal};
use crate::screen::Look;
use crate::session::{Line, is_broken};
use crate::signals::Signals;
use crate::stdio::WriteFailure;
use crate::text::when;
use crate::verdict::SIGPIPE;
use crate::{client, request};
use print::Printer;
use resume::Window;

/// Prints the output.
pub fn logs(global: Global, args: LogsArgs) -> Result<u8, Error> {
    let json = global.json;
    let first = first_request(&args)?;
    let endpoint = super::endpoint(global)?;
    super::runtime()?.block_on(async {
        let mut signals = Signals::catch(false)?;
        let mut line = Line::to(endpoint).await?;
        let get = GetRequest { job_id: args.job.clone() };
        let job = line.ask(true, async |mut jobs| jobs.get(get.clone()).await).await?.job;
        let job = job.ok_or_else(|| super::missing("job"))?;
        let window = Window::new(StreamLogsRequest { job_id: job.job_id.clone(), ..first }, &job);
        let look = Look { raw: args.raw, timestamps: args.timestamps };
        let printer = Printer::start(look, json)?;
        tokio::select! {
            status = follow(&mut line, window, printer) => status,
            signal = signals.next() => Ok(status_of_signal(signal)),
        }
    })
}

fn first_request(args: &LogsArgs) -> Result<StreamLogsRequest, Error> {
    let since = args.since.as_deref().map(|text| when::parse(text, SystemTime::now())).transpose();
    let since = since.map_err(|message| Error::Usage { message: format!("--since: {message}") })?;
    let tail_bytes = args.tail.as_deref().map(|text| request::size("--tail", text)).transpose()?;
    let stream = match (args.stdout, args.stderr) {
        (true, _) => OutputStream::Stdout,
        (_, true) => OutputStream::Stderr,
        _ => OutputStream::Unspecified,
    };
    Ok(StreamLogsRequest {
        stream: stream.into(),
        follow: args.follow,
        since,
        tail_bytes,
        ..Default::default()
    })
}

/// How a stream ended.
enum Pause {
    /// All is told.
    End,
    /// The connection broke, or the daemon refused.
    Status(Status),
    /// Nobody reads any more.
    Written(Result<(), WriteFailure>),
}

async fn follow(line: &mut Line, window: Window, mut printer: Printer) -> Result<u8, Error> {
    loop {
        let asked = line.jobs().stream_logs(window.request(printer.cursors())).await;
        let pause = match asked {
            Ok(answers) => one_stream(line, answers.into_inner(), &mut printer).await?,
            Err(status) => Pause::Status(status),
        };
        match pause {
            Pause::End => break,
            Pause::Status(status) if line.can_return() && is_broken(&status, true) && !line.is_worn_out() => {
                line.broke();
                line.back().await?;
            }
            Pause::Status(status) => return Err(client::refused(&status)),
            Pause::Written(written) => return status_of(written),
        }
    }
    let written = printer.finish().await;
    status_of(written)
}

async fn one_stream(
    line: &mut Line,
    mut answers: Streaming<runtime_proto::v1::StreamLogsResponse>,
    printer: &mut Printer,
) -> Result<Pause, Error> {
    loop {
        let answer = tokio::select! {
            answer = answers.message() => answer,
            written = printer.done() => return Ok(Pause::Written(written)),
        };
        let event = match answer {
            Ok(Some(answer)) => answer.event,
            Ok(None) => {
                return Err(Error::Protocol { what: "the stream ended without its last message".to_owned() });
            }
            Err(status) => return Ok(Pause::Status(status)),
        };
        line.progress();
        let written = match event {
            Some(Event::Output(chunk)) => printer.output(chunk).await?,
            Some(Event::Gap(gap)) => printer.gap(&gap).await?,
            Some(Event::End(_)) => return Ok(Pause::End),
            Some(Event::Heartbeat(_)) | None => Ok(()),
        };
        if written.is_err() {
            return Ok(Pause::Written(written));
        }
    }
}

fn status_of(written: Result<(), WriteFailure>) -> Result<u8, Error> {
    match written {
        Ok(()) => Ok(0),
        Err(WriteFailure::ReaderGone) => Ok(status_of_signal(SIGPIPE)),
        Err(WriteFailure::Failed(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Screen;
    use crate::session::tests::daemon::Daemon;
    use crate::stdio::Writer;
    use runtime_proto::v1::{Job, LogsEnd, OutputChunk, OutputGap};
    use std::io::{Read, Seek};

    fn chunk(offset_bytes: u64, data: &'static [u8]) -> Event {
        let stream = OutputStream::Stdout.into();
        Event::Output(OutputChunk { stream, offset_bytes, time: None, data: data.into() })
    }

    fn gap(offset_bytes: u64, length_bytes: u64) -> Event {
        let stream = OutputStream::Stdout.into();
        Event::Gap(OutputGap { stream, offset_bytes, length_bytes, reason: 0 })
    }

    /// What is printed and what was asked for, when the calls see these scenes.
    fn printed(scenes: Vec<Vec<Event>>, json: bool) -> (String, Vec<u64>) {
        let mut file = tempfile::tempfile().unwrap();
        let stdout = file.try_clone().unwrap();
        let daemon = Daemon::new(Vec::new());
        *daemon.logs.lock().unwrap() = scenes.into();
        let asked = daemon.logs_asked.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
            let writer = Writer::start_with(stdout, null).unwrap();
            let printer = Printer::with(Screen::with(writer, Look::default(), [false; 2]), json);
            let window = Window::new(StreamLogsRequest::default(), &Job::default());
            let mut line = daemon.line().await;
            assert_eq!(follow(&mut line, window, printer).await.unwrap(), 0);
        });
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        let offsets = asked.lock().unwrap().iter().map(|request| request.stdout_offset_bytes).collect();
        (text, offsets)
    }

    #[test]
    fn logs_that_break_off_go_on_where_they_stopped() {
        let end = || Event::End(LogsEnd::default());
        let scenes = vec![
            vec![chunk(0, b"one")],
            vec![],
            vec![chunk(3, b"two"), gap(6, 2)],
            vec![chunk(8, b"three"), end()],
        ];
        assert_eq!(printed(scenes, false), ("onetwothree".to_owned(), vec![0, 3, 3, 8]));
    }

    #[test]
    fn as_json_gaps_stand_at_their_place() {
        let scene = vec![chunk(0, b"a"), gap(1, 2), chunk(3, b"b"), Event::End(LogsEnd::default())];
        let (text, _) = printed(vec![scene], true);
        let kinds: Vec<bool> = text.lines().map(|line| line.starts_with("{\"gap\"")).collect();
        assert_eq!(kinds, [false, true, false], "{text}");
    }

    #[test]
    fn the_request_says_what_was_asked_for() {
        let args = LogsArgs { tail: Some("64KiB".into()), stderr: true, follow: true, ..Default::default() };
        let request = first_request(&args).unwrap();
        assert_eq!(
            (request.tail_bytes, request.stream(), request.follow),
            (Some(65_536), OutputStream::Stderr, true)
        );
        assert_eq!(first_request(&LogsArgs::default()).unwrap().stream(), OutputStream::Unspecified);
        for (args, flag) in [
            (LogsArgs { tail: Some("5".into()), ..Default::default() }, "--tail"),
            (LogsArgs { since: Some("5".into()), ..Default::default() }, "--since"),
        ] {
            assert!(first_request(&args).unwrap_err().to_string().starts_with(flag));
        }
    }
}
