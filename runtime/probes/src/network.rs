//! Who can be reached: addresses outside, the host's loopback, unix sockets of the host.
//!
//! No packet is sent: connect(2) of a datagram socket only looks up a route.

use crate::{
    fact,
    kernel::{self, Outcome, errno_name},
    sys,
    verdict::{Probe, Step, Tried, breached, breached_if, broken, contained},
};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::{
        linux::net::SocketAddrExt,
        unix::{fs::FileTypeExt, net::UnixStream},
    },
    time::Duration,
};

pub const PROBES: &[Probe] = &[
    Probe::new("N01.public", "a route to a public address", "net", route).args(&[0]),
    Probe::new("N01.metadata", "a route to the metadata address", "net", route).args(&[1]),
    Probe::new("N01.private", "a route to a private address", "net", route).args(&[2]),
    Probe::new("N01.public6", "a route to a public IPv6 address", "net", route)
        .args(&[3])
        .note("a host without an IPv6 route cannot show a breach"),
    Probe::new("N01.broadcast", "a route to a multicast address", "net", route).args(&[4]),
    Probe::new("N01.interfaces", "an interface other than lo", "net", interfaces),
    Probe::new("N01.host_port", "connect to a port on the host's loopback", "net,landlock", host_port)
        .needs(&["PROBE_HOST_PORT"])
        .note("PROBE_HOST_PORT: a TCP port that listens on the host's 127.0.0.1; without the net wall landlock may refuse TCP"),
    Probe::new("E34.abstract", "connect to an abstract socket of the host", "net,landlock", abstract_socket)
        .needs(&["PROBE_ABSTRACT"])
        .note("PROBE_ABSTRACT: its name without the leading NUL; landlock scopes them from ABI 6"),
    Probe::new("E34.pathname", "connect to a socket file of the host", "mount", socket_file)
        .args(&[0])
        .needs(&["PROBE_SOCKET_PATH"])
        .note("PROBE_SOCKET_PATH: a socket of the host, mode 0666, in a directory that everybody may enter"),
    Probe::new("E35.runtime_socket", "connect to the daemon's own socket", "mount", socket_file)
        .args(&[1])
        .needs(&["PROBE_RUNTIME_SOCKET"])
        .note("PROBE_RUNTIME_SOCKET: its path; its mode refuses a stranger besides"),
    Probe::new("E35.known_sockets", "sockets of container engines, systemd or D-Bus", "mount", known_sockets)
        .note("a host that runs none of them cannot show a breach"),
];

fn route(args: &[i64]) -> Tried {
    // Documentation networks (RFC 5737, RFC 3849), the metadata address of the clouds, a private and a multicast one.
    let address: SocketAddr = match args[0] {
        0 => (Ipv4Addr::new(198, 51, 100, 1), 443).into(),
        1 => (Ipv4Addr::new(169, 254, 169, 254), 80).into(),
        2 => (Ipv4Addr::new(10, 0, 0, 1), 22).into(),
        3 => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 443).into(),
        _ => (Ipv4Addr::new(224, 0, 0, 251), 5353).into(),
    };
    match datagram_connect(address)? {
        Ok(_) => breached(format!("there is a route to {address}")),
        Err(errno @ (libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EPERM)) => {
            contained(format!("{address}: {}", errno_name(errno)))
        }
        Err(errno) => broken(format!("{address}: {}", errno_name(errno))),
    }
}

fn datagram_connect(address: SocketAddr) -> Result<Outcome, crate::verdict::Broken> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(local).step("a datagram socket")?;
    Ok(socket.connect(address).map(|()| 0).map_err(|error| error.raw_os_error().unwrap_or(0)))
}

fn interfaces(_: &[i64]) -> Tried {
    let mut names = Vec::new();
    // SIOCGIFNAME: interface numbers grow, and a private namespace has few.
    let socket =
        sys!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0).map(kernel::owned).step("socket")?;
    for index in 1..=64 {
        // SAFETY: an all-zero ifreq is a valid value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_ifru.ifru_ifindex = index;
        if sys!(libc::SYS_ioctl, &socket, libc::SIOCGIFNAME, kernel::Arg::record(&mut request)).is_ok() {
            let name = request.ifr_name.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char);
            names.push(name.collect::<String>());
        }
    }
    if names.is_empty() {
        return broken("no interface at all, not even lo");
    }
    breached_if(names.iter().any(|name| name != "lo"), format!("interfaces {names:?}"))
}

fn host_port(_: &[i64]) -> Tried {
    let port: u16 = fact("PROBE_HOST_PORT")?.parse().map_err(|_| "PROBE_HOST_PORT is no port".to_owned())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
        Ok(_) => breached(format!("connected to {address}")),
        Err(error) => contained(format!("{address}: {error}")),
    }
}

fn abstract_socket(_: &[i64]) -> Tried {
    let name = fact("PROBE_ABSTRACT")?;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).step("abstract name")?;
    match UnixStream::connect_addr(&address) {
        Ok(_) => breached(format!("connected to @{name}")),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied) => {
            contained(format!("@{name}: {error}"))
        }
        Err(error) => broken(format!("@{name}: {error}")),
    }
}

fn socket_file(args: &[i64]) -> Tried {
    let path = fact(["PROBE_SOCKET_PATH", "PROBE_RUNTIME_SOCKET"][args[0] as usize])?;
    match UnixStream::connect(&path) {
        Ok(_) => breached(format!("connected to {path}")),
        // Refused or no permission to connect still means that the host's file is in sight.
        Err(error) if error.kind() == ErrorKind::NotFound => contained(format!("{path}: {error}")),
        Err(error) if std::fs::metadata(&path).is_ok() => breached(format!("{path} is in sight: {error}")),
        Err(error) => contained(format!("{path}: {error}")),
    }
}

const KNOWN: [&str; 14] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/systemd/private",
    "/run/systemd/notify",
    "/run/systemd/journal/socket",
    "/run/dbus/system_bus_socket",
    "/run/runtime/api.sock",
    "/run/snapd.socket",
    "/var/lib/lxd/unix.socket",
    "/var/run/libvirt/libvirt-sock",
];

fn known_sockets(_: &[i64]) -> Tried {
    let found: Vec<_> = KNOWN
        .iter()
        .filter(|path| std::fs::metadata(path).is_ok_and(|facts| facts.file_type().is_socket()))
        .collect();
    breached_if(!found.is_empty(), format!("of {} sockets, present: {found:?}", KNOWN.len()))
}
