//! Things of this host for the attacks to reach for: a port, sockets, a file, names that only the host knows. They live as long
//! as the value, and are harmless: nobody answers at them, and the file holds nothing.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use crate::error::Error;

/// The namespaces whose links are compared.
const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// What was planted.
#[derive(Debug)]
pub struct Facts {
    /// `NAME=VALUE` for the attacks.
    pub variables: Vec<String>,
    /// A text that must not reach the job: to be put into the launcher's environment.
    pub canary: String,
    _port: TcpListener,
    _sockets: [UnixListener; 2],
    _folder: tempfile::TempDir,
}

impl Facts {
    /// Plants them. `uid` is ours; `daemon` the socket of a running daemon, if there is one.
    pub fn plant(uid: u32, daemon: Option<&Path>) -> Result<Facts, Error> {
        let failed = |act, object: &str| {
            let object = object.to_owned();
            move |error| Error::io(act, object, error)
        };
        let folder = tempfile::tempdir().map_err(failed("make", "a temporary directory"))?;
        let name = folder.path().display().to_string();
        let allow = |path: &Path, mode| {
            let failed = failed("open to everybody", &path.display().to_string());
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)
        };
        allow(folder.path(), 0o755)?;
        let (socket_path, file_path) = (folder.path().join("socket"), folder.path().join("file"));
        let socket = UnixListener::bind(&socket_path).map_err(failed("listen at", &name))?;
        allow(&socket_path, 0o666)?;
        std::fs::write(&file_path, "readable by everybody\n").map_err(failed("write to", &name))?;
        allow(&file_path, 0o644)?;
        let abstract_name = name.trim_start_matches('/').replace('/', "-");
        let address =
            SocketAddr::from_abstract_name(&abstract_name).map_err(failed("name", "an abstract socket"))?;
        let unnamed = UnixListener::bind_addr(&address).map_err(failed("listen at", "an abstract socket"))?;
        let port = TcpListener::bind(("127.0.0.1", 0)).map_err(failed("listen at", "127.0.0.1"))?;
        let number = port.local_addr().map_err(failed("look at", "127.0.0.1"))?.port();
        let canary = format!("canary-of-{abstract_name}");
        let mut variables = vec![
            "PROBE_INSIDE=1".to_owned(),
            format!("PROBE_HOST_PORT={number}"),
            format!("PROBE_ABSTRACT={abstract_name}"),
            format!("PROBE_SOCKET_PATH={}", socket_path.display()),
            format!("PROBE_RUNTIME_SOCKET={}", daemon.unwrap_or(&socket_path).display()),
            format!("PROBE_HOST_FILE={}", file_path.display()),
            format!("PROBE_HOST_TEXT={name}"),
            format!("PROBE_HOST_PID={}", std::process::id()),
            format!("PROBE_CANARY={canary}"),
            format!("PROBE_HOST_NS={}", namespaces()?),
            format!("PROBE_HOST_HOSTNAME={}", hostname()?),
        ];
        // Without root a job has its caller's uid: there is no other that the kernel would let us give it.
        variables.extend((uid == 0).then(|| format!("PROBE_HOST_UIDS={uid}")));
        Ok(Facts { variables, canary, _port: port, _sockets: [socket, unnamed], _folder: folder })
    }
}

fn namespaces() -> Result<String, Error> {
    let link = |name: &&str| {
        let path = format!("/proc/self/ns/{name}");
        std::fs::read_link(&path)
            .map(|link| link.display().to_string())
            .map_err(|error| Error::io("read", path, error))
    };
    Ok(NAMESPACES.iter().map(link).collect::<Result<Vec<_>, _>>()?.join(","))
}

fn hostname() -> Result<String, Error> {
    let path = "/proc/sys/kernel/hostname";
    let name = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    Ok(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(facts: &'a Facts, name: &str) -> &'a str {
        facts.variables.iter().find_map(|variable| variable.strip_prefix(&format!("{name}="))).unwrap()
    }

    #[test]
    fn what_is_planted_can_be_reached_from_here_and_is_gone_afterwards() {
        let facts = Facts::plant(0, None).unwrap();
        let port: u16 = value(&facts, "PROBE_HOST_PORT").parse().unwrap();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let socket = value(&facts, "PROBE_SOCKET_PATH").to_owned();
        std::os::unix::net::UnixStream::connect(&socket).unwrap();
        let name = value(&facts, "PROBE_ABSTRACT");
        std::os::unix::net::UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        std::fs::read(value(&facts, "PROBE_HOST_FILE")).unwrap();
        assert_eq!(value(&facts, "PROBE_HOST_NS").split(',').count(), NAMESPACES.len());
        drop(facts);
        assert!(!Path::new(&socket).exists());
    }
}
