//! The gRPC server around the services, with its bounds, and its way down.

use crate::api::{JobApi, NodeApi, REQUEST_BYTES_MAX};
use crate::jobs::{Kept, Registry};
use crate::link::{Link, Notice};
use crate::listen::{CONNECTIONS_MAX, Connection, Listener, accept_all};
use crate::peer::Allowed;
use runtime_plan::link::Welcome;
use runtime_proto::v1::job_service_server::JobServiceServer;
use runtime_proto::v1::node_service_server::NodeServiceServer;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
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
    /// The launcher is gone.
    #[error("{0}")]
    LauncherGone(crate::link::LinkError),
}

/// Everything that is served, and where.
#[derive(Debug)]
pub struct Service {
    /// To the launcher.
    pub link: Link,
    /// What it says about all of us.
    pub notices: mpsc::Receiver<Notice>,
    /// What it said at first.
    pub welcome: Welcome,
    /// Where logs go: an empty directory.
    pub logs: PathBuf,
    /// Who may connect.
    pub allowed: Allowed,
    /// Where clients come from.
    pub listeners: Vec<Listener>,
    /// The connection of the embedded form.
    pub connection: Option<Connection>,
}

impl Service {
    /// Serves until the launcher says so or is gone. `ready` is called when clients are accepted.
    ///
    /// # Errors
    /// Every [`ServeError`].
    pub async fn serve(self, ready: impl FnOnce(&[String]) -> io::Result<()>) -> Result<(), ServeError> {
        let Service { link, mut notices, welcome, logs, allowed, listeners, connection } = self;
        let registry = Registry::new(link.clone(), logs, &welcome.policy, Kept::default());
        let (health, router) = router(&registry, welcome).await?;
        let endpoints: Vec<String> = listeners.iter().map(Listener::endpoint).collect();

        let (stop, stopped) = watch::channel(false);
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
        ready(&endpoints)?;

        let lost = tokio::select! {
            lost = watch_launcher(&mut notices) => lost,
            served = &mut server => return flatten(served),
        };
        stop.send_replace(true);
        health.set_not_serving::<JobServiceServer<JobApi>>().await;
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        let lost = match lost {
            Some(error) => Some(error),
            None => tokio::select! {
                () = registry.shut_down() => None,
                lost = watch_launcher_end(&mut notices) => Some(lost),
            },
        };
        finish.send_replace(true);
        match tokio::time::timeout(FLUSH_MAX, &mut server).await {
            Ok(served) => flatten(served)?,
            Err(_) => {
                tracing::info!("some clients did not take their last messages in time");
                server.abort();
            }
        }
        drop(connections);
        match lost {
            Some(error) => Err(ServeError::LauncherGone(error)),
            None => say_goodbye(&link).await,
        }
    }
}

/// Until the launcher asks for the end (`None`) or is gone.
async fn watch_launcher(notices: &mut mpsc::Receiver<Notice>) -> Option<crate::link::LinkError> {
    match notices.recv().await {
        Some(Notice::ShutDown) => None,
        Some(Notice::Lost(error)) => Some(error),
        None => Some(crate::link::LinkError::Gone),
    }
}

/// Until the launcher is gone; asking again for the end changes nothing.
async fn watch_launcher_end(notices: &mut mpsc::Receiver<Notice>) -> crate::link::LinkError {
    loop {
        if let Some(error) = watch_launcher(notices).await {
            return error;
        }
    }
}

/// Tells the launcher that all is done.
async fn say_goodbye(link: &Link) -> Result<(), ServeError> {
    match tokio::time::timeout(GOODBYE_MAX, link.say_goodbye()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(ServeError::LauncherGone(crate::link::LinkError::Gone)),
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

async fn router(
    registry: &Arc<Registry>,
    welcome: Welcome,
) -> Result<(tonic_health::server::HealthReporter, Router), ServeError> {
    let digests: HashMap<String, String> =
        welcome.profiles.iter().map(|profile| (profile.name.clone(), profile.digest.clone())).collect();
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<JobServiceServer<JobApi>>().await;
    health.set_serving::<NodeServiceServer<NodeApi>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(runtime_proto::v1::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let jobs = JobServiceServer::new(JobApi::new(Arc::clone(registry), digests))
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let node = NodeServiceServer::new(NodeApi::new(Arc::clone(registry), Arc::new(welcome)))
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
    Ok((health, router))
}
