//! Socket families, protocols and options that reach code of the kernel that no job needs.
//!
//! A host may lack a family's module, and then says what the filter says. So each is asked for a second time with a type that
//! does not exist: the kernel answers EINVAL before it looks for the family, the filter answers as before.

use crate::{
    kernel::{self, Outcome, errno_name},
    sys,
    verdict::{Probe, Step, Tried, breached, contained, unreached},
};

const STREAM: i64 = libc::SOCK_STREAM as i64;
const DGRAM: i64 = libc::SOCK_DGRAM as i64;
const RAW: i64 = libc::SOCK_RAW as i64;
const SEQPACKET: i64 = libc::SOCK_SEQPACKET as i64;
const INET: i64 = libc::AF_INET as i64;
const INET6: i64 = libc::AF_INET6 as i64;
const NETLINK: i64 = libc::AF_NETLINK as i64;
const SECCOMP: &str = "seccomp";
/// Raw and packet sockets: refused by the filter, and to a job without CAP_NET_RAW.
const RAW_WALLS: &str = "seccomp,capabilities";

/// A probe for one family.
const fn surface(id: &'static str, name: &'static str, args: &'static [i64]) -> Probe {
    Probe::new(id, name, SECCOMP, family).args(args)
}

pub const PROBES: &[Probe] = &[
    surface("E19.af_alg", "AF_ALG", &[38, SEQPACKET, 0]),
    surface("E20.netlink_xfrm", "NETLINK_XFRM", &[NETLINK, RAW, 6]),
    surface("E20.rxrpc", "AF_RXRPC", &[33, DGRAM, 2]),
    surface("E20.key", "AF_KEY", &[15, RAW, 2]),
    Probe::new("E20.udp_encap", "setsockopt(UDP_ENCAP)", SECCOMP, option).args(&[DGRAM, 17, 100, 2]),
    Probe::new("E20.tcp_ulp", "setsockopt(TCP_ULP)", SECCOMP, option).args(&[STREAM, 6, 31, 0x73_6c74]),
    Probe::new("E20.attach_filter", "setsockopt(SO_ATTACH_FILTER)", SECCOMP, option).args(&[DGRAM, 1, 26, 0]),
    Probe::new("E20.attach_bpf", "setsockopt(SO_ATTACH_BPF)", SECCOMP, option).args(&[DGRAM, 1, 50, -1]),
    Probe::new("E20.attach_reuseport_cbpf", "setsockopt(SO_ATTACH_REUSEPORT_CBPF)", SECCOMP, option)
        .args(&[DGRAM, 1, 51, 0]),
    Probe::new("E20.attach_reuseport_ebpf", "setsockopt(SO_ATTACH_REUSEPORT_EBPF)", SECCOMP, option)
        .args(&[DGRAM, 1, 52, -1]),
    surface("E22.ax25", "AF_AX25", &[3, DGRAM, 0]),
    surface("E22.ipx", "AF_IPX", &[4, DGRAM, 0]),
    surface("E22.appletalk", "AF_APPLETALK", &[5, DGRAM, 0]),
    surface("E22.netrom", "AF_NETROM", &[6, SEQPACKET, 0]),
    surface("E22.atmpvc", "AF_ATMPVC", &[8, DGRAM, 0]),
    surface("E22.x25", "AF_X25", &[9, SEQPACKET, 0]),
    surface("E22.rose", "AF_ROSE", &[11, SEQPACKET, 0]),
    surface("E22.rds", "AF_RDS", &[21, SEQPACKET, 0]),
    surface("E22.pppox", "AF_PPPOX", &[24, STREAM, 0]),
    surface("E22.llc", "AF_LLC", &[26, STREAM, 0]),
    surface("E22.ib", "AF_IB", &[27, STREAM, 0]),
    surface("E22.mpls", "AF_MPLS", &[28, DGRAM, 0]),
    surface("E22.can", "AF_CAN", &[29, RAW, 1]),
    surface("E22.tipc", "AF_TIPC", &[30, SEQPACKET, 0]),
    surface("E22.bluetooth", "AF_BLUETOOTH", &[31, RAW, 1]),
    surface("E22.iucv", "AF_IUCV", &[32, STREAM, 0]),
    surface("E22.phonet", "AF_PHONET", &[35, DGRAM, 0]),
    surface("E22.ieee802154", "AF_IEEE802154", &[36, DGRAM, 0]),
    surface("E22.caif", "AF_CAIF", &[37, STREAM, 0]),
    surface("E22.nfc", "AF_NFC", &[39, RAW, 0]),
    surface("E22.vsock", "AF_VSOCK", &[40, STREAM, 0]),
    surface("E22.kcm", "AF_KCM", &[41, DGRAM, 0]),
    surface("E22.qipcrtr", "AF_QIPCRTR", &[42, DGRAM, 0]),
    surface("E22.smc", "AF_SMC", &[43, STREAM, 0]),
    surface("E22.xdp", "AF_XDP", &[44, RAW, 0]),
    surface("E22.mctp", "AF_MCTP", &[45, DGRAM, 0]),
    surface("E22.netlink_sock_diag", "NETLINK_SOCK_DIAG", &[NETLINK, RAW, 4]),
    surface("E22.netlink_nflog", "NETLINK_NFLOG", &[NETLINK, RAW, 5]),
    surface("E22.netlink_audit", "NETLINK_AUDIT", &[NETLINK, RAW, 9]),
    surface("E22.netlink_connector", "NETLINK_CONNECTOR", &[NETLINK, RAW, 11]),
    surface("E22.netlink_netfilter", "NETLINK_NETFILTER", &[NETLINK, RAW, 12]),
    surface("E22.netlink_uevent", "NETLINK_KOBJECT_UEVENT", &[NETLINK, RAW, 15]),
    surface("E22.netlink_generic", "NETLINK_GENERIC", &[NETLINK, RAW, 16]),
    surface("E22.netlink_crypto", "NETLINK_CRYPTO", &[NETLINK, RAW, 21]),
    surface("E22.sctp", "SCTP", &[INET, STREAM, 132]),
    surface("E22.dccp", "DCCP", &[INET, 6, 33]),
    surface("E22.udplite", "UDP-Lite", &[INET, DGRAM, 136]),
    surface("E22.mptcp", "MPTCP", &[INET, STREAM, 262]),
    surface("E22.icmp", "ICMP over a datagram socket", &[INET, DGRAM, 1]),
    Probe::new("E22.raw", "raw IPv4", RAW_WALLS, real).args(&[INET, RAW, 1]),
    Probe::new("E22.raw6", "raw IPv6", RAW_WALLS, real).args(&[INET6, RAW, 58]),
    Probe::new("E22.packet", "packet socket", RAW_WALLS, real).args(&[17, RAW, 0x0300]),
    Probe::new("E22.packet_dgram", "packet socket, cooked", RAW_WALLS, real).args(&[17, DGRAM, 0x0300]),
    Probe::new("E22.socketpair", "socketpair of a family that has none", SECCOMP, pair),
];

