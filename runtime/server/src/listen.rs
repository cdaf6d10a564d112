//! Where clients come from: listening sockets that the launcher hands over, or one connection of the embedded form.
//!
//! It owns accepting, and who is let in. At most [`CONNECTIONS_MAX`] are open at a time; the next ones wait in the
//! kernel's queue.

use crate::peer::{Allowed, Peer};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tonic::transport::server::Connected;

/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 1_024;
/// How long accepting rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// On a path.
    Unix(UnixListener, PathBuf),
    /// On a loopback address.
    Tcp(TcpListener, SocketAddr),
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    peer: Peer,
    /// Given back when the connection ends.
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Listener {
    /// A unix socket that listens already.
    ///
    /// # Errors
    /// When it cannot be registered.
    pub fn unix(fd: OwnedFd, path: PathBuf) -> io::Result<Listener> {
        let listener = std::os::unix::net::UnixListener::from(fd);
        listener.set_nonblocking(true)?;
        Ok(Listener::Unix(UnixListener::from_std(listener)?, path))
    }

    /// A TCP socket that listens already.
    ///
    /// # Errors
    /// When it cannot be registered, or does not listen on loopback, whatever its argument said.
    pub fn tcp(fd: OwnedFd) -> io::Result<Listener> {
        let listener = std::net::TcpListener::from(fd);
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            let text = format!("{address} is not a loopback address: TCP has no identity of the caller yet");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        listener.set_nonblocking(true)?;
        Ok(Listener::Tcp(TcpListener::from_std(listener)?, address))
    }

    /// How clients name it.
    pub fn endpoint(&self) -> String {
        match self {
            Listener::Unix(_, path) => format!("unix:{}", path.display()),
            Listener::Tcp(_, address) => format!("http://{address}"),
        }
    }

    async fn accept(&self, allowed: &Allowed) -> io::Result<Option<(Socket, Peer)>> {
        match self {
            Listener::Unix(listener, path) => {
                let (socket, _) = listener.accept().await?;
                match allowed.identify(socket.as_fd())? {
                    Ok(peer) => Ok(Some((Socket::Unix(socket), peer))),
                    Err(uid) => {
                        tracing::warn!(uid, path = %path.display(), "refused a connection: neither root, nor the owner, nor of the socket's group");
                        Ok(None)
                    }
                }
            }
            Listener::Tcp(listener, _) => {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok(Some((Socket::Tcp(socket), Peer::Tcp)))
            }
        }
    }
}

/// Accepts on one listener until told to stop, and passes the connections on.
pub async fn accept_all(
    listener: Listener,
    allowed: Allowed,
    places: Arc<Semaphore>,
    to: mpsc::Sender<io::Result<Connection>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept(&allowed).await)
        };
        let (place, accepted) = tokio::select! {
            accepted = next => accepted,
            stopped = stop.wait_for(|stop| *stop) => {
                if stopped.is_err() {
                    tracing::debug!("the server ended without a word");
                }
                return;
            }
        };
        match accepted {
            Ok(Some((socket, peer))) => {
                if to.send(Ok(Connection { socket, peer, _place: place })).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, endpoint = listener.endpoint(), "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Connection {
    /// A stream socket that is connected already, to the process that started us.
    ///
    /// # Errors
    /// When it cannot be registered.
    pub fn connected(fd: OwnedFd, owner_uid: u32) -> io::Result<Connection> {
        let socket = std::os::unix::net::UnixStream::from(fd);
        socket.set_nonblocking(true)?;
        let socket = Socket::Unix(UnixStream::from_std(socket)?);
        Ok(Connection { socket, peer: Peer::Uid(owner_uid), _place: None })
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;
    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
