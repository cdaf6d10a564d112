//! What a client may do on the stream of a job: stdin, signals, cancels, leaving and coming back.

use crate::{
    api::{connect, first, on, spec, with_daemon},
    start,
};
use runtime_proto::v1::{
    AttachRequest, AttachStart, CancelInput, CloseStdin, GetRequest, JobInput, JobSpec, JobState,
    OnDisconnect, Outcome, RunRequest, SignalInput, attach_request, attach_response, job_input::Input,
    job_service_client::JobServiceClient, outcome::Cause, run_request, run_response::Event,
};
use runtime_tests::{Stage, stories};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

stories!(
    the_end_of_the_clients_half_is_the_end_of_stdin,
    stdin_may_be_closed_by_a_message,
    a_signal_reaches_the_command,
    a_cancel_on_the_stream_ends_the_job,
    a_job_goes_on_without_its_client_when_it_was_told_to,
    a_job_ends_with_its_client_when_it_was_told_to,
    whoever_comes_back_reads_on_from_where_he_was,
    a_client_that_does_not_read_holds_nobody_up,
);

/// A job and both directions of its stream.
struct Session {
    id: String,
    inputs: mpsc::Sender<RunRequest>,
    events: Streaming<runtime_proto::v1::RunResponse>,
}

impl Session {
    async fn start(channel: &Channel, spec: JobSpec) -> Session {
        let (inputs, queue) = mpsc::channel(8);
        inputs.send(first(spec)).await.unwrap();
        let mut client = JobServiceClient::new(channel.clone());
        let mut events = client.run(ReceiverStream::new(queue)).await.unwrap().into_inner();
        let Some(Event::Accepted(accepted)) = events.message().await.unwrap().unwrap().event else {
            panic!("the first event is no accepted")
        };
        Session { id: accepted.job_id, inputs, events }
    }

    async fn say(&self, input: Input) {
        let input = JobInput { input: Some(input) };
        self.inputs.send(RunRequest { request: Some(run_request::Request::Input(input)) }).await.unwrap();
    }

    /// Reads on until stdout has this many bytes.
    async fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut stdout = Vec::new();
        while stdout.len() < bytes {
            if let Some(Event::Output(chunk)) = self.events.message().await.unwrap().unwrap().event {
                stdout.extend_from_slice(&chunk.data);
            }
        }
        stdout
    }

    /// The rest of the output, and the outcome.
    async fn end(mut self) -> (Vec<u8>, Outcome) {
        let mut output = Vec::new();
        while let Some(answer) = self.events.message().await.unwrap() {
            match answer.event.unwrap() {
                Event::Output(chunk) => output.extend_from_slice(&chunk.data),
                Event::Finished(finished) => return (output, finished.outcome.unwrap()),
                _ => {}
            }
        }
        panic!("the stream ended before the job did");
    }
}

fn with_stdin(script: &str) -> JobSpec {
    JobSpec { stdin: true, ..spec(script) }
}

fn code(outcome: &Outcome) -> i32 {
    let Some(Cause::Exited(exited)) = &outcome.cause else { panic!("{outcome:?}") };
    exited.code
}

fn the_end_of_the_clients_half_is_the_end_of_stdin(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let mut session = Session::start(&channel, with_stdin("cat; echo after")).await;
        session.say(Input::Stdin(b"some\0bytes\xff".to_vec().into())).await;
        assert_eq!(session.read(11).await, b"some\0bytes\xff");
        let (inputs, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut session.inputs, inputs));
        let (output, outcome) = session.end().await;
        assert_eq!((output.as_slice(), code(&outcome)), (b"after\n".as_slice(), 0));
    });
}

fn stdin_may_be_closed_by_a_message(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let session = Session::start(&channel, with_stdin("wc -c; sleep 0.2; exit 4")).await;
        session.say(Input::Stdin(vec![b'x'; 1 << 20].into())).await;
        session.say(Input::CloseStdin(CloseStdin {})).await;
        let (output, outcome) = session.end().await;
        assert_eq!((output.as_slice(), code(&outcome)), (b"1048576\n".as_slice(), 4));
    });
}

fn a_signal_reaches_the_command(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let script = "trap 'echo told; exit 6' USR1; echo up; while :; do sleep 0.02; done";
        let mut session = Session::start(&channel, spec(script)).await;
        assert_eq!(session.read(3).await, b"up\n");
        session.say(Input::Signal(SignalInput { signal: 10 })).await;
        let (output, outcome) = session.end().await;
        assert_eq!((output.as_slice(), code(&outcome)), (b"told\n".as_slice(), 6));
    });
}

