//! The gRPC server around the services, with its bounds, and its way down.

use crate::api::{self, ClientFaults, Context, JobApi, NodeApi, REQUEST_BYTES_MAX};
use crate::jobs::{Handover, Parts, RecoverError, Registry};
use crate::link::{Link, LinkError, Notice};
use crate::listen::{CONNECTIONS_MAX, Connection, Listener, accept_all};
use crate::metrics;
use crate::peer::Allowed;
use runtime_plan::link::{ToLauncher, Welcome};
use runtime_proto::v1::job_service_server::JobServiceServer;
use runtime_proto::v1::node_service_server::NodeServiceServer;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Router;

/// Streams of one connection at a time.
const STREAMS_MAX: u32 = 1_024;
/// Bytes of a request's headers.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// Streams that a client opens and resets before we saw them: more end the connection (rapid reset).
const PENDING_RESETS_MAX: usize = 64;
/// Streams that we reset because of the client's errors: the same.
const ERROR_RESETS_MAX: usize = 64;
/// What a client may send ahead on one stream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// And on all of one connection: stdin that a job does not read must not block the other streams.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// How long streams may take to tell the end on the way down.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// The same when another server waits: its clients come back to that one.
const RETIRE_MAX: Duration = Duration::from_millis(500);
/// How long the launcher may take to make room for the last message.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Why the server ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A socket cannot be used.
    #[error("failed to use a socket: {0}")]
    Socket(#[from] io::Error),
    /// The descriptors of the API cannot be served.
    #[error("failed to set up reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// HTTP/2.
    #[error("failed to serve: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The jobs of earlier servers cannot be taken over.
    #[error("failed to take over the jobs of earlier servers: {0}")]
    Recover(#[from] RecoverError),
    /// The launcher is gone.
    #[error("{0}")]
    LauncherGone(LinkError),
}

/// Everything that is served, and where.
#[derive(Debug)]
pub struct Service {
    /// What the registry is made of.
    pub parts: Parts,
    /// What the launcher says about all of us.
    pub notices: mpsc::Receiver<Notice>,
    /// The jobs of earlier servers.
    pub handovers: mpsc::UnboundedReceiver<Handover>,
    /// What the launcher said at first.
    pub welcome: Welcome,
    /// Who may connect.
    pub allowed: Allowed,
    /// Where clients come from.
    pub listeners: Vec<Listener>,
    /// Where the numbers are asked for.
    pub metrics_listeners: Vec<TcpListener>,
    /// The connection of the embedded form.
    pub connection: Option<Connection>,
}

/// What the launcher wants at last.
enum Leave {
    /// Jobs have been ended.
    ShutDown,
    /// Another server comes.
    Retire,
    /// It is gone itself.
    Lost(LinkError),
}

/// A server that has taken over what there is, before its first client.
pub struct Open {
    /// What the services need.
    pub context: Arc<Context>,
    link: Link,
    notices: mpsc::Receiver<Notice>,
    allowed: Allowed,
    listeners: Vec<Listener>,
    metrics_listeners: Vec<TcpListener>,
    connection: Option<Connection>,
    retire: watch::Sender<bool>,
    /// The launcher wanted the end while jobs were being taken over.
    early: Option<Leave>,
}

impl Service {
    /// Takes over what there is.
    ///
    /// # Errors
    /// When the records cannot be read, or the launcher ends meanwhile.
    pub async fn open(self) -> Result<Open, ServeError> {
        let Service {
            parts,
            mut notices,
            handovers,
            mut welcome,
            allowed,
            listeners,
            metrics_listeners,
            connection,
        } = self;
        let (link, faults, metrics) = (parts.link.clone(), parts.faults.clone(), parts.metrics.clone());
        metrics.generation(welcome.generation);
        parts.store.count_with(metrics.clone());
        let registry = Registry::new(parts, &mut welcome);
        let mut early = None;
        let recovered = {
            // What the launcher says of all of us is heard meanwhile, or it would stand before the next job to take over.
            let mut recovering = std::pin::pin!(registry.recover(handovers));
            loop {
                tokio::select! {
                    recovered = &mut recovering => break recovered?,
                    leave = watch_launcher(&mut notices, &registry), if early.is_none() => match leave {
                        Leave::Lost(error) => return Err(ServeError::LauncherGone(error)),
                        leave => early = Some(leave),
                    },
                }
            }
        };
        tracing::info!(
            ?recovered,
            generation = welcome.generation,
            "the jobs of earlier servers are taken over"
        );
        registry.keep_house();
        let (retire, retiring) = watch::channel(false);
        let context = Arc::new(Context {
            rules: registry.rules(),
            registry,
            welcome: Arc::new(welcome),
            metrics,
            faults: ClientFaults {
                slow_reader: faults.slow_reader(),
                drop_after_bytes: faults.drop_connection_after(),
            },
            retire: retiring,
        });
        if let Some(after) = faults.crash_after() {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                faults.crash_now();
            });
        }
        Ok(Open { context, link, notices, allowed, listeners, metrics_listeners, connection, retire, early })
    }
}

