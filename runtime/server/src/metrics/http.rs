//! The page of numbers over HTTP/1.1: `GET /metrics` and `GET /healthz`, on a listener that the launcher hands over.
//!
//! It owns the bounds of strangers' connections: how many, how long, how large a head. It changes nothing and tells no
//! job's id, command or output.

use super::{Form, Metrics, Now, ServingWord};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections at a time; the next ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16;
/// Bytes of a request's head: the least that hyper takes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Fields in a request's head.
const FIELDS_MAX: usize = 64;
/// How long the head may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long one connection may take in whole; it has one request.
const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// How long accepting rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is seen at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// For the page.
    pub now: Now,
    /// What is wrong, for people.
    pub problems: Vec<String>,
}

/// A listener that listens already.
///
/// # Errors
/// When it is no TCP socket, or cannot be registered.
pub fn listener(fd: OwnedFd) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(fd);
    // What is no TCP socket has no such address.
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves until told to stop. `look` is asked once for each request.
pub async fn serve<L, F>(listener: TcpListener, metrics: Metrics, look: L, mut stop: watch::Receiver<bool>)
where
    L: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Look> + Send,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            // The sender's end is an end, too.
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((socket, _)) => {
                let (metrics, look) = (metrics.clone(), look.clone());
                tokio::spawn(async move {
                    if tokio::time::timeout(CONNECTION_MAX, answer(socket, metrics, look)).await.is_err() {
                        tracing::debug!("a reader of the metrics took too long");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a reader of the metrics");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer<L, F>(socket: TcpStream, metrics: Metrics, look: L)
where
    L: Fn() -> F,
    F: Future<Output = Look>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (metrics, look) = (&metrics, &look);
        async move { Ok::<_, Infallible>(respond(&request, metrics, look).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a reader of the metrics broke off");
    }
}

async fn respond<L, F>(request: &Request<Incoming>, metrics: &Metrics, look: &L) -> Response<Full<Bytes>>
where
    L: Fn() -> F,
    F: Future<Output = Look>,
{
    let path = request.uri().path();
    if path != "/metrics" && path != "/healthz" {
        return text(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n".to_owned());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let Look { now, problems } = look().await;
    if path == "/healthz" {
        return health(now.state, &problems);
    }
    let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let form = Form::wanted(&accepted.collect::<Vec<_>>().join(","));
    let mut response = Response::new(Full::from(metrics.page(&now, form)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    response
}

fn health(state: ServingWord, problems: &[String]) -> Response<Full<Bytes>> {
    let status = match state {
        ServingWord::Serving => StatusCode::OK,
        ServingWord::Draining | ServingWord::Degraded => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut words = format!("{}\n", state.word());
    for problem in problems {
        words += problem;
        words.push('\n');
    }
    text(status, words)
}

fn text(status: StatusCode, words: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(words));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
