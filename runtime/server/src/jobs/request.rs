//! What is asked of the registry, and how it refuses.

use super::job::{Job, Presence};
use crate::store::StoreError;
use runtime_plan::spec::Spec;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A job that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to run.
    pub spec: Spec,
    /// The caller's words about it, within the bounds of the API.
    pub labels: BTreeMap<String, String>,
    /// Whose it is.
    pub org: String,
    /// Which of the waiting jobs of its org goes first: the highest.
    pub priority: i32,
    /// What happens when its last client has gone. A job that is submitted always goes on.
    pub on_disconnect: OnDisconnect,
    /// What stays when it is over.
    pub keep: Keep,
    /// Bytes of output that stay on disk; all without.
    pub keep_output_bytes: Option<u64>,
    /// Names the request: a second one with the same key is the same job.
    pub key: Option<String>,
}

impl Request {
    /// SHA-256 of all that makes two requests under one key the same. What happens on a disconnect is not among it: Run and
    /// Submit with one key are one job.
    pub(super) fn digest(&self) -> [u8; 32] {
        let Request { spec, labels, org, priority, on_disconnect: _, keep, keep_output_bytes, key } = self;
        let whole = (spec, labels, org, priority, keep, keep_output_bytes, key);
        let mut hasher = Sha256::new();
        hasher.update(b"request\0");
        match postcard::to_stdvec(&whole) {
            Ok(bytes) => hasher.update(&bytes),
            // Postcard fails on sequences without a length only, and there are none.
            Err(error) => hasher.update(error.to_string().as_bytes()),
        }
        hasher.finalize().into()
    }
}

/// What happens to a job when its last client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDisconnect {
    /// It is cancelled after a grace.
    Cancel,
    /// It is cancelled at once.
    CancelNow,
    /// It goes on.
    Continue,
}

/// What stays of a job that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// Record and output, as long as the operator keeps them.
    All,
    /// The record; the output goes 60 s after the end.
    Record,
}

/// A job that was taken, or was known.
#[derive(Debug)]
pub struct Taken {
    /// It.
    pub job: Arc<Job>,
    /// The caller is a client of it until this is dropped.
    pub presence: Presence,
    /// The key was known: this is the job of an earlier request.
    pub known: bool,
}

/// Why a job is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// As many run and wait as may.
    QueueFull {
        /// How many may run.
        running_max: u32,
        /// How many may wait.
        queued_max: u32,
    },
    /// The server is on its way down.
    ShuttingDown,
    /// The operator wants no new jobs.
    Draining,
    /// The key names another request.
    KeyConflict {
        /// The job of that request.
        job_id: String,
    },
    /// It cannot be kept.
    Store(StoreError),
}

/// Why an id names no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// There is none.
    Unknown,
    /// There are several; these are the first.
    Ambiguous(Vec<String>),
    /// The store cannot be asked.
    Store(StoreError),
}

/// Why a record is not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDeleted {
    /// There is no such job.
    Unknown,
    /// It is not over.
    NotFinished,
    /// The store cannot do it.
    Store(StoreError),
}