impl Open {
    /// Serves until the launcher says so or is gone. `ready` is called when clients are accepted.
    ///
    /// # Errors
    /// Every [`ServeError`].
    pub async fn serve(self, ready: impl FnOnce(&[String]) -> io::Result<()>) -> Result<(), ServeError> {
        let Open {
            context,
            link,
            mut notices,
            allowed,
            listeners,
            metrics_listeners,
            connection,
            retire,
            early,
        } = self;
        let registry = Arc::clone(&context.registry);
        let router = router(&context)?;
        let endpoints: Vec<String> = listeners.iter().map(Listener::endpoint).collect();
        ready(&endpoints)?;
        if link.send(ToLauncher::Ready).await.is_err() {
            return Err(ServeError::LauncherGone(LinkError::Gone));
        }

        let (stop, stopped) = watch::channel(false);
        tell_numbers(metrics_listeners, &context, &stopped);
        let (connections, incoming) = mpsc::channel(1);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        if let Some(connection) = connection
            && connections.send(Ok(connection)).await.is_err()
        {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        for listener in listeners {
            let (places, to) = (Arc::clone(&places), connections.clone());
            tokio::spawn(accept_all(listener, allowed, places, to, stopped.clone()));
        }
        let (finish, mut finished) = watch::channel(false);
        // `connections` lives until the end: without listeners the stream of connections must not end by itself.
        let server = router.serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move {
            if finished.wait_for(|finish| *finish).await.is_err() {
                tracing::debug!("the server ends with its owner");
            }
        });
        let mut server = tokio::spawn(server);

        let mut leave = match early {
            Some(leave) => leave,
            None => tokio::select! {
                leave = watch_launcher(&mut notices, &registry) => leave,
                served = &mut server => return flatten(served),
            },
        };
        stop.send_replace(true);
        match leave {
            Leave::ShutDown => {
                leave = tokio::select! {
                    () = registry.shut_down() => leave,
                    lost = watch_launcher_end(&mut notices) => Leave::Lost(lost),
                }
            }
            Leave::Retire => {
                retire.send_replace(true);
                registry.retire().await;
            }
            Leave::Lost(_) => {}
        }
        finish.send_replace(true);
        let flush_max = if matches!(leave, Leave::Retire) { RETIRE_MAX } else { FLUSH_MAX };
        match tokio::time::timeout(flush_max, &mut server).await {
            Ok(served) => flatten(served)?,
            Err(_) => {
                tracing::info!("some clients did not take their last messages in time");
                server.abort();
            }
        }
        drop(connections);
        match leave {
            Leave::Lost(error) => Err(ServeError::LauncherGone(error)),
            Leave::ShutDown => {
                registry.close().await;
                say_goodbye(&link).await
            }
            Leave::Retire => say_goodbye(&link).await,
        }
    }
}

/// Serves the page of numbers.
fn tell_numbers(listeners: Vec<TcpListener>, context: &Arc<Context>, stopped: &watch::Receiver<bool>) {
    for listener in listeners {
        let (metrics, context) = (context.metrics.clone(), Arc::clone(context));
        let look = move || {
            let context = Arc::clone(&context);
            async move { context.look().await }
        };
        tokio::spawn(metrics::http::serve(listener, metrics, look, stopped.clone()));
    }
}

/// Until the launcher asks for the end or is gone. What it says before is done here.
async fn watch_launcher(notices: &mut mpsc::Receiver<Notice>, registry: &Arc<Registry>) -> Leave {
    loop {
        match notices.recv().await {
            Some(Notice::Reloaded(rules)) => {
                tracing::info!(policy = rules.policy.digest, "the operator's files were read again");
                registry.set_rules(*rules);
            }
            Some(Notice::Draining) => registry.drain(None),
            Some(Notice::Retire) => return Leave::Retire,
            Some(Notice::ShutDown) => return Leave::ShutDown,
            Some(Notice::Lost(error)) => return Leave::Lost(error),
            None => return Leave::Lost(LinkError::Gone),
        }
    }
}

/// Until the launcher is gone; asking again for the end changes nothing.
async fn watch_launcher_end(notices: &mut mpsc::Receiver<Notice>) -> LinkError {
    loop {
        match notices.recv().await {
            Some(Notice::Lost(error)) => return error,
            Some(Notice::Reloaded(_) | Notice::Draining | Notice::Retire | Notice::ShutDown) => {}
            None => return LinkError::Gone,
        }
    }
}

/// Tells the launcher that all is done.
async fn say_goodbye(link: &Link) -> Result<(), ServeError> {
    match tokio::time::timeout(GOODBYE_MAX, link.say_goodbye()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(ServeError::LauncherGone(LinkError::Gone)),
    }
}

fn flatten(
    served: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>,
) -> Result<(), ServeError> {
    match served {
        Ok(served) => Ok(served?),
        Err(error) => Err(io::Error::other(error).into()),
    }
}

fn router(context: &Arc<Context>) -> Result<Router, ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(api::health::keep(Arc::clone(context), health));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(runtime_proto::v1::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let jobs =
        JobServiceServer::new(JobApi::new(Arc::clone(context))).max_decoding_message_size(REQUEST_BYTES_MAX);
    let node = NodeServiceServer::new(NodeApi::new(Arc::clone(context)))
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let router = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        // No pings: every client is on this host, so the kernel tells when it is gone, and one that is merely stopped
        // (Ctrl-Z) must not lose its job.
        .http2_keepalive_interval(None)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(jobs)
        .add_service(node);
    Ok(router)
}