/// The filter's answer; EPERM and EACCES are the kernel's to a job without the capability.
const REFUSALS: &[i32] = &[libc::EAFNOSUPPORT, libc::EPERM, libc::EACCES];
/// SOCK_MAX is 11 (include/linux/net.h): no such type.
const NO_TYPE: i64 = 15;

fn socket(family: i64, kind: i64, protocol: i64) -> Outcome {
    sys!(libc::SYS_socket, family, kind, protocol).map(|fd| {
        drop(kernel::owned(fd));
        0
    })
}

fn real(args: &[i64]) -> Tried {
    unreached(
        &format!("socket({}, {}, {})", args[0], args[1], args[2]),
        socket(args[0], args[1], args[2]),
        REFUSALS,
    )
}

fn family(args: &[i64]) -> Tried {
    let act = format!("socket({}, {}, {})", args[0], args[1], args[2]);
    let first = socket(args[0], args[1], args[2]);
    let Err(errno) = first else { return breached(format!("{act} succeeded")) };
    match socket(args[0], NO_TYPE, args[2]) {
        Err(libc::EINVAL) => breached(format!(
            "{act}: {}, but the kernel was asked: nothing stops it on a kernel that has it",
            errno_name(errno)
        )),
        Err(second) if REFUSALS.contains(&errno) && REFUSALS.contains(&second) => {
            contained(format!("{act}: {}", errno_name(errno)))
        }
        second => {
            breached(format!("{act}: the kernel's handler answered {}, then {second:?}", errno_name(errno)))
        }
    }
}

fn option(args: &[i64]) -> Tried {
    let socket = sys!(libc::SYS_socket, libc::AF_INET, args[0], 0).map(kernel::owned).step("socket")?;
    let act = format!("setsockopt({}, {})", args[1], args[2]);
    // A number, an fd, the letters "tls", or a program of no length: the filter does not look at it.
    let mut value = [args[3] as i32, 0, 0, 0];
    let length = if args[2] == 26 || args[2] == 51 { 16 } else { 4 };
    let outcome = sys!(libc::SYS_setsockopt, &socket, args[1], args[2], value.as_mut_slice(), length);
    unreached(&act, outcome, &[libc::ENOPROTOOPT, libc::EPERM])
}

fn pair(_: &[i64]) -> Tried {
    let mut fds = [0i32; 2];
    let outcome = sys!(libc::SYS_socketpair, 30, NO_TYPE, 0, fds.as_mut_slice());
    unreached("socketpair(AF_TIPC)", outcome, REFUSALS)
}
