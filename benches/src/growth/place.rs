//! A state directory of one size, filled before its daemon starts, and the ways into its depth.

use super::calls::{OUTPUT_BYTES, submit, wait};
use super::fill::{GROUPS, LABEL, fill};
use crate::daemon::Daemon;
use crate::error::Error;
use crate::logs::connect;
use runtime_proto::v1::{InfoRequest, JobSpec, ListRequest, node_service_client::NodeServiceClient};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;

/// Jobs on the pages that lead into the middle of a store.
const STRIDE: u64 = 1_000;
/// Characters of an id that name a job: `job-`, the time, and six more.
const PREFIX: usize = 20;
/// For a connection to end.
const LET_GO: Duration = Duration::from_millis(20);

/// A filled state directory.
#[derive(Debug)]
pub struct Place {
    /// Finished jobs in it.
    pub finished: u64,
    /// What its daemon has for itself.
    pub home: PathBuf,
    /// The jobs that really ran.
    pub ran: Vec<String>,
    /// At every thousandth job of the younger half, or in the middle of a small store; not empty.
    pub inside: Vec<Inside>,
    /// How long it took to copy the rows.
    pub fill: Duration,
    /// How long its daemon took to start, each time.
    pub starts: Vec<Duration>,
}

/// Two places deep inside of a list, half a thousand jobs apart.
#[derive(Debug)]
pub struct Inside {
    /// Of a page.
    pub token: String,
    /// Of a job's id.
    pub prefix: String,
}

/// A state directory of this size: a few jobs run, the daemon ends, and their rows are copied. A second daemon tells the
/// places, so that the one that is measured has sent no large page.
pub async fn prepare(runtime: &Path, home: PathBuf, profile: &str, finished: u64) -> Result<Place, Error> {
    let daemon = Daemon::start(runtime, &home)?;
    let mut client = connect(daemon.socket()).await?;
    let argv = ["/usr/bin/head", "-c", &OUTPUT_BYTES.to_string(), "/dev/zero"];
    let argv = argv.map(|word| word.as_bytes().to_vec().into()).to_vec();
    let mut ran = Vec::new();
    for group in GROUPS {
        let labels = HashMap::from([(LABEL.to_owned(), group.to_owned())]);
        let spec = JobSpec { argv: argv.clone(), profile: profile.to_owned(), labels, ..JobSpec::default() };
        let id = submit(&mut client, spec).await?;
        wait(&mut client, &id).await?;
        ran.push(id);
    }
    let_go(client).await;
    daemon.stop()?;
    let begin = Instant::now();
    fill(&home.join("state"), &ran, finished).await?;
    let took = begin.elapsed();
    let daemon = Daemon::start(runtime, &home)?;
    let inside = inside(&daemon, finished).await?;
    daemon.stop()?;
    Ok(Place { finished, home, ran, inside, fill: took, starts: Vec::new() })
}

/// How long it took until the first call was answered.
pub async fn answered(daemon: &Daemon, begin: Instant) -> Result<Duration, Error> {
    let endpoint = Endpoint::from_shared(format!("unix:{}", daemon.socket().display()))?;
    let mut client = NodeServiceClient::new(endpoint.connect().await?);
    client.info(InfoRequest {}).await?;
    let elapsed = begin.elapsed();
    let_go(client).await;
    Ok(elapsed)
}

/// Ends a connection. A daemon that stops would wait for it.
pub async fn let_go<T>(client: T) {
    drop(client);
    // The connection is a task of this thread, which needs a turn to notice.
    tokio::time::sleep(LET_GO).await;
}

/// Goes into the middle of the list, page by page as any client must.
async fn inside(daemon: &Daemon, finished: u64) -> Result<Vec<Inside>, Error> {
    let mut client = connect(daemon.socket()).await?;
    let (mut inside, mut token, mut seen) = (Vec::new(), String::new(), 0);
    while seen < finished / 2 {
        let page_size = u32::try_from(STRIDE.min(finished / 2 - seen)).unwrap_or(1);
        let request = ListRequest { page_size, page_token: token, ..ListRequest::default() };
        let page = client.list(request).await?.into_inner();
        // Far from the token, so that the page there does not bring it into a cache.
        let named = page.jobs.get(page.jobs.len() / 2).filter(|_| !page.next_page_token.is_empty());
        let named = named.ok_or_else(|| Error::Job(format!("the list ends after {seen} jobs")))?;
        let prefix = named.job_id.chars().take(PREFIX).collect();
        seen += page.jobs.len() as u64;
        token = page.next_page_token;
        inside.push(Inside { token: token.clone(), prefix });
    }
    let_go(client).await;
    Ok(inside)
}
