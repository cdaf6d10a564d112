//! Starts the server for a mode: its fds, its state directory, its arguments.

use crate::launcher::{
    options::{Directory, LauncherError, Mode, kernel},
    places::Instance,
    server::{self, Server},
    state_dir::StateDir,
};
use runtime_sys::{clone::SingleThreaded, process};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The server, and what of the mode the launcher keeps.
pub struct Started {
    /// The server.
    pub server: Server,
    /// The caller's life.
    pub lifeline: Option<OwnedFd>,
    /// The caller's directory.
    pub directory: Option<Directory>,
    /// Held as long as the launcher lives.
    pub state_dir: StateDir,
}

/// Starts it.
pub fn start_server(
    proof: &SingleThreaded,
    instance: &Instance,
    server_uid: Option<u32>,
    mode: Mode,
    mut arguments: Vec<String>,
) -> Result<Started, LauncherError> {
    let owner = process::effective_uid();
    arguments.extend(["--owner-uid".to_owned(), owner.to_string()]);
    match mode {
        Mode::Embedded { connection, lifeline, directory, .. } => {
            let state_dir = StateDir::take(&instance.path.join("state"), server_uid)?;
            arguments.extend(["--connection-fd".to_owned(), connection.as_raw_fd().to_string()]);
            let fds = vec![connection.as_fd()];
            let start = server::Start { arguments, fds, state_dir: state_dir.fd(), uid: server_uid };
            let server = server::start(proof, &start).map_err(kernel("start the server"))?;
            Ok(Started { server, lifeline: Some(lifeline), directory, state_dir })
        }
        Mode::Serve { state_dir, unix, tcp, ready_fd, socket_group, parent } => {
            let state_dir = StateDir::take(&state_dir, server_uid)?;
            let mut fds = Vec::new();
            for listener in &unix {
                arguments.push("--unix-listener-fd".to_owned());
                arguments.push(format!("{}={}", listener.fd.as_raw_fd(), listener.path.display()));
                fds.push(listener.fd.as_fd());
            }
            for listener in &tcp {
                let address = listener.local_addr().map_err(LauncherError::Tcp)?;
                arguments
                    .extend(["--tcp-listener-fd".to_owned(), format!("{}={address}", listener.as_raw_fd())]);
                fds.push(listener.as_fd());
            }
            if let Some(ready) = &ready_fd {
                arguments.extend(["--ready-fd".to_owned(), ready.as_raw_fd().to_string()]);
                fds.push(ready.as_fd());
            }
            if let Some(gid) = socket_group {
                arguments.extend(["--socket-gid".to_owned(), gid.to_string()]);
            }
            let start = server::Start { arguments, fds, state_dir: state_dir.fd(), uid: server_uid };
            let server = server::start(proof, &start).map_err(kernel("start the server"))?;
            Ok(Started { server, lifeline: parent, directory: None, state_dir })
        }
    }
}
