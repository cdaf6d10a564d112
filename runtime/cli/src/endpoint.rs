//! Which daemon to ask: the forms of an endpoint, and the choice among flag, environment and default socket.
//!
//! The choice is a pure function of what the caller wishes and what lies at the default socket; only [`look_at`] reads the
//! file system.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Longest path of a unix socket: `sun_path` less its NUL (unix(7)).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// Plain HTTP/2 on a loopback address.
    Http(SocketAddr),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Http(address) => write!(f, "http://{address}"),
        }
    }
}

/// Why an endpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not one of the forms.
    #[error(
        "{text:?} is no endpoint: use unix:PATH or http://HOST:PORT, for example unix:/run/runtime/api.sock"
    )]
    Form {
        /// What was given, lossy.
        text: String,
    },
    /// TLS is not there yet.
    #[error(
        "{text:?} needs TLS, which this version does not speak: use unix:PATH, or http:// on a loopback address"
    )]
    Tls {
        /// What was given, lossy.
        text: String,
    },
    /// Plain TCP beyond this host.
    #[error(
        "{text:?} is not a loopback address, and plain http would show everything to the network: use unix:PATH, or http://127.0.0.1:PORT through a tunnel of your own"
    )]
    NotLoopback {
        /// What was given, lossy.
        text: String,
    },
    /// A socket path that the kernel cannot hold.
    #[error(
        "the socket path {path:?} has {bytes} bytes, over the kernel's bound of {SOCKET_PATH_BYTES_MAX}: use a shorter one"
    )]
    PathTooLong {
        /// The path, lossy.
        path: String,
        /// Its length.
        bytes: usize,
    },
}

/// Reads an endpoint. Paths may be any bytes; a relative one is relative to the working directory.
pub fn parse(text: &OsStr) -> Result<Endpoint, EndpointError> {
    let lossy = || text.to_string_lossy().into_owned();
    if let Some(path) = text.as_bytes().strip_prefix(b"unix:") {
        let path = path.strip_prefix(b"//").filter(|rest| rest.starts_with(b"/")).unwrap_or(path);
        return match path.len() {
            0 => Err(EndpointError::Form { text: lossy() }),
            _ if path.contains(&0) => Err(EndpointError::Form { text: lossy() }),
            1..=SOCKET_PATH_BYTES_MAX => Ok(Endpoint::Unix(OsStr::from_bytes(path).into())),
            bytes => Err(EndpointError::PathTooLong { path: lossy(), bytes }),
        };
    }
    if text.as_bytes().starts_with(b"https:") {
        return Err(EndpointError::Tls { text: lossy() });
    }
    let rest = text.to_str().and_then(|text| text.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| EndpointError::Form { text: lossy() })?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if let Ok(address) = rest.parse::<SocketAddr>() {
        return match address.ip().is_loopback() {
            true => Ok(Endpoint::Http(address)),
            false => Err(EndpointError::NotLoopback { text: lossy() }),
        };
    }
    let (host, port) = rest.rsplit_once(':').ok_or_else(|| EndpointError::Form { text: lossy() })?;
    let port = port.parse::<u16>().map_err(|_| EndpointError::Form { text: lossy() })?;
    match host {
        "localhost" => Ok(Endpoint::Http(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))),
        "" => Err(EndpointError::Form { text: lossy() }),
        _ if host.contains(['/', ':', '@', ' ']) => Err(EndpointError::Form { text: lossy() }),
        _ => Err(EndpointError::NotLoopback { text: lossy() }),
    }
}

/// What the caller said about the endpoint.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// `--endpoint`.
    pub flag: Option<OsString>,
    /// `RUNTIME_ENDPOINT`; empty counts as unset.
    pub variable: Option<OsString>,
    /// `--embedded`.
    pub embedded: bool,
}

impl Wishes {
    /// The flag, and what the environment says.
    pub fn now(flag: Option<OsString>, embedded: bool) -> Wishes {
        Wishes { flag, variable: std::env::var_os("RUNTIME_ENDPOINT"), embedded }
    }

    /// What was named outright: the flag before the environment.
    pub fn named(&self) -> Result<Option<Endpoint>, EndpointError> {
        let text = self.flag.as_deref().or(self.variable.as_deref().filter(|text| !text.is_empty()));
        text.map(parse).transpose()
    }
}

/// What lies at the default socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultSocket {
    /// No socket.
    Absent(PathBuf),
    /// A socket of root's or of the caller.
    Ours(PathBuf),
    /// A socket of somebody else.
    Foreign {
        /// Where.
        path: PathBuf,
        /// Whose.
        owner: u32,
    },
}

/// Looks at the default socket. What cannot be looked at (no rights, no directory) counts as absent.
pub fn look_at(path: &Path, uid: u32) -> DefaultSocket {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match found.uid() {
            owner if owner == 0 || owner == uid => DefaultSocket::Ours(path.into()),
            owner => DefaultSocket::Foreign { path: path.into(), owner },
        },
        _ => DefaultSocket::Absent(path.into()),
    }
}

/// Where a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// At a daemon.
    Daemon(Endpoint),
    /// In a private launcher of ours.
    Embedded,
}

/// Where `run` goes: what was named, else the default socket, else embedded.
pub fn choose_for_run(wishes: &Wishes, default: DefaultSocket) -> Result<Choice, Error> {
    if wishes.embedded {
        return Ok(Choice::Embedded);
    }
    if let Some(endpoint) = wishes.named()? {
        return Ok(Choice::Daemon(endpoint));
    }
    match default {
        DefaultSocket::Ours(path) => Ok(Choice::Daemon(Endpoint::Unix(path))),
        DefaultSocket::Absent(_) | DefaultSocket::Foreign { .. } => Ok(Choice::Embedded),
    }
}

/// Whom every other verb asks: what was named, else the default socket, else nobody.
pub fn choose(wishes: &Wishes, default: DefaultSocket) -> Result<Endpoint, Error> {
    if let Some(endpoint) = wishes.named()? {
        return Ok(endpoint);
    }
    match default {
        DefaultSocket::Ours(path) => Ok(Endpoint::Unix(path)),
        DefaultSocket::Absent(path) => Err(Error::NoDaemon { path }),
        DefaultSocket::Foreign { path, owner } => Err(Error::ForeignSocket { path, owner }),
    }
}

#[cfg(test)]
#[path = "endpoint/tests.rs"]
mod tests;
