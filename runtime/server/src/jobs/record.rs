//! What is kept of a job, and its bytes: in rows of the store, and with the launcher until a server comes back.
//!
//! The first byte is the version of the form, so that a newer server reads what an older one wrote. Values of environment
//! variables are never in it.

use super::request::{Keep, OnDisconnect};
use bytes::Bytes;
use runtime_plan::link::{JobId, LauncherId};
use runtime_plan::outcome::ExitReport;
use runtime_plan::spec::Spec;
use runtime_plan::wall::Enforcement;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of argv, and as many of the names of variables, that a record keeps: records are many, argv can be large.
pub const SHOWN_BYTES_MAX: usize = 4_096;
/// The form that is written.
const VERSION: u8 = 1;

/// What never changes of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub org: String,
    /// The command and its arguments, cut after [`SHOWN_BYTES_MAX`].
    pub argv: Vec<Bytes>,
    /// Names of the caller's variables, cut after [`SHOWN_BYTES_MAX`].
    pub env_names: Vec<Bytes>,
    /// The profile's name.
    pub profile: String,
    /// SHA-256 of the profile when the job was taken; empty when there was none of this name.
    pub profile_digest: String,
    /// The caller's labels.
    pub labels: BTreeMap<String, String>,
    /// Its place among the waiting jobs of its org.
    pub priority: i32,
    /// When it was asked for, in microseconds since 1970.
    pub created_us: u64,
    /// The idempotency key.
    pub key: Option<String>,
    /// Names the request under the key; all zero without a key.
    pub digest: [u8; 32],
    /// Instance of the launcher under which it was taken.
    pub taken_under: String,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// Whether clients can feed it.
    pub stdin: bool,
    /// Taken by Submit: there will be an outcome, come what may.
    pub submitted: bool,
    /// What happens when its last client has gone.
    pub on_disconnect: OnDisconnect,
    /// What stays when it is over.
    pub keep: Keep,
    /// Bytes of output that stay on disk; all without.
    pub keep_output_bytes: Option<u64>,
}

/// What the registry knows about a request that it takes.
pub(super) struct Taken {
    pub(super) profile_digest: String,
    pub(super) digest: [u8; 32],
    pub(super) taken_under: String,
}

/// The command runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Since when, in microseconds since 1970.
    pub time_us: u64,
    /// Which walls stand.
    pub enforcement: Arc<Enforcement>,
}

/// The end of a job that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// When, in microseconds since 1970.
    pub time_us: u64,
    /// Why, and what it used.
    pub report: ExitReport,
    /// Which walls stood; `None` when it never got so far.
    pub enforcement: Option<Arc<Enforcement>>,
    /// Bytes of stdout that were written, those that are kept no longer included.
    pub stdout_bytes: u64,
    /// Bytes of stderr, the same.
    pub stderr_bytes: u64,
}

/// A job as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// What never changes.
    pub(crate) record: Arc<JobRecord>,
    /// How often a new server took it over.
    pub(crate) adoptions: u32,
    /// Which launcher was asked to start it; none while it waits.
    pub(crate) launcher: Option<LauncherId>,
    /// When it was asked, in microseconds since 1970.
    pub(crate) asked_us: Option<u64>,
    /// Since when it ran.
    pub(crate) started: Option<Started>,
    /// How it ended.
    pub(crate) finished: Option<Finished>,
}

/// Bytes that are no record of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Made by a newer server.
    #[error("the record is of form {0}, which this version does not know")]
    Version(u8),
    /// Not of that form.
    #[error("failed to read a record: {0}")]
    Malformed(String),
}

/// The form on disk: the walls once, whichever time they are from.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    record: std::borrow::Cow<'a, JobRecord>,
    adoptions: u32,
    launcher: Option<LauncherId>,
    asked_us: Option<u64>,
    started_us: Option<u64>,
    enforcement: Option<std::borrow::Cow<'a, Enforcement>>,
    finished: Option<FinishedForm<'a>>,
}

#[derive(Serialize, Deserialize)]
struct FinishedForm<'a> {
    time_us: u64,
    report: std::borrow::Cow<'a, ExitReport>,
    stdout_bytes: u64,
    stderr_bytes: u64,
}