fn a_cancel_on_the_stream_ends_the_job(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let mut session =
            Session::start(&channel, spec("trap '' TERM; echo up; while :; do sleep 1; done")).await;
        assert_eq!(session.read(3).await, b"up\n");
        session.say(Input::Cancel(CancelInput { reason: "enough".to_owned(), kill: true })).await;
        let (_, outcome) = session.end().await;
        let Some(Cause::Cancelled(cancelled)) = outcome.cause else { panic!("{outcome:?}") };
        assert_eq!(cancelled.reason, "enough");
        assert_eq!(outcome.exit_status, 143);
    });
}

async fn finished(channel: &Channel, id: &str) -> Outcome {
    let mut client = JobServiceClient::new(channel.clone());
    for _ in 0..2_000 {
        let job = client.get(GetRequest { job_id: id.to_owned() }).await.unwrap().into_inner().job.unwrap();
        if job.state() == JobState::Finished {
            return job.outcome.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{id} does not end");
}

fn a_job_goes_on_without_its_client_when_it_was_told_to(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let spec = JobSpec {
            on_disconnect: OnDisconnect::Continue.into(),
            ..spec("echo up; sleep 0.5; echo later; exit 8")
        };
        let mut session = Session::start(&channel, spec).await;
        assert_eq!(session.read(3).await, b"up\n");
        let id = session.id.clone();
        drop(session);
        let outcome = finished(&channel, &id).await;
        assert_eq!((code(&outcome), outcome.stdout_bytes), (8, 9));
    });
}

fn a_job_ends_with_its_client_when_it_was_told_to(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let spec = JobSpec { on_disconnect: OnDisconnect::CancelNow.into(), ..spec("echo up; sleep 1000") };
        let mut session = Session::start(&channel, spec).await;
        assert_eq!(session.read(3).await, b"up\n");
        let id = session.id.clone();
        drop(session);
        let outcome = finished(&channel, &id).await;
        let Some(Cause::Cancelled(cancelled)) = outcome.cause else { panic!("{outcome:?}") };
        assert_eq!(cancelled.by, "client disconnected");
    });
}

fn whoever_comes_back_reads_on_from_where_he_was(stage: &Stage) {
    with_daemon(stage, |channel| async move {
        let script = "echo 0123456789; echo errors >&2; read word; echo $word; exit 2";
        let spec = JobSpec { on_disconnect: OnDisconnect::Continue.into(), ..with_stdin(script) };
        let mut session = Session::start(&channel, spec).await;
        session.read(11).await;
        let start =
            AttachStart { job_id: session.id.clone(), stdout_offset_bytes: 6, stderr_offset_bytes: 7 };
        let start = AttachRequest { request: Some(attach_request::Request::Start(start)) };
        let (inputs, queue) = mpsc::channel(8);
        inputs.send(start).await.unwrap();
        let mut client = JobServiceClient::new(channel.clone());
        let mut events = client.attach(ReceiverStream::new(queue)).await.unwrap().into_inner();
        let input = JobInput { input: Some(Input::Stdin(b"word\n".to_vec().into())) };
        inputs.send(AttachRequest { request: Some(attach_request::Request::Input(input)) }).await.unwrap();
        let mut chunks = Vec::new();
        loop {
            match events.message().await.unwrap().unwrap().event.unwrap() {
                attach_response::Event::Output(chunk) => {
                    chunks.push((chunk.offset_bytes, chunk.data.to_vec()))
                }
                attach_response::Event::Finished(finished) => {
                    assert_eq!(code(&finished.outcome.unwrap()), 2);
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(chunks[0], (6, b"6789\n".to_vec()));
        let bytes: Vec<u8> = chunks.into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes, b"6789\nword\n", "stderr had been read to its end");
    });
}

fn a_client_that_does_not_read_holds_nobody_up(stage: &Stage) {
    let daemon = start(stage);
    on(async {
        let idle = connect(&daemon).await;
        let job = spec("head -c 30000000 /dev/zero; exit 5");
        let idle = Session::start(&idle, job).await;
        // Neither the job nor another client waits for the one that does not read.
        let other = connect(&daemon).await;
        let outcome = finished(&other, &idle.id).await;
        assert_eq!((code(&outcome), outcome.stdout_bytes), (5, 30_000_000));
        let (output, _) = idle.end().await;
        assert_eq!(output.len(), 30_000_000, "all of it is there when it does");
    });
}
