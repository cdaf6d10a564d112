//! The server's side of the socket to the launcher: the greeting, and afterwards one task that sends and one
//! that receives and hands each message to the job that it is about.
//!
//! It owns the socket and the routes from a job's id to its task. It must not know what a message means for a job.

use crate::jobs::{Adoption, FromLauncher, Handover, JobPipes};
use runtime_plan::link::{
    self, DecodeError, INLINE_BYTES_MAX, JobId, Refusal, Rules, ToLauncher, ToServer, VERSION, Welcome,
};
use runtime_plan::spec::Spec;
use runtime_sandbox::frame::{self, FrameError};
use runtime_sys::error::Errno;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// Descriptors that one message brings at most: stdin, stdout, stderr.
const FDS_MAX: usize = 3;
/// Messages that wait for the launcher; a job that wants to send one more waits itself.
const QUEUE_MAX: usize = 256;
/// Words for the whole server that wait to be heard.
const NOTICES_MAX: usize = 8;

/// The link, what concerns the whole server, and the jobs of earlier servers.
pub type Started = (Link, mpsc::Receiver<Notice>, mpsc::UnboundedReceiver<Handover>);

/// Why there is no link, or no more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The kernel refused, or the frame was malformed.
    #[error("failed to talk to the launcher: {0}")]
    Frame(#[from] FrameError),
    /// The bytes are no message.
    #[error("failed to talk to the launcher: {0}")]
    Message(#[from] DecodeError),
    /// The socket cannot be used.
    #[error("failed to use the socket to the launcher: {0}")]
    Socket(#[from] io::Error),
    /// The launcher closed its end.
    #[error("the launcher is gone")]
    Gone,
    /// The launcher speaks another version.
    #[error("the launcher speaks version {theirs} of the link and this server version {VERSION}")]
    Version {
        /// What it speaks.
        theirs: u32,
    },
    /// Not what the protocol allows here.
    #[error("the launcher sent {0}")]
    Unexpected(&'static str),
}

/// Greets the launcher and waits for its answer. Blocks; to be called before the first thread exists.
///
/// # Errors
/// Every [`LinkError`].
pub fn greet(socket: &OwnedFd) -> Result<Welcome, LinkError> {
    let hello = link::encode(&ToLauncher::Hello { version: VERSION })?;
    frame::send(socket.as_fd(), &hello, &[], false)?;
    let mut buffer = vec![0; frame::BUFFER_BYTES];
    let answer = frame::receive(socket.as_fd(), &mut buffer, 0, false)?.ok_or(LinkError::Gone)?;
    match link::decode::<ToServer>(&answer.body)? {
        ToServer::Hello(welcome) if welcome.version == VERSION => Ok(*welcome),
        ToServer::Hello(welcome) => Err(LinkError::Version { theirs: welcome.version }),
        _ => Err(LinkError::Unexpected("something else than its greeting")),
    }
}

/// What the link tells the server as a whole.
#[derive(Debug)]
pub enum Notice {
    /// The operator's files were read again.
    Reloaded(Box<Rules>),
    /// The launcher takes no more jobs, and those that run may finish.
    Draining,
    /// Another server comes: leave, and end nothing.
    Retire,
    /// Jobs are being ended: finish.
    ShutDown,
    /// There is no launcher any more, for this reason.
    Lost(LinkError),
}

/// What is sent.
#[derive(Debug)]
enum Outgoing {
    Message(Box<ToLauncher>),
    /// Everything before this is in the kernel's hands.
    Flush(oneshot::Sender<()>),
}

/// Where answers go.
#[derive(Debug, Default)]
struct Routes {
    jobs: HashMap<JobId, mpsc::UnboundedSender<FromLauncher>>,
    /// Until the launcher has told every job of earlier servers.
    adoptions: Option<mpsc::UnboundedSender<Handover>>,
    plans: HashMap<u64, oneshot::Sender<Result<String, Refusal>>>,
    last_plan: u64,
}

/// A handle to the link; clones talk to the same launcher.
#[derive(Debug, Clone)]
pub struct Link {
    queue: mpsc::Sender<Outgoing>,
    routes: Arc<Mutex<Routes>>,
}

/// There is no launcher to send to.
#[derive(Debug, thiserror::Error)]
#[error("the launcher is gone")]
pub struct LauncherGone;

impl Link {
    /// Starts the two tasks on a socket that has been greeted. What concerns the whole server comes on the first channel;
    /// the jobs of earlier servers on the second.
    ///
    /// # Errors
    /// When the socket cannot be registered.
    pub fn start(socket: OwnedFd) -> Result<Started, LinkError> {
        // The type says "stream", but only readiness is taken from it; the frames are sent and received by
        // calls of our own, which keep the boundaries of messages.
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UnixStream::from_std(socket)?);
        let (queue, outgoing) = mpsc::channel(QUEUE_MAX);
        // A launcher that says more than the server hears waits.
        let (notices, noticed) = mpsc::channel(NOTICES_MAX);
        // The launcher holds at most so many jobs as it admits, and tells each once.
        let (adoptions, adopted) = mpsc::unbounded_channel();
        let link = Link { queue, routes: Arc::default() };
        link.lock().adoptions = Some(adoptions);
        tokio::spawn(send_all(Arc::clone(&socket), outgoing, notices.clone()));
        tokio::spawn(receive_all(socket, Arc::clone(&link.routes), notices));
        Ok((link, noticed, adopted))
    }

    /// Queues a message; waits while the queue is full.
    ///
    /// # Errors
    /// When the link has ended.
    pub async fn send(&self, message: ToLauncher) -> Result<(), LauncherGone> {
        self.queue.send(Outgoing::Message(Box::new(message))).await.map_err(|_| LauncherGone)
    }

    /// Waits until the kernel has everything that was queued before.
    ///
    /// # Errors
    /// When the link has ended.
    pub async fn flush(&self) -> Result<(), LauncherGone> {
        let (done, flushed) = oneshot::channel();
        self.queue.send(Outgoing::Flush(done)).await.map_err(|_| LauncherGone)?;
        flushed.await.map_err(|_| LauncherGone)
    }

    /// Says the last word and waits until the kernel has it. Messages that others queue afterwards are not sent.
    ///
    /// # Errors
    /// When the link has ended.
    pub async fn say_goodbye(&self) -> Result<(), LauncherGone> {
        self.send(ToLauncher::Goodbye).await?;
        self.queue.closed().await;
        Ok(())
    }

    /// From now on, what the launcher says of this job comes on the returned channel. It is unbounded, but the
    /// launcher says at most four things of a job, and a repeated one ends the route.
    pub fn register(&self, job: JobId) -> mpsc::UnboundedReceiver<FromLauncher> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().jobs.insert(job, sender);
        receiver
    }

    /// Forgets the job.
    pub fn unregister(&self, job: &JobId) {
        self.lock().jobs.remove(job);
    }

    /// Asks what would be done for this spec.
    ///
    /// # Errors
    /// When the link has ended.
    pub async fn plan(&self, spec: Spec) -> Result<Result<String, Refusal>, LauncherGone> {
        let (answer, answered) = oneshot::channel();
        let request = {
            let mut routes = self.lock();
            routes.last_plan += 1;
            let request = routes.last_plan;
            // Askers who have gone away leave nothing behind.
            routes.plans.retain(|_, waiting| !waiting.is_closed());
            routes.plans.insert(request, answer);
            request
        };
        self.send(ToLauncher::Plan { request, spec: Box::new(spec) }).await?;
        answered.await.map_err(|_| LauncherGone)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Routes> {
        lock(&self.routes)
    }
}

async fn send_all(
    socket: Arc<UnixStream>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    notices: mpsc::Sender<Notice>,
) {
    while let Some(next) = outgoing.recv().await {
        let message = match next {
            Outgoing::Message(message) => *message,
            Outgoing::Flush(done) => {
                if done.send(()).is_err() {
                    tracing::debug!("nobody waits for the link to be empty any more");
                }
                continue;
            }
        };
        let last = matches!(message, ToLauncher::Goodbye);
        let sent = match link::encode(&message) {
            Ok(body) => send_one(&socket, &body).await,
            Err(error) => Err(LinkError::Message(error)),
        };
        if let Err(error) = sent {
            notify(&notices, Notice::Lost(error)).await;
            return;
        }
        if last {
            return;
        }
    }
}

async fn send_one(socket: &UnixStream, body: &[u8]) -> Result<(), LinkError> {
    // A descriptor on the way to a full queue of the peer is the caller's still, so trying again is safe.
    Ok(socket
        .async_io(Interest::WRITABLE, || io_result(frame::send(socket.as_fd(), body, &[], true)))
        .await?)
}

async fn receive_all(socket: Arc<UnixStream>, routes: Arc<Mutex<Routes>>, notices: mpsc::Sender<Notice>) {
    let mut buffer = vec![0; INLINE_BYTES_MAX + 1];
    loop {
        let received = socket
            .async_io(Interest::READABLE, || {
                io_result(frame::receive(socket.as_fd(), &mut buffer, FDS_MAX, true))
            })
            .await;
        let frame = match received {
            Ok(Some(frame)) => frame,
            Ok(None) => return lose(&routes, &notices, LinkError::Gone).await,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return lose(&routes, &notices, LinkError::Gone).await;
            }
            Err(error) => return lose(&routes, &notices, LinkError::Socket(error)).await,
        };
        match link::decode::<ToServer>(&frame.body) {
            Ok(ToServer::Draining) => notify(&notices, Notice::Draining).await,
            Ok(ToServer::ShutDown) => notify(&notices, Notice::ShutDown).await,
            Ok(ToServer::Retire) => notify(&notices, Notice::Retire).await,
            Ok(ToServer::Reloaded(rules)) => notify(&notices, Notice::Reloaded(rules)).await,
            Ok(message) => {
                if let Err(error) = route(&routes, message, frame.fds) {
                    return lose(&routes, &notices, error).await;
                }
            }
            Err(error) => return lose(&routes, &notices, LinkError::Message(error)).await,
        }
    }
}

/// Ends every route, so that whoever waits for an answer learns that none comes.
async fn lose(routes: &Mutex<Routes>, notices: &mpsc::Sender<Notice>, error: LinkError) {
    {
        let mut routes = lock(routes);
        routes.jobs.clear();
        routes.plans.clear();
        routes.adoptions = None;
    }
    notify(notices, Notice::Lost(error)).await;
}

async fn notify(notices: &mpsc::Sender<Notice>, notice: Notice) {
    if notices.send(notice).await.is_err() {
        tracing::debug!("nobody waits for notices of the link any more");
    }
}

fn route(routes: &Mutex<Routes>, message: ToServer, fds: Vec<OwnedFd>) -> Result<(), LinkError> {
    let (job, event) = match message {
        ToServer::Adopt { job, record, pipes } => {
            return adopt(routes, job, record, JobPipes::new(pipes, fds)?);
        }
        ToServer::AdoptionComplete => {
            let told = lock(routes).adoptions.take().map(|adoptions| adoptions.send(Handover::Complete));
            return match told {
                Some(_) => Ok(()),
                None => Err(LinkError::Unexpected("the last job to adopt twice")),
            };
        }
        ToServer::Accepted { job, pipes } => (job, FromLauncher::Accepted(JobPipes::new(pipes, fds)?)),
        ToServer::Refused { job, refusal } => (job, FromLauncher::Refused(refusal)),
        ToServer::Started { job, time_us, enforcement } => {
            (job, FromLauncher::Started { time_us, enforcement, master: fds.into_iter().next() })
        }
        ToServer::Finished { job, time_us, report, enforcement } => {
            (job, FromLauncher::Finished { time_us, report, enforcement })
        }
        ToServer::Planned { request, result } => {
            let waiting = lock(routes).plans.remove(&request);
            if waiting.is_none_or(|waiting| waiting.send(result).is_err()) {
                tracing::debug!(request, "nobody waits for this plan any more");
            }
            return Ok(());
        }
        ToServer::Hello(_) => return Err(LinkError::Unexpected("a second greeting")),
        ToServer::Draining | ToServer::ShutDown | ToServer::Retire | ToServer::Reloaded(_) => {
            return Err(LinkError::Unexpected("a word for all to one job"));
        }
    };
    let routes = lock(routes);
    match routes.jobs.get(&job) {
        Some(task) if task.send(event).is_ok() => {}
        _ => tracing::warn!(%job, "the launcher spoke of a job that is not open"),
    }
    Ok(())
}

/// A job of an earlier server: its route is there before the next message is read.
fn adopt(routes: &Mutex<Routes>, job: JobId, record: Vec<u8>, pipes: JobPipes) -> Result<(), LinkError> {
    let (sender, events) = mpsc::unbounded_channel();
    let mut routes = lock(routes);
    routes.jobs.insert(job.clone(), sender);
    let told = routes
        .adoptions
        .as_ref()
        .map(|adoptions| adoptions.send(Handover::Job(Box::new(Adoption { job, record, pipes, events }))));
    match told {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => Err(LinkError::Unexpected("a job to adopt after the last one")),
    }
}

fn lock(routes: &Mutex<Routes>) -> std::sync::MutexGuard<'_, Routes> {
    routes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Readiness needs the kernel's "not now" as the standard library spells it.
fn io_result<T>(result: Result<T, FrameError>) -> io::Result<T> {
    result.map_err(|error| match error {
        FrameError::Kernel(error) if error.errno == Errno::EAGAIN => io::ErrorKind::WouldBlock.into(),
        FrameError::Kernel(error) if error.errno == Errno::ECONNRESET => {
            io::ErrorKind::ConnectionReset.into()
        }
        other => io::Error::other(other),
    })
}

#[cfg(test)]
mod tests;