impl JobRecord {
    /// The record of a new job.
    pub(super) fn new(
        id: JobId,
        request: &super::Request,
        submitted: bool,
        created_us: u64,
        Taken { profile_digest, digest, taken_under }: Taken,
    ) -> JobRecord {
        let spec = &request.spec;
        JobRecord {
            id,
            org: request.org.clone(),
            argv: cut(spec.argv.iter().map(Vec::as_slice)),
            env_names: cut(spec.env.iter().map(|(name, _)| name.as_slice())),
            profile: spec.profile.clone(),
            profile_digest,
            labels: request.labels.clone(),
            priority: request.priority,
            created_us,
            key: request.key.clone(),
            digest,
            taken_under,
            terminal: spec.terminal.is_some(),
            stdin: takes_stdin(spec),
            submitted,
            on_disconnect: if submitted { OnDisconnect::Continue } else { request.on_disconnect },
            keep: request.keep,
            keep_output_bytes: request.keep_output_bytes,
        }
    }

    /// The record of a job whose own cannot be read: its id, and that somebody may wait for it.
    pub(super) fn unreadable(id: JobId) -> JobRecord {
        JobRecord {
            id,
            org: "default".to_owned(),
            argv: Vec::new(),
            env_names: Vec::new(),
            profile: String::new(),
            profile_digest: String::new(),
            labels: BTreeMap::new(),
            priority: 0,
            created_us: 0,
            key: None,
            digest: [0; 32],
            taken_under: String::new(),
            terminal: false,
            stdin: false,
            submitted: true,
            on_disconnect: OnDisconnect::Continue,
            keep: Keep::All,
            keep_output_bytes: None,
        }
    }
}

fn takes_stdin(spec: &Spec) -> bool {
    spec.terminal.is_some() || spec.stdin == runtime_plan::spec::StdinSource::Stream
}

impl Stored {
    /// A job of which nothing has happened yet.
    pub(crate) fn new(record: Arc<JobRecord>) -> Stored {
        Stored { record, adoptions: 0, launcher: None, asked_us: None, started: None, finished: None }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// Never, but for a bug: every part has a length.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, BadRecord> {
        use std::borrow::Cow;
        let stood = self.finished.as_ref().and_then(|finished| finished.enforcement.as_deref());
        let stands = self.started.as_ref().map(|started| &*started.enforcement);
        let form = Form {
            record: Cow::Borrowed(&self.record),
            adoptions: self.adoptions,
            launcher: self.launcher.clone(),
            asked_us: self.asked_us,
            started_us: self.started.as_ref().map(|started| started.time_us),
            enforcement: stood.or(stands).map(Cow::Borrowed),
            finished: self.finished.as_ref().map(|finished| FinishedForm {
                time_us: finished.time_us,
                report: Cow::Borrowed(&finished.report),
                stdout_bytes: finished.stdout_bytes,
                stderr_bytes: finished.stderr_bytes,
            }),
        };
        postcard::to_extend(&form, vec![VERSION]).map_err(|error| BadRecord::Malformed(error.to_string()))
    }

    /// The reverse.
    ///
    /// # Errors
    /// [`BadRecord`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Stored, BadRecord> {
        let malformed = |text: String| BadRecord::Malformed(text);
        let body = match bytes.split_first() {
            Some((&VERSION, body)) => body,
            Some((&version, _)) => return Err(BadRecord::Version(version)),
            None => return Err(malformed("it is empty".to_owned())),
        };
        let (form, rest): (Form<'_>, &[u8]) =
            postcard::take_from_bytes(body).map_err(|error| malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes are left over", rest.len())));
        }
        let enforcement = form.enforcement.map(|walls| Arc::new(walls.into_owned()));
        Ok(Stored {
            record: Arc::new(form.record.into_owned()),
            adoptions: form.adoptions,
            launcher: form.launcher,
            asked_us: form.asked_us,
            started: form
                .started_us
                .map(|time_us| Started { time_us, enforcement: enforcement.clone().unwrap_or_default() }),
            finished: form.finished.map(|finished| Finished {
                time_us: finished.time_us,
                report: finished.report.into_owned(),
                enforcement: enforcement.clone(),
                stdout_bytes: finished.stdout_bytes,
                stderr_bytes: finished.stderr_bytes,
            }),
        })
    }
}

