//! `runtime upgrade`: has a daemon put the program on disk in its own place. Its jobs run on; clients reconnect by themselves.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use runtime_proto::v1::{InfoRequest, InfoResponse};
use runtime_sandbox::launcher::{places, upgrade::Note};
use runtime_sys::{clone::Pid, pidfd, poll, proc, socket};
use serde_json::Value;

use crate::args::{Global, UpgradeArgs};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::json::Object;
use crate::{client, output, request};

/// Asks a launcher for it: signal(7).
const SIGUSR2: i32 = 12;
/// Between two looks at what became of it.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks for it, waits until the next program serves, and tells both versions.
pub fn upgrade(global: Global, args: &UpgradeArgs) -> Result<u8, Error> {
    let json = global.json;
    let deadline = Instant::now() + Duration::from_millis(request::milliseconds("--timeout", &args.timeout)?);
    let endpoint = super::endpoint(global)?;
    let Endpoint::Unix(path) = &endpoint else {
        return Err(Error::Usage {
            message: "upgrade a daemon through its unix socket: --endpoint unix:PATH".to_owned(),
        });
    };
    let runtime = super::runtime()?;
    let before = runtime.block_on(info(&endpoint))?;
    let launcher = find(path)?;
    let instance = instance(&before.launcher_instance)?;
    let failed = |error: places::PlaceError| Error::Launcher { text: error.to_string() };
    Note::remove(&instance).map_err(failed)?;
    pidfd::send_signal(launcher.as_fd(), SIGUSR2).map_err(kernel("tell the daemon"))?;
    loop {
        match Note::read(&instance).map_err(failed)? {
            Some(Note::Done) => break,
            Some(Note::Refused(why)) => {
                return Err(Error::Launcher {
                    text: format!("no upgrade: {why}; the daemon runs on as it was"),
                });
            }
            None => wait(&launcher, deadline)?,
        }
    }
    let after = loop {
        // While no server is there, connections wait; one that ends in between is no answer.
        match runtime.block_on(async { tokio::time::timeout(PAUSE * 20, info(&endpoint)).await }) {
            Ok(Ok(after)) if after.server_generation > before.server_generation => break after,
            _ => wait(&launcher, deadline)?,
        }
    };
    tell(&before, &after, json)?;
    Ok(0)
}

async fn info(endpoint: &Endpoint) -> Result<InfoResponse, Error> {
    let answer = client::node(client::connect(endpoint).await?).info(InfoRequest {}).await;
    answer.map(tonic::Response::into_inner).map_err(|status| client::refused(&status))
}

/// Pauses, unless it is too late or the daemon is gone.
fn wait(launcher: &OwnedFd, deadline: Instant) -> Result<(), Error> {
    if poll::wait_readable(launcher.as_fd(), Duration::ZERO).map_err(kernel("look at the daemon"))? {
        return Err(Error::Launcher {
            text: "the daemon ended during the upgrade: its log says why".to_owned(),
        });
    }
    if Instant::now() >= deadline {
        return Err(Error::Launcher {
            text: "the daemon has not finished the upgrade in time: its log may tell, and --timeout waits longer".to_owned(),
        });
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

/// The process that listens: a daemon's launcher, which keeps its sockets through every server.
fn find(path: &Path) -> Result<OwnedFd, Error> {
    let shown = || path.display().to_string();
    let stream = UnixStream::connect(path).map_err(|error| Error::io("connect to", shown(), error))?;
    let peer = socket::peer_cred(stream.as_fd()).map_err(kernel("find the daemon"))?;
    let no_launcher = |what: &str| Error::Launcher {
        text: format!("{what} listens at {}: restart the daemon instead", shown()),
    };
    if peer.pid <= 0 {
        return Err(no_launcher("a process of another pid namespace"));
    }
    let launcher = pidfd::open(Pid(peer.pid)).map_err(kernel("find the daemon"))?;
    // A process that does not wait for the signal would be ended by it.
    let status = proc::status(Path::new("/proc"), Pid(peer.pid)).map_err(kernel("look at the daemon"))?;
    if !status.blocks(SIGUSR2) {
        return Err(no_launcher("a program that cannot be upgraded in place"));
    }
    Ok(launcher)
}

/// The launcher's directory, in which it notes what became of an upgrade.
fn instance(name: &str) -> Result<PathBuf, Error> {
    let run_dir = places::run_dir();
    // A note is removed there: not where another user leads us.
    places::has_run_dir(&run_dir).map_err(|error| Error::Launcher { text: error.to_string() })?;
    let instance = run_dir.join("instances").join(name);
    if name.is_empty() || !instance.is_dir() {
        return Err(Error::Launcher {
            text: format!("{} is not there: upgrade a daemon as the user that runs it", instance.display()),
        });
    }
    Ok(instance)
}

fn kernel(act: &'static str) -> impl Fn(runtime_sys::Error) -> Error {
    move |source| Error::Kernel { act, source }
}

fn tell(before: &InfoResponse, after: &InfoResponse, json: bool) -> Result<(), Error> {
    if json {
        let object = Object::default()
            .set("old_version", before.version.as_str())
            .set("new_version", after.version.as_str())
            .set("server_generation", after.server_generation)
            .set("launcher_pid", after.launcher_pid)
            .set("jobs_running", after.jobs_running);
        return output::print_json(&Value::from(object));
    }
    output::print(&format!(
        "upgraded from {} to {}; {} jobs run on\n",
        before.version, after.version, after.jobs_running
    ))
}
