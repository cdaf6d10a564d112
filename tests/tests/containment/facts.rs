//! What a probe can know only from outside: planted on the host for as long as the test runs, and told in `PROBE_*`.

use runtime_sys::terminal;
use runtime_tests::Stage;
use std::{
    fs::{self, File},
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    process::{Child, Command, Stdio},
};

/// The facts, and what must stay alive for them to be true.
#[derive(Debug)]
pub struct Facts {
    /// Variables for the probe.
    pub env: Vec<(String, String)>,
    /// The value of a variable of the launcher's own environment.
    pub canary: String,
    _tcp: TcpListener,
    _sockets: Vec<UnixListener>,
    _terminal: Option<(OwnedFd, OwnedFd)>,
    stranger: Child,
}

impl Facts {
    /// Plants them.
    pub fn gather(stage: &Stage) -> Facts {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let abstract_name = stage.path().file_name().unwrap().to_string_lossy().into_owned();
        let abstract_address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let socket = stage.open_directory().join("host.sock");
        let runtime_socket = stage.open_directory().join("api.sock");
        let sockets = vec![
            UnixListener::bind_addr(&abstract_address).unwrap(),
            UnixListener::bind(&socket).unwrap(),
            UnixListener::bind(&runtime_socket).unwrap(),
        ];
        for path in [&socket, &runtime_socket] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        let host_file = stage.open_directory().join("host-file");
        fs::write(&host_file, "of the host").unwrap();
        let stranger = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let canary = format!("canary-{}", std::process::id());
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let env = [
            ("PROBE_INSIDE", "1".to_owned()),
            ("PROBE_HOST_NS", namespaces()),
            (
                "PROBE_HOST_HOSTNAME",
                fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned(),
            ),
            ("PROBE_HOST_FILE", text(&host_file)),
            ("PROBE_HOST_PID", stranger.id().to_string()),
            ("PROBE_HOST_UIDS", format!("0,{}", stage.uid())),
            // Where the launcher keeps what it holds for the job: nothing of the job's mounts may tell.
            ("PROBE_HOST_TEXT", text(&stage.run_dir().join("instances"))),
            ("PROBE_HOST_PORT", tcp.local_addr().unwrap().port().to_string()),
            ("PROBE_ABSTRACT", abstract_name),
            ("PROBE_SOCKET_PATH", text(&socket)),
            ("PROBE_RUNTIME_SOCKET", text(&runtime_socket)),
            ("PROBE_CANARY", canary.clone()),
            // Just above what the job's limits give it.
            ("PROBE_SCRATCH_BYTES", (40_u64 << 20).to_string()),
            ("PROBE_INODES", "2500".to_owned()),
        ];
        let _terminal = plant_terminal();
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Facts { env, canary, _tcp: tcp, _sockets: sockets, _terminal, stranger }
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        self.stranger.kill().unwrap();
        self.stranger.wait().unwrap();
    }
}

/// A terminal of the host that everybody may write to, where the host has any.
fn plant_terminal() -> Option<(OwnedFd, OwnedFd)> {
    let master = terminal::open_master(c"/dev/ptmx").ok()?;
    let slave = terminal::open_slave(master.as_fd()).unwrap();
    File::from(slave.try_clone().unwrap()).set_permissions(fs::Permissions::from_mode(0o666)).unwrap();
    Some((master, slave))
}

fn namespaces() -> String {
    let entries = fs::read_dir("/proc/self/ns").unwrap();
    let links = entries.map(|entry| fs::read_link(entry.unwrap().path()).unwrap());
    links.map(|link| link.to_string_lossy().into_owned()).collect::<Vec<_>>().join(",")
}
