//! Serves: the gRPC API, jobs and their logs. It parses what strangers send, so it holds no privilege: it confines
//! itself first, and asks the launcher for everything that needs one.
//!
//! ```text
//! client ─ gRPC ─▶ api ─▶ jobs ─▶ link ─▶ launcher
//!    ▲              │      ▲ └──▶ store   ◀─ pipes, reports, jobs of earlier servers
//!    └── output ── logs ◀──┘ (pipes are spliced into files; readers follow the files)
//! ```

pub mod api;
mod args;
mod confine;
mod faults;
mod jobs;
mod link;
mod listen;
pub mod logs;
mod metrics;
mod peer;
mod serve;
pub mod store;

pub use args::ServerArgs;

use listen::{Connection, Listener};
use peer::Allowed;
use runtime_sys::inherit::adopt_fd;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Threads that serve: bytes go through the kernel, so few are enough.
const WORKERS_MAX: usize = 4;

/// Why the server could not start, or ended.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("failed to take over descriptor {number}: {source}")]
    Adopt { number: i32, source: runtime_sys::Error },
    #[error("failed to name the process: {0}")]
    Name(runtime_sys::Error),
    #[error(transparent)]
    Confine(#[from] confine::ConfineError),
    #[error(transparent)]
    Link(#[from] link::LinkError),
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Fault(#[from] runtime_plan::fault::FaultError),
    #[error("failed to start the threads of the server: {0}")]
    Threads(std::io::Error),
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
}

/// Becomes the server of this process, which has one thread so far. Returns the exit status: 0 after an orderly end,
/// 1 when something failed, which it says on stderr.
pub fn run(args: ServerArgs) -> i32 {
    start_log(&args);
    match try_run(args) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error}");
            eprintln!("runtime: server: {error}");
            1
        }
    }
}

/// The log goes to stderr. By default it tells about the daemon, and nothing in the embedded form, where stderr
/// belongs to the command.
fn start_log(args: &ServerArgs) {
    let filter = match (&args.log_filter, std::env::var("RUNTIME_LOG")) {
        (Some(filter), _) => filter.clone(),
        (None, Ok(filter)) => filter,
        (None, Err(_)) if args.is_embedded() => "off".to_owned(),
        (None, Err(_)) => "info".to_owned(),
    };
    // The frames of HTTP/2 are nobody's business unless they are asked for by name.
    let filter = format!("h2=warn,hyper=warn,hyper_util=warn,tower=warn,tonic=warn,{filter}");
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_ansi(coloured)
        .with_writer(std::io::stderr)
        .with_target(false)
        .finish();
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!("the log is set up already");
    }
}

/// What was inherited, taken over.
struct Inherited {
    link: OwnedFd,
    unix: Vec<(OwnedFd, PathBuf)>,
    tcp: Vec<OwnedFd>,
    metrics: Vec<OwnedFd>,
    connection: Option<OwnedFd>,
    ready: Option<OwnedFd>,
}

fn try_run(args: ServerArgs) -> Result<(), RunError> {
    let inherited = adopt(&args)?;
    // The program was started through a link, which would be its name in ps(1).
    runtime_sys::process::set_name(c"runtime-server").map_err(RunError::Name)?;
    let confined = confine::confine(&args.state_dir)?;
    match confined {
        Some(landlock) => tracing::debug!(abi = landlock.abi, full = landlock.fully_enforced, "confined"),
        None => {
            tracing::warn!("this kernel has no landlock: the server is held by its uid and its filter only")
        }
    }
    let welcome = link::greet(&inherited.link)?;
    let faults = faults::Faults::new(&args.faults, welcome.generation, &args.state_dir)?;
    let metrics = metrics::Metrics::new();
    let store = open_store(&args.state_dir, args.is_embedded(), &welcome, &faults)?;
    let workers = runtime_sys::process::allowed_cpus().unwrap_or(1).clamp(1, WORKERS_MAX);
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("runtime-server")
        .enable_all()
        .build()
        .map_err(RunError::Threads)?;
    let served = threads.block_on(serve(&args, inherited, Kept { welcome, store, faults, metrics }));
    threads.shutdown_background();
    served
}

