//! What is asked of the registry, and how it refuses.

use super::job::{Job, Presence};
use super::seal::Seal;
use crate::store::StoreError;
use runtime_plan::spec::{Spec, UncheckedSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

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
    /// What makes two requests under one key the same, in two halves: a digest of everything but the values of variables, and
    /// one of the values that nobody can compare guesses with who has not the launcher's key. What happens on a disconnect is
    /// not among it: Run and Submit with one key are one job.
    pub(super) fn digest(&self, seal: &Seal) -> [u8; 32] {
        let Request { spec, labels, org, priority, on_disconnect: _, keep, keep_output_bytes, key } = self;
        let mut plain = UncheckedSpec::from(spec.clone());
        let values: Vec<Zeroizing<Vec<u8>>> =
            plain.env.iter_mut().map(|(_, value)| Zeroizing::new(std::mem::take(value))).collect();
        let whole = (plain, labels, org, priority, keep, keep_output_bytes, key);
        let mut hasher = Sha256::new();
        hasher.update(b"request\0");
        match postcard::to_stdvec(&whole) {
            Ok(bytes) => hasher.update(&bytes),
            // Postcard fails on sequences without a length only, and there are none.
            Err(error) => hasher.update(error.to_string().as_bytes()),
        }
        let mut digest: [u8; 32] = hasher.finalize().into();
        digest[PLAIN_BYTES..].copy_from_slice(&seal.mark(values.iter().map(|value| value.as_slice())));
        digest
    }

    /// Whether a digest that was made under this launcher, or under another one, is of the same request. Values cannot be
    /// compared once the launcher that knew the key is gone.
    pub(super) fn is_same(&self, digest: &[u8; 32], same_launcher: bool, seal: &Seal) -> bool {
        let mine = self.digest(seal);
        let compared = if same_launcher { mine.len() } else { PLAIN_BYTES };
        mine[..compared] == digest[..compared]
    }
}

/// Bytes of a request's digest that are of everything but the values of variables.
const PLAIN_BYTES: usize = 16;

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

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_plan::link::SealKey;

    fn with_value(value: &str) -> Request {
        let request = crate::tests::harness::request("true");
        let env = vec![(b"PIN".to_vec(), value.as_bytes().to_vec())];
        let spec = Spec::check(UncheckedSpec { env, ..request.spec.clone().into() }).unwrap();
        Request { spec, key: Some("k".to_owned()), ..request }
    }

    #[test]
    fn another_value_is_another_request_and_no_guess_can_be_tried_without_the_key() {
        let (seal, other) = (Seal::take(&mut SealKey([7; 32])), Seal::take(&mut SealKey([8; 32])));
        let digest = with_value("1234").digest(&seal);
        assert!(with_value("1234").is_same(&digest, true, &seal));
        assert!(!with_value("1235").is_same(&digest, true, &seal));
        // Who has the digest and no key cannot tell the two apart, and neither can the next launcher.
        assert_eq!(digest[..PLAIN_BYTES], with_value("1235").digest(&other)[..PLAIN_BYTES]);
        assert_ne!(digest[PLAIN_BYTES..], with_value("1234").digest(&other)[PLAIN_BYTES..]);
        assert!(with_value("1235").is_same(&digest, false, &other));
        let named = Request { priority: 1, ..with_value("1234") };
        assert!(!named.is_same(&digest, false, &other));
        let attached = Request { on_disconnect: OnDisconnect::Continue, ..with_value("1234") };
        assert!(attached.is_same(&digest, true, &seal));
    }
}
