//! What streaming can be at most: a pipe is read and sent to gRPC clients, with the same messages and settings as the
//! daemon, and nothing is kept. It answers `JobService.StreamLogs` alone; the id of the job says what to run.

use crate::error::Error;
use runtime_proto::v1::{
    OutputChunk, OutputStream, StreamLogsRequest, StreamLogsResponse, stream_logs_response::Event,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// As many threads as the daemon has at most.
const WORKERS: usize = 4;
/// As the daemon has it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for the connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// What a pipe holds, and the size of a message.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Messages that wait for a client.
const MESSAGES_MAX: usize = 8;

type Sender = mpsc::Sender<Result<StreamLogsResponse, Status>>;

/// A program that starts when all its readers are there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The command line.
    pub argv: Vec<String>,
    /// How many readers it waits for.
    pub readers: usize,
    /// So that two of them are two.
    pub number: u64,
}

impl Flow {
    /// As the id of a job.
    pub fn id(&self) -> String {
        format!("{}\n{}\n{}", self.readers, self.number, self.argv.join("\n"))
    }

    fn parse(id: &str) -> Option<Flow> {
        let mut lines = id.split('\n').map(str::to_owned);
        let (readers, number) = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
        let argv: Vec<String> = lines.collect();
        (!argv.is_empty()).then_some(Flow { argv, readers, number })
    }
}

/// The server. It runs on threads of its own until the process ends.
#[derive(Debug, Clone, Default)]
struct Ceiling {
    waiting: Arc<Mutex<HashMap<Flow, Vec<Sender>>>>,
}

/// Starts it at a socket.
pub fn serve(socket: &Path) -> Result<(), Error> {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let threads = threads.map_err(Error::io("start the threads of the ceiling"))?;
    let listener = {
        let _inside = threads.enter();
        UnixListener::bind(socket).map_err(Error::io("listen for the ceiling"))?
    };
    std::thread::spawn(move || {
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_service(Ceiling::default())
            .serve_with_incoming(UnixListenerStream::new(listener));
        if let Err(error) = threads.block_on(server) {
            eprintln!("runtime-benches: the ceiling ended: {error}");
        }
    });
    Ok(())
}

impl NamedService for Ceiling {
    const NAME: &'static str = "runtime.v1.JobService";
}

impl Service<http::Request<Body>> for Ceiling {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let ceiling = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).server_streaming(ceiling, request).await) })
    }
}

impl ServerStreamingService<StreamLogsRequest> for Ceiling {
    type Response = StreamLogsResponse;
    type ResponseStream = ReceiverStream<Result<StreamLogsResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<StreamLogsRequest>) -> Self::Future {
        let found = Flow::parse(&request.into_inner().job_id);
        let waiting = Arc::clone(&self.waiting);
        Box::pin(async move {
            let flow = found.ok_or_else(|| Status::invalid_argument("no flow"))?;
            let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
            let all = {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let senders = waiting.entry(flow.clone()).or_default();
                senders.push(sender);
                (senders.len() == flow.readers).then(|| waiting.remove(&flow)).flatten()
            };
            if let Some(senders) = all {
                std::thread::spawn(move || {
                    if let Err(error) = pump(&flow, &senders) {
                        eprintln!("runtime-benches: {error}");
                    }
                });
            }
            Ok(Response::new(ReceiverStream::new(receiver)))
        })
    }
}

/// Reads what the program writes and gives it to all readers. The slowest one sets the pace.
fn pump(flow: &Flow, senders: &[Sender]) -> Result<(), Error> {
    let (name, arguments) = flow.argv.split_first().ok_or_else(|| Error::Job("no command".to_owned()))?;
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("start {name}")))?;
    let mut stdout = child.stdout.take().ok_or_else(|| Error::Job("no pipe".to_owned()))?;
    let mut offset = 0;
    loop {
        let mut bytes = vec![0; MESSAGE_BYTES];
        let count = stdout.read(&mut bytes).map_err(Error::io("read the pipe"))?;
        if count == 0 {
            break;
        }
        bytes.truncate(count);
        let chunk = OutputChunk {
            stream: OutputStream::Stdout.into(),
            offset_bytes: offset,
            time: Some(std::time::SystemTime::now().into()),
            data: bytes.into(),
        };
        offset += count as u64;
        for sender in senders {
            let event = Some(Event::Output(chunk.clone()));
            if sender.blocking_send(Ok(StreamLogsResponse { event })).is_err() {
                return Err(Error::Job("a reader of the ceiling went away".to_owned()));
            }
        }
    }
    child.wait().map_err(Error::io("wait for the program")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_comes_back_from_its_id() {
        let flow = Flow { argv: vec!["/bin/echo".to_owned(), "a b".to_owned()], readers: 10, number: 3 };
        assert_eq!(Flow::parse(&flow.id()), Some(flow));
        assert_eq!(Flow::parse("job-01"), None);
        assert_eq!(Flow::parse("1\n2"), None);
    }
}