/// The start of a list of strings.
fn cut<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let mut room = SHOWN_BYTES_MAX;
    let mut kept = Vec::new();
    for string in strings {
        // An empty string costs something too.
        let bytes = string.len().min(room);
        kept.push(Bytes::copy_from_slice(string.get(..bytes).unwrap_or_default()));
        room = room.saturating_sub(string.len() + 1);
        if room == 0 {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_plan::link::RECORD_BYTES_MAX;
    use runtime_plan::outcome::{Outcome, Usage};

    fn largest() -> JobRecord {
        let id = JobId::try_from("job-01arz3ndektsv4rrffq69g5fav".to_owned()).unwrap();
        JobRecord {
            argv: cut(std::iter::repeat_n(b"".as_slice(), 100_000)),
            env_names: cut(std::iter::repeat_n(b"".as_slice(), 100_000)),
            labels: (0..64).map(|n| (format!("{n:063}"), "v".repeat(255))).collect(),
            key: Some("k".repeat(128)),
            profile_digest: "d".repeat(64),
            taken_under: "i".repeat(16),
            org: "o".repeat(64),
            keep_output_bytes: Some(u64::MAX),
            ..JobRecord::unreadable(id)
        }
    }

    #[test]
    fn a_record_keeps_the_start_of_a_long_command() {
        let long = vec![b'x'; 10_000];
        let kept = cut([b"echo".as_slice(), &long, b"tail"].into_iter());
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[1].len(), SHOWN_BYTES_MAX - 5);
        let empty = vec![b"".as_slice(); 100_000];
        assert_eq!(cut(empty.into_iter()).len(), SHOWN_BYTES_MAX);
    }

    #[test]
    fn a_record_comes_back_from_its_bytes() {
        let new = Stored::new(Arc::new(largest()));
        assert_eq!(Stored::decode(&new.encode().unwrap()), Ok(new.clone()));
        let enforcement = Arc::new(Enforcement { kernel: "6.18".to_owned(), ..Enforcement::default() });
        let launcher =
            LauncherId { instance: "0123456789abcdef".to_owned(), boot_id: "b".to_owned(), pid: 7 };
        let started = Stored {
            launcher: Some(launcher),
            asked_us: Some(4),
            started: Some(Started { time_us: 5, enforcement: Arc::clone(&enforcement) }),
            adoptions: 3,
            ..new
        };
        assert_eq!(Stored::decode(&started.encode().unwrap()), Ok(started.clone()));
        let report = ExitReport {
            outcome: Outcome::Exited { code: 3 },
            limits_hit: Vec::new(),
            usage: Usage::default(),
            cleanup_errors: vec!["x".to_owned()],
        };
        let finished =
            Finished { time_us: 9, report, enforcement: Some(enforcement), stdout_bytes: 1, stderr_bytes: 2 };
        let finished = Stored { finished: Some(finished), ..started };
        assert_eq!(Stored::decode(&finished.encode().unwrap()), Ok(finished));
    }

    #[test]
    fn the_largest_record_fits_into_the_launchers_bound() {
        assert!(Stored::new(Arc::new(largest())).encode().unwrap().len() <= RECORD_BYTES_MAX);
    }

    #[test]
    fn what_is_no_record_is_told_as_such() {
        assert_eq!(Stored::decode(&[2, 0]), Err(BadRecord::Version(2)));
        assert!(matches!(Stored::decode(&[]), Err(BadRecord::Malformed(_))));
        let bytes = Stored::new(Arc::new(largest())).encode().unwrap();
        assert!(matches!(Stored::decode(&bytes[..bytes.len() - 1]), Err(BadRecord::Malformed(_))));
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(Stored::decode(&longer), Err(BadRecord::Malformed(_))));
    }
}
