//! `runtime serve`: binds the sockets with the caller's rights, then becomes the launcher.

mod settings;
mod sockets;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use runtime_sandbox::launcher::{self, Mode, Options};
use runtime_sys::{pidfd, process};

use crate::args::ServeArgs;
use crate::endpoint::{self, Endpoint};
use crate::error::Error;
use crate::places::Surroundings;
use settings::Settings;
use sockets::{Bound, Socket, listen_tcp, listen_unix};

/// Serves until a signal ends it. No thread may exist yet.
pub fn serve(args: ServeArgs) -> Result<u8, Error> {
    // First of all: once our parent has died, another process is our parent.
    let parent = args.die_with_parent.then(parent).transpose()?;
    let ready_fd = args.ready_fd.map(adopt).transpose()?;
    let surroundings = Surroundings::now();
    let settings = settings::merge(&args, settings::read(&args, &surroundings)?)?;
    let socket_group = settings.socket_group.as_deref().map(group).transpose()?;
    let endpoints = endpoints(&settings, &surroundings)?;
    let state_dir = state_dir(settings.state_dir, &surroundings)?;
    let metrics = settings.metrics.map(listen_tcp).transpose()?;
    let mut bound = Bound::default();
    for endpoint in endpoints {
        match endpoint {
            Endpoint::Unix(path) => bound.unix.push(listen_unix(path, socket_group, &surroundings)?),
            Endpoint::Http(address) => bound.tcp.push(listen_tcp(address)?),
        }
    }
    let (unix, tcp) = bound.release();
    let sockets: Vec<_> = unix.iter().filter_map(|listener| Socket::at(&listener.path)).collect();
    let mode = Mode::Serve { state_dir, unix, tcp, metrics, ready_fd, socket_group, parent };
    let status = launcher::run(Options {
        mode,
        profiles_dir: args.profiles.or_else(|| surroundings.profiles_dir()),
        policies_dir: args.policies.or_else(|| surroundings.policies_dir()),
        server_args: settings.server_args,
        drain_timeout: settings.drain_timeout,
        store_version: runtime_server::store::VERSION,
        faults: settings.faults,
    });
    // The launcher takes them away at its end, but not where it could not even start.
    sockets.iter().try_for_each(Socket::remove)?;
    Ok(super::status_of(status))
}

/// The process that started us, as a descriptor that keeps meaning it.
fn parent() -> Result<OwnedFd, Error> {
    pidfd::open(process::parent_pid()).map_err(|source| Error::Kernel { act: "watch the parent", source })
}

fn adopt(number: i32) -> Result<OwnedFd, Error> {
    runtime_sys::inherit::adopt_fd(number).map_err(|error| Error::Usage {
        message: format!(
            "--ready-fd {number} is not usable ({}): give a descriptor from 3 on that the caller left open",
            error.errno
        ),
    })
}

/// Where to listen: what was given, else the default socket.
fn endpoints(settings: &Settings, surroundings: &Surroundings) -> Result<Vec<Endpoint>, Error> {
    if settings.listen.is_empty() {
        return Ok(vec![Endpoint::Unix(surroundings.default_socket())]);
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for text in &settings.listen {
        let endpoint = match endpoint::parse(text)? {
            Endpoint::Http(address) if !settings.insecure_tcp => return Err(insecure(address)),
            Endpoint::Http(address) if !settings.faults.is_empty() => {
                let message =
                    format!("--fault is for tests on unix sockets: leave out --listen http://{address}");
                return Err(Error::Usage { message });
            }
            Endpoint::Http(address) => Endpoint::Http(address),
            Endpoint::Unix(path) => Endpoint::Unix(
                std::path::absolute(&path)
                    .map_err(|error| Error::io("find the socket", path.display().to_string(), error))?,
            ),
        };
        // Port 0 is another port each time.
        let repeated = endpoints.contains(&endpoint)
            && !matches!(endpoint, Endpoint::Http(address) if address.port() == 0);
        if repeated {
            return Err(Error::Usage { message: format!("--listen {endpoint} is given twice: keep one") });
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn insecure(address: SocketAddr) -> Error {
    Error::Usage {
        message: format!(
            "--listen http://{address} lets every user of this host run jobs, for this version has neither TLS nor tokens: use unix:PATH, or add --insecure-tcp if that is what you want"
        ),
    }
}

fn state_dir(given: Option<PathBuf>, surroundings: &Surroundings) -> Result<PathBuf, Error> {
    match given {
        Some(path) => std::path::absolute(&path)
            .map_err(|error| Error::io("find the state directory", path.display().to_string(), error)),
        None => surroundings.state_dir().ok_or_else(|| Error::Usage {
            message: "there is no HOME to keep jobs in: give --state-dir DIR".to_owned(),
        }),
    }
}

/// A group's number, by its number or its name in /etc/group.
fn group(name: &str) -> Result<u32, Error> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let groups =
        std::fs::read_to_string("/etc/group").map_err(|error| Error::io("read", "/etc/group", error))?;
    group_in(&groups, name).ok_or_else(|| Error::Usage {
        message: format!("there is no group {name:?} in /etc/group: give one that is there, or a number"),
    })
}

fn group_in(groups: &str, name: &str) -> Option<u32> {
    let mut lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.first() == Some(&name))?.get(2)?.parse().ok()
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
