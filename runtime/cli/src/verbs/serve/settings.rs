//! Flags and file brought together: what a daemon is to do. The flag stands before the key.
//!
//! Pure but for [`read`], which reads the file.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime_plan::daemon_config::{self, DaemonConfig};
use runtime_plan::source::SourceFile;
use runtime_plan::{fault, quantity};
use runtime_sandbox::launcher::FaultOption;

use crate::args::ServeArgs;
use crate::error::Error;
use crate::places::Surroundings;

/// No file of settings is larger.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Its name below the configuration's directory.
const FILE: &str = "runtime.toml";

/// What a daemon is to do, besides its sockets.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; empty is the default socket.
    pub listen: Vec<OsString>,
    /// Plain HTTP on loopback is allowed.
    pub insecure_tcp: bool,
    /// Where jobs are kept; `None` is the default.
    pub state_dir: Option<PathBuf>,
    /// Members may use the sockets.
    pub socket_group: Option<String>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// How long jobs may go on after TERM.
    pub drain_timeout: Duration,
    /// What the server alone has to know, as its arguments.
    pub server_args: Vec<String>,
    /// What goes wrong on purpose.
    pub faults: Vec<FaultOption>,
}

/// The file that counts: the one that was named, else the default one where it is there. With faults only a named one, which is
/// then refused: no fault may ever meet an operator's settings.
pub fn read(args: &ServeArgs, surroundings: &Surroundings) -> Result<DaemonConfig, Error> {
    let path = match &args.config {
        Some(path) if !args.fault.is_empty() => {
            let message = format!(
                "--fault is for tests and takes no file of settings: leave out --config {}",
                path.display()
            );
            return Err(Error::Usage { message });
        }
        Some(path) => Some(path.clone()),
        None if !args.fault.is_empty() => None,
        None => surroundings.config_dir().map(|directory| directory.join(FILE)).filter(|path| path.is_file()),
    };
    path.map_or_else(|| Ok(DaemonConfig::default()), |path| read_file(&path))
}

fn read_file(path: &Path) -> Result<DaemonConfig, Error> {
    let shown = path.display().to_string();
    let failed = |message: String| Error::Config { message };
    let bytes = runtime_sys::file::read_all_bounded(path, FILE_BYTES_MAX)
        .map_err(|error| failed(format!("failed to read the settings {shown}: {}", error.errno)))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(format!("the settings {shown} are not UTF-8")))?;
    daemon_config::parse(&SourceFile { path: shown, text }).map_err(|errors| failed(errors.to_string()))
}

/// The flags before the file.
pub fn merge(args: &ServeArgs, file: DaemonConfig) -> Result<Settings, Error> {
    let listen = match file.listen {
        Some(listen) if args.listen.is_empty() => listen.into_iter().map(OsString::from).collect(),
        _ => args.listen.clone(),
    };
    let drain = time("--drain-timeout", &args.drain_timeout, daemon_config::check_drain)?;
    let metrics = args.metrics_listen.clone().or(file.metrics_listen);
    Ok(Settings {
        listen,
        insecure_tcp: args.insecure_tcp || file.insecure_tcp.unwrap_or(false),
        state_dir: args.state_dir.clone().or(file.state_dir.map(PathBuf::from)),
        socket_group: args.socket_group.clone().or(file.socket_group),
        metrics: metrics.as_deref().map(address).transpose()?,
        drain_timeout: Duration::from_millis(drain.or(file.drain_timeout_ms).unwrap_or(0)),
        server_args: [
            server_arg(
                "--retention-age-s",
                time("--keep-for", &args.keep_for, daemon_config::check_age)?
                    .or(file.retention.age_ms)
                    .map(|age| age.div_ceil(1_000)),
            ),
            server_arg(
                "--retention-records",
                flag("--keep-records", args.keep_records, daemon_config::check_records)?
                    .or(file.retention.records),
            ),
            server_arg(
                "--retention-output-bytes",
                size("--keep-output", &args.keep_output)?.or(file.retention.output_bytes),
            ),
            server_arg(
                "--org-running-max",
                flag("--jobs-per-org", args.jobs_per_org.map(u64::from), daemon_config::check_jobs_running)?
                    .or(file.org_jobs_running_max),
            ),
        ]
        .concat(),
        faults: args.fault.iter().map(|text| parse_fault(text)).collect::<Result<_, _>>()?,
    })
}

fn server_arg(name: &str, value: Option<impl ToString>) -> Vec<String> {
    value.map(|value| vec![name.to_owned(), value.to_string()]).unwrap_or_default()
}

fn time(
    name: &str,
    text: &Option<String>,
    check: fn(u64) -> Result<u64, String>,
) -> Result<Option<u64>, Error> {
    let Some(text) = text else { return Ok(None) };
    let checked = quantity::parse_duration(text).map_err(|error| error.to_string());
    let checked = checked.and_then(|time| check(time).map_err(|bounds| format!("{text:?} {bounds}")));
    checked.map(Some).map_err(|message| Error::Usage { message: format!("{name}: {message}") })
}

fn size(name: &str, text: &Option<String>) -> Result<Option<u64>, Error> {
    text.as_deref().map(|text| crate::request::size(name, text)).transpose()
}

fn flag<T>(name: &str, value: Option<u64>, check: fn(u64) -> Result<T, String>) -> Result<Option<T>, Error> {
    let wrong = |value, bounds| Error::Usage { message: format!("{name} {value} {bounds}") };
    value.map(|value| check(value).map_err(|bounds| wrong(value, bounds))).transpose()
}

/// `HOST:PORT`; `localhost` and addresses, no other name: a name that turns elsewhere must not move a port.
fn address(text: &str) -> Result<SocketAddr, Error> {
    let text = text.trim();
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let text = local.as_deref().unwrap_or(text);
    text.parse().map_err(|_| Error::Usage {
        message: format!(
            "--metrics-listen {text}: write an address and a port, for example 127.0.0.1:9464 or [::1]:9464"
        ),
    })
}

fn parse_fault(text: &str) -> Result<FaultOption, Error> {
    let parsed = fault::parse(text).map_err(|error| Error::Usage { message: format!("--fault: {error}") })?;
    Ok(FaultOption { text: text.to_owned(), fault: parsed })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
