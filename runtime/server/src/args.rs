//! What the server is started with: inherited descriptors by number, and who may talk to it.
//!
//! The launcher writes these arguments; nobody types them. Parsing takes over no descriptor and opens nothing.

use crate::jobs::Retention;
use runtime_plan::fault;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of the hidden verb `__server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerArgs {
    /// Our end of the SOCK_SEQPACKET socket to the launcher.
    pub link_fd: RawFd,
    /// Where logs go; it exists and we may write there. Absolute, or `.` when the launcher made it our working
    /// directory: then nobody has to let our uid walk the path to it.
    pub state_dir: PathBuf,
    /// Listening unix sockets, with the path that each is bound to.
    pub unix_listeners: Vec<(RawFd, PathBuf)>,
    /// Listening TCP sockets, with the address that each is bound to.
    pub tcp_listeners: Vec<(RawFd, SocketAddr)>,
    /// A stream socket that is connected already: the embedded form.
    pub connection_fd: Option<RawFd>,
    /// Gets one line of JSON when the server accepts, and is closed then.
    pub ready_fd: Option<RawFd>,
    /// Who started the daemon, and may use it.
    pub owner_uid: u32,
    /// Members of this group may use it too.
    pub socket_gid: Option<u32>,
    /// Listening sockets for the numbers, with the address that each is bound to.
    pub metrics_listeners: Vec<(RawFd, SocketAddr)>,
    /// Jobs of one org that run at the same time; as many as of all without.
    pub org_running_max: Option<u32>,
    /// What is kept of jobs that are over.
    pub retention: Retention,
    /// What goes wrong on purpose, as the operator wrote it.
    pub faults: Vec<String>,
    /// What is logged, in the syntax of tracing's EnvFilter; `None` is RUNTIME_LOG, or else the default.
    pub log_filter: Option<String>,
}

impl ServerArgs {
    /// Parses what stands behind `__server`.
    ///
    /// # Errors
    /// One sentence that names the argument.
    pub fn parse(args: &[String]) -> Result<ServerArgs, String> {
        let mut parsed = ServerArgs {
            link_fd: -1,
            state_dir: PathBuf::new(),
            unix_listeners: Vec::new(),
            tcp_listeners: Vec::new(),
            connection_fd: None,
            ready_fd: None,
            owner_uid: u32::MAX,
            socket_gid: None,
            metrics_listeners: Vec::new(),
            org_running_max: None,
            retention: Retention::default(),
            faults: Vec::new(),
            log_filter: None,
        };
        let mut rest = args.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--link-fd" => parsed.link_fd = number(name, value)?,
                "--state-dir" => parsed.state_dir = PathBuf::from(value),
                "--unix-listener-fd" => {
                    let (fd, path) = pair(name, value)?;
                    parsed.unix_listeners.push((fd, PathBuf::from(path)));
                }
                "--tcp-listener-fd" => {
                    let (fd, address) = pair(name, value)?;
                    parsed.tcp_listeners.push((fd, number(name, address)?));
                }
                "--connection-fd" => parsed.connection_fd = Some(number(name, value)?),
                "--ready-fd" => parsed.ready_fd = Some(number(name, value)?),
                "--owner-uid" => parsed.owner_uid = number(name, value)?,
                "--socket-gid" => parsed.socket_gid = Some(number(name, value)?),
                "--metrics-listener-fd" => {
                    let (fd, address) = pair(name, value)?;
                    parsed.metrics_listeners.push((fd, number(name, address)?));
                }
                "--org-running-max" => parsed.org_running_max = Some(at_least_one(name, value)?),
                "--retention-age-s" => parsed.retention.age = Duration::from_secs(number(name, value)?),
                "--retention-records" => parsed.retention.records = number(name, value)?,
                "--retention-output-bytes" => parsed.retention.output_bytes = number(name, value)?,
                "--fault" => {
                    fault::parse(value).map_err(|error| format!("{name}: {error}"))?;
                    parsed.faults.push(value.clone());
                }
                "--log" => parsed.log_filter = Some(value.clone()),
                _ => return Err(format!("{name} is no argument of the server")),
            }
        }
        parsed.check()
    }

    /// Whether there is one client only, with which everything goes.
    pub fn is_embedded(&self) -> bool {
        self.unix_listeners.is_empty() && self.tcp_listeners.is_empty()
    }

    fn check(self) -> Result<ServerArgs, String> {
        if self.link_fd < 0 {
            return Err("--link-fd is missing".to_owned());
        }
        if !self.state_dir.is_absolute() && self.state_dir != Path::new(".") {
            return Err("--state-dir must be an absolute path, or `.`".to_owned());
        }
        if self.owner_uid == u32::MAX {
            return Err("--owner-uid is missing".to_owned());
        }
        if self.unix_listeners.is_empty() && self.tcp_listeners.is_empty() && self.connection_fd.is_none() {
            return Err("there is nothing to serve: no listener and no connection".to_owned());
        }
        if let Some((_, address)) = self.tcp_listeners.iter().find(|(_, address)| !address.ip().is_loopback())
        {
            return Err(format!(
                "{address} is not a loopback address: TCP has no identity of the caller yet"
            ));
        }
        if !self.faults.is_empty() && !self.tcp_listeners.is_empty() {
            return Err("faults are for unix sockets only".to_owned());
        }
        Ok(self)
    }
}

fn at_least_one(name: &str, value: &str) -> Result<u32, String> {
    match number(name, value)? {
        0 => Err(format!("{name} must be at least 1")),
        one_or_more => Ok(one_or_more),
    }
}

fn number<N: std::str::FromStr>(name: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("{name} does not take {value:?}"))
}

fn pair<'a>(name: &str, value: &'a str) -> Result<(RawFd, &'a str), String> {
    let (fd, rest) = value.split_once('=').ok_or_else(|| format!("{name} takes N=WHAT, not {value:?}"))?;
    Ok((number(name, fd)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<ServerArgs, String> {
        ServerArgs::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_argument_is_taken() {
        let line = "--link-fd 5 --state-dir /s --unix-listener-fd 6=/run/a=b.sock --tcp-listener-fd 7=127.0.0.1:80 \
                    --connection-fd 8 --ready-fd 9 --owner-uid 0 --socket-gid 12 --log debug --metrics-listener-fd 10=0.0.0.0:9 \
                    --org-running-max 3 --retention-age-s 60 --retention-records 7 --retention-output-bytes 99";
        let args = parse(line).unwrap();
        assert_eq!(args.link_fd, 5);
        assert_eq!(args.unix_listeners, [(6, PathBuf::from("/run/a=b.sock"))]);
        assert_eq!(args.tcp_listeners, [(7, "127.0.0.1:80".parse().unwrap())]);
        assert_eq!((args.connection_fd, args.ready_fd), (Some(8), Some(9)));
        assert_eq!((args.owner_uid, args.socket_gid), (0, Some(12)));
        assert_eq!(args.log_filter.as_deref(), Some("debug"));
        assert_eq!(args.metrics_listeners, [(10, "0.0.0.0:9".parse().unwrap())]);
        assert_eq!(args.org_running_max, Some(3));
        let kept = Retention { age: Duration::from_secs(60), records: 7, output_bytes: 99 };
        assert_eq!(args.retention, kept);
    }

    #[test]
    fn faults_are_taken_as_they_were_written() {
        let args = parse(
            "--link-fd 5 --state-dir . --owner-uid 0 --connection-fd 8 --fault crash-at=started --fault slow-reader=1s",
        );
        assert_eq!(args.unwrap().faults, ["crash-at=started", "slow-reader=1s"]);
    }

    #[test]
    fn the_working_directory_can_be_the_state_directory() {
        assert!(parse("--link-fd 5 --state-dir . --owner-uid 0 --connection-fd 8").is_ok());
    }

    #[test]
    fn what_is_missing_or_open_to_the_network_is_refused() {
        for (line, word) in [
            ("--state-dir /s --owner-uid 0 --connection-fd 8", "--link-fd"),
            ("--link-fd 5 --state-dir s --owner-uid 0 --connection-fd 8", "absolute"),
            ("--link-fd 5 --state-dir /s --connection-fd 8", "--owner-uid"),
            ("--link-fd 5 --state-dir /s --owner-uid 0", "nothing to serve"),
            ("--link-fd 5 --state-dir /s --owner-uid 0 --tcp-listener-fd 7=0.0.0.0:80", "loopback"),
            (
                "--link-fd 5 --state-dir /s --owner-uid 0 --tcp-listener-fd 7=127.0.0.1:80 --fault oom=1",
                "unix sockets only",
            ),
            ("--fault crash", "NAME=VALUE"),
            ("--org-running-max 0", "at least 1"),
            ("--link-fd x", "does not take"),
            ("--link-fd", "needs a value"),
            ("--shell yes", "no argument"),
        ] {
            assert!(parse(line).unwrap_err().contains(word), "{line}");
        }
    }
}
