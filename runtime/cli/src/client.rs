//! The connection to a daemon, ours or private, and its errors in our words.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hyper_util::rt::TokioIo;
use runtime_proto::v1::{job_service_client::JobServiceClient, node_service_client::NodeServiceClient};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Uri};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{endpoint::Endpoint, error::Error};

/// Largest answer that is taken, in bytes: a full page of jobs with long command lines.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Window of one stream, in bytes: how far output runs ahead of a slow terminal.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Window of the connection, in bytes: more than a stream's, so that a stalled stream does not hold up the answer to a cancel.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Connects to a daemon.
pub async fn connect(endpoint: &Endpoint) -> Result<Channel, Error> {
    let failed = |error: &std::io::Error, next| Error::Connect {
        endpoint: endpoint.to_string(),
        why: error.to_string(),
        next,
    };
    match endpoint {
        Endpoint::Unix(path) => match tokio::net::UnixStream::connect(path).await {
            Ok(stream) => over(stream, endpoint).await,
            Err(error) => Err(failed(&error, next_step(&error, path))),
        },
        Endpoint::Http(address) => match tokio::net::TcpStream::connect(address).await {
            Ok(stream) => over(stream, endpoint).await,
            Err(error) => Err(failed(
                &error,
                "is the daemon running there? start it with `runtime serve --insecure-tcp --listen …`, or name another with --endpoint",
            )),
        },
    }
}

fn next_step(error: &std::io::Error, path: &Path) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound if path.parent().is_some_and(|parent| !parent.exists()) => {
            "there is no such directory: check the path, or start a daemon with `runtime serve --listen unix:PATH`"
        }
        std::io::ErrorKind::NotFound => {
            "start a daemon there with `runtime serve --listen unix:PATH`, or leave the daemon out with `run --embedded`"
        }
        std::io::ErrorKind::ConnectionRefused => {
            "the daemon that made the socket is gone: start it again with `runtime serve`, or leave the daemon out with `run --embedded`"
        }
        std::io::ErrorKind::PermissionDenied => {
            "the socket is not yours: ask its owner to serve with --socket-group, or leave the daemon out with `run --embedded`"
        }
        _ => {
            "is it the socket of `runtime serve`? check the path, or leave the daemon out with `run --embedded`"
        }
    }
}

/// Speaks over a socket that is connected already. The channel ends with it: there is no second one to connect.
pub async fn over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    name: impl std::fmt::Display,
) -> Result<Channel, Error> {
    let stream = Mutex::new(Some(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            let gone = || std::io::Error::new(std::io::ErrorKind::NotConnected, "the connection has ended");
            stream.map(TokioIo::new).ok_or_else(gone)
        }
    });
    // The address is never looked up: the connector has the socket.
    let channel = tonic::transport::Endpoint::from_static("http://runtime.invalid")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_with_connector(connector)
        .await;
    channel.map_err(|error| Error::Connect {
        endpoint: name.to_string(),
        why: chain(&error),
        next: "does a `runtime` daemon listen there? its log says more",
    })
}

/// The calls about jobs.
pub fn jobs(channel: Channel) -> JobServiceClient<Channel> {
    JobServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// The calls about the host.
pub fn node(channel: Channel) -> NodeServiceClient<Channel> {
    NodeServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// A refusal in our words: the daemon's sentence, and the reason of its ErrorInfo or else the name of the code.
pub fn refused(status: &Status) -> Error {
    let reason = match status.get_details_error_info() {
        Some(info) if !info.reason.is_empty() => info.reason,
        _ => code_name(status.code()).to_owned(),
    };
    let message = match (status.message(), status.code()) {
        ("", code) => format!("the daemon answered {}: its log says more", code_name(code)),
        (message, _) => message.to_owned(),
    };
    Error::Call { reason, message }
}

/// What a transport error says, with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn a_refusal_shows_its_reason_and_its_sentence() {
        let details =
            ErrorDetails::with_error_info("UNKNOWN_PROFILE", "runtime.v1", std::collections::HashMap::new());
        let status =
            Status::with_error_details(Code::NotFound, "no profile \"x\": did you mean \"y\"?", details);
        let error = refused(&status);
        assert_eq!(error.code(), "UNKNOWN_PROFILE");
        assert_eq!(error.to_string(), "no profile \"x\": did you mean \"y\"?");
    }

    #[test]
    fn a_status_without_details_shows_its_code() {
        let error = refused(&Status::new(Code::NotFound, ""));
        assert_eq!(error.code(), "NOT_FOUND");
        assert!(error.to_string().contains("NOT_FOUND"));
    }

    #[test]
    fn a_socket_that_cannot_be_used_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stale = folder.path().join("stale.sock");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        let table = [
            (folder.path().join("no/such.sock"), "no such directory"),
            (folder.path().join("none.sock"), "start a daemon there"),
            (stale, "start it again"),
        ];
        for (path, words) in table {
            let error = runtime.block_on(connect(&Endpoint::Unix(path))).unwrap_err();
            assert_eq!(error.code(), "CONNECT_FAILED");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
