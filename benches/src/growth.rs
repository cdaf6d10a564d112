//! Whether the daemon gets slower as finished jobs pile up: the same calls at stores of different sizes. One daemon for each
//! size, all of them up at once; the calls take turns, so that noise of the host meets all alike.
//!
//! Every answer has the same number of jobs at every size, so that only the search can differ.

mod calls;
mod fill;
mod place;
mod table;

pub use table::{json, text};

use crate::daemon::Daemon;
use crate::error::Error;
use crate::logs::connect;
use crate::program;
use crate::statistics::{Summary, summarize};
use calls::{Act, call};
use place::{Place, answered, let_go, prepare};
use runtime_proto::v1::{JobSpec, job_service_client::JobServiceClient};
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// Calls of each kind that are not counted.
const WARM_UP: u32 = 3;

/// What one store gave.
#[derive(Debug)]
pub struct Grown {
    /// Finished jobs in it.
    pub finished: u64,
    /// Bytes of its file.
    pub store_bytes: u64,
    /// How long it took to copy the rows.
    pub fill: Duration,
    /// The most memory that the server had, after all calls.
    pub server_peak_kib: u64,
    /// By what was done.
    pub times: Vec<(&'static str, Summary)>,
}

/// A daemon at work, and what was asked of it.
struct Target {
    daemon: Daemon,
    client: JobServiceClient<Channel>,
    samples: Vec<Vec<Duration>>,
}

/// Fills a store for each size, and measures all of them. `rounds` starts of each daemon, `samples` calls of each kind.
pub fn measure(
    runtime: &Path,
    home: &Path,
    profile: &str,
    sizes: &[u64],
    rounds: u32,
    samples: u32,
) -> Result<Vec<Grown>, Error> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio = tokio.map_err(Error::io("start the client"))?;
    let mut places = Vec::new();
    for finished in sizes {
        let home = home.join(finished.to_string());
        std::fs::create_dir(&home).map_err(Error::io("make a directory"))?;
        places.push(tokio.block_on(prepare(runtime, home, profile, *finished))?);
        eprintln!("a store of {finished} finished jobs is there");
    }
    for _round in 0..rounds {
        for place in &mut places {
            let begin = Instant::now();
            let daemon = Daemon::start(runtime, &place.home)?;
            place.starts.push(tokio.block_on(answered(&daemon, begin))?);
            daemon.stop()?;
        }
    }
    let mut targets = Vec::new();
    for place in &places {
        let daemon = Daemon::start(runtime, &place.home)?;
        let client = tokio.block_on(connect(daemon.socket()))?;
        targets.push(Target { daemon, client, samples: vec![Vec::new(); Act::ALL.len()] });
    }
    let submitted = program::choose()?.argv;
    let submitted: Vec<_> = submitted.iter().map(|word| word.as_encoded_bytes().to_vec().into()).collect();
    let submitted = JobSpec { argv: submitted, profile: profile.to_owned(), ..JobSpec::default() };
    for number in 0..samples + WARM_UP {
        for (kind, (act, _)) in Act::ALL.into_iter().enumerate() {
            for turn in 0..targets.len() {
                // Nobody is always first.
                let which = (turn + number as usize) % targets.len();
                let (target, place) = (&mut targets[which], &places[which]);
                let elapsed =
                    tokio.block_on(call(&mut target.client, number as usize, act, place, &submitted))?;
                if number >= WARM_UP {
                    target.samples[kind].push(elapsed);
                }
            }
        }
    }
    let mut grown = Vec::new();
    for (place, target) in places.into_iter().zip(targets) {
        grown.push(tokio.block_on(finish(place, target))?);
    }
    Ok(grown)
}

async fn finish(place: Place, target: Target) -> Result<Grown, Error> {
    let processes = target.daemon.memory()?;
    let server = processes.iter().find(|process| process.role == "server");
    let server_peak_kib = server.map_or(0, |server| server.peak_kib);
    let_go(target.client).await;
    target.daemon.stop()?;
    let file = place.home.join("state").join("store.sqlite");
    let store_bytes = file.metadata().map_err(Error::io("look at the store"))?.len();
    let names = Act::ALL.iter().map(|(_, name)| *name).zip(&target.samples);
    let series = std::iter::once(("start of the daemon", &place.starts)).chain(names);
    let times = series.filter_map(|(name, series)| summarize(series).map(|summary| (name, summary)));
    Ok(Grown {
        finished: place.finished,
        store_bytes,
        fill: place.fill,
        server_peak_kib,
        times: times.collect(),
    })
}
