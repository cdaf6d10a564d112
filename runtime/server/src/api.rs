//! The gRPC services. A handler converts, calls one thing, converts back; wire types stop here.

mod client;
pub mod convert;
pub mod errors;
mod follow;
pub mod health;
mod input;
mod job_service;
mod logs;
mod node_service;
mod output;
mod page;
mod run;
mod token;
mod watch;

pub use client::ClientFaults;
pub use job_service::JobApi;
pub use node_service::NodeApi;

use crate::jobs::{Job, Registry, ServingState};
use crate::metrics::http::Look;
use crate::metrics::{Live, Metrics, Now, ServingWord};
use errors::{Reason, reason_of, server_restarting};
use runtime_plan::link::{Rules, Welcome};
use runtime_proto::v1;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// The largest request, in bytes: argv and environment at their bound, and room.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Level of this API; grows with every addition.
pub const API_LEVEL: u32 = 2;
/// A client that hears nothing for so long gets a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What the services need.
#[derive(Debug)]
pub struct Context {
    /// All jobs.
    pub registry: Arc<Registry>,
    /// What the launcher said at first.
    pub welcome: Arc<Welcome>,
    /// What the operator's files say now.
    pub rules: tokio::sync::watch::Receiver<Arc<Rules>>,
    /// What is counted.
    pub metrics: Metrics,
    /// What goes wrong on purpose.
    pub faults: ClientFaults,
    /// Another server takes over: streams and waits end at once.
    pub retire: tokio::sync::watch::Receiver<bool>,
}

impl Context {
    /// The record of a job as it is now.
    fn wire(job: &Job) -> v1::Job {
        // In this order: what the record says is never ahead of what is said of the log.
        let progress = job.progress().borrow().clone();
        let written = *job.written().borrow();
        convert::job_to_wire(job, &progress, &written)
    }

    /// Returns when another server takes over.
    async fn retired(&self) {
        let mut retire = self.retire.clone();
        if retire.wait_for(|retire| *retire).await.is_err() {
            // Nobody is left who could say so.
            std::future::pending::<()>().await;
        }
    }

    /// What a caller is told: when another server takes over, this one's way down is not the daemon's.
    fn say(&self, status: Status) -> Status {
        match reason_of(&status) {
            Some(reason) if self.is_retiring() && reason == Reason::ShuttingDown.name() => {
                server_restarting()
            }
            _ => status,
        }
    }

    /// Whether another server takes over.
    fn is_retiring(&self) -> bool {
        *self.retire.borrow()
    }

    /// What is true now, for the pages of numbers and of health.
    pub async fn look(&self) -> Look {
        let serving = self.registry.serving().borrow().clone();
        let counts = self.registry.counts();
        let totals = self.registry.totals();
        let now = Now {
            live: Live {
                queued: u64::from(counts.queued),
                starting: u64::from(counts.starting),
                running: u64::from(counts.running),
            },
            records: totals.records,
            output_bytes: totals.output_bytes,
            state: match serving.state {
                ServingState::Serving => ServingWord::Serving,
                ServingState::Draining => ServingWord::Draining,
                ServingState::Degraded => ServingWord::Degraded,
            },
        };
        Look { now, problems: serving.problems }
    }
}

#[cfg(test)]
mod tests;