fn adopt(args: &ServerArgs) -> Result<Inherited, RunError> {
    let adopt = |number| adopt_fd(number).map_err(|source| RunError::Adopt { number, source });
    let unix = args.unix_listeners.iter().map(|(number, path)| Ok((adopt(*number)?, path.clone())));
    let tcp = args.tcp_listeners.iter().map(|(number, _)| adopt(*number));
    let metrics = args.metrics_listeners.iter().map(|(number, _)| adopt(*number));
    Ok(Inherited {
        link: adopt(args.link_fd)?,
        unix: unix.collect::<Result<_, RunError>>()?,
        tcp: tcp.collect::<Result<_, RunError>>()?,
        metrics: metrics.collect::<Result<_, RunError>>()?,
        connection: args.connection_fd.map(adopt).transpose()?,
        ready: args.ready_fd.map(adopt).transpose()?,
    })
}

/// Opens the records of jobs. The launcher has locked the state directory for us.
fn open_store(
    state_dir: &Path,
    passing: bool,
    welcome: &runtime_plan::link::Welcome,
    faults: &faults::Faults,
) -> Result<store::Store, store::StoreError> {
    let asked = faults.clone();
    let fault: store::FaultHook =
        Arc::new(move |_| asked.before_store_write().is_err().then_some(store::FaultKind::NoSpace));
    let options = store::StoreOptions {
        boot_id: welcome.launcher.boot_id.clone(),
        passing,
        fault: (!faults.texts().is_empty()).then_some(fault),
    };
    store::Store::open(state_dir, options)
}

/// What is there before the first task.
struct Kept {
    welcome: runtime_plan::link::Welcome,
    store: store::Store,
    faults: faults::Faults,
    metrics: metrics::Metrics,
}

async fn serve(args: &ServerArgs, inherited: Inherited, kept: Kept) -> Result<(), RunError> {
    let Kept { welcome, store, faults, metrics } = kept;
    ignore_signals().map_err(serve::ServeError::Socket)?;
    let (link, notices, handovers) = link::Link::start(inherited.link)?;
    let unix = inherited.unix.into_iter().map(|(fd, path)| Listener::unix(fd, path));
    let tcp = inherited.tcp.into_iter().map(Listener::tcp);
    let listeners: Vec<Listener> =
        unix.chain(tcp).collect::<std::io::Result<_>>().map_err(serve::ServeError::Socket)?;
    let numbers = inherited.metrics.into_iter().map(metrics::http::listener);
    let connection = inherited.connection.map(|fd| Connection::connected(fd, args.owner_uid));
    let parts = jobs::Parts {
        link,
        store,
        state_dir: args.state_dir.clone(),
        passing: args.is_embedded(),
        org_running_max: args.org_running_max,
        retention: args.retention,
        faults,
        metrics,
    };
    let service = serve::Service {
        parts,
        notices,
        handovers,
        welcome,
        metrics_listeners: numbers.collect::<std::io::Result<_>>().map_err(serve::ServeError::Socket)?,
        allowed: Allowed { owner_uid: args.owner_uid, socket_gid: args.socket_gid },
        listeners,
        connection: connection.transpose().map_err(serve::ServeError::Socket)?,
    };
    Ok(service.open().await?.serve(|endpoints| tell_ready(inherited.ready, endpoints)).await?)
}

/// TERM and INT may reach the whole process group; the launcher alone decides what they mean.
fn ignore_signals() -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        let mut stream = signal(kind)?;
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                tracing::debug!(signal = kind.as_raw_value(), "left to the launcher");
            }
        });
    }
    Ok(())
}

/// One line of JSON to whoever waits for us.
fn tell_ready(ready: Option<OwnedFd>, endpoints: &[String]) -> std::io::Result<()> {
    tracing::info!(?endpoints, "accepting");
    let Some(ready) = ready else { return Ok(()) };
    let line = serde_json::json!({ "endpoints": endpoints });
    writeln!(File::from(ready), "{line}")
}

#[cfg(test)]
mod tests;
