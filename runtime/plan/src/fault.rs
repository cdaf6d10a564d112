//! Faults on demand: what `runtime serve --fault` makes go wrong, so that a client's handling of it can be tested. Pure.
//!
//! A daemon with a fault serves unix sockets only, and says so at its start and in `NodeService.Info`.

use crate::{
    quantity::{self, QuantityError},
    suggest,
};
use serde::{Deserialize, Serialize};

/// Something that goes wrong on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// `crash-at=STEP`: the server kills itself with SIGKILL when it comes to this step for the first time. The next server does not.
    CrashAt(CrashStep),
    /// `crash-every=DURATION`: a server kills itself so long after its start, each one; in milliseconds.
    CrashEvery(u64),
    /// `disk-full-after=SIZE`: once so many bytes of output are stored, log and store answer "no space" until the file `fault-space` is made in the state directory.
    DiskFullAfter(u64),
    /// `store-fails-at=N`: the N-th write of the store fails as on a full disk, once.
    StoreFailsAt(u64),
    /// `launch-fails-at=N`: the start of each job fails at step N of the sandbox, with EIO.
    LaunchFailsAt(u32),
    /// `slow-reader=DURATION`: each message to a client waits so long; in milliseconds.
    SlowReader(u64),
    /// `drop-connection-after=SIZE`: a stream to a client breaks off (UNAVAILABLE) each time that so many bytes of output went over it.
    DropConnectionAfter(u64),
    /// `clock-jump=DURATION`: the wall clock of records jumps ahead so far when the first job starts; in milliseconds. Deadlines must not care.
    ClockJump(u64),
    /// `oom=N`: the N-th job of this launcher that starts gets a memory limit of 1 MiB above what it uses at its start, so that the kernel ends it.
    Oom(u64),
}

/// Steps of a server at which it can be made to crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CrashStep {
    /// A submit is on disk and not answered.
    SubmitCommitted,
    /// The launcher was asked to start a job.
    StartSent,
    /// The launcher took a job, and no client knows.
    Accepted,
    /// A job runs, and no client knows.
    Started,
    /// The first bytes of a job are in its file, but not in the index.
    OutputStored,
    /// A job is over, and nothing of that is on disk.
    FinishedHeard,
    /// The outcome is on disk, and the launcher does not know.
    FinishedCommitted,
    /// The launcher was told, and no client was.
    Acknowledged,
}

impl CrashStep {
    /// Every step, in the order of a job's life.
    pub const ALL: [CrashStep; 8] = [
        CrashStep::SubmitCommitted,
        CrashStep::StartSent,
        CrashStep::Accepted,
        CrashStep::Started,
        CrashStep::OutputStored,
        CrashStep::FinishedHeard,
        CrashStep::FinishedCommitted,
        CrashStep::Acknowledged,
    ];

    /// As `--fault crash-at=` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            CrashStep::SubmitCommitted => "submit-committed",
            CrashStep::StartSent => "start-sent",
            CrashStep::Accepted => "accepted",
            CrashStep::Started => "started",
            CrashStep::OutputStored => "output-stored",
            CrashStep::FinishedHeard => "finished-heard",
            CrashStep::FinishedCommitted => "finished-committed",
            CrashStep::Acknowledged => "acknowledged",
        }
    }
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is no value.
    #[error("the fault {text:?} has no value: write NAME=VALUE, for example crash-at=started")]
    NoValue {
        /// What was written.
        text: String,
    },
    /// No fault has this name.
    #[error("there is no fault {name:?}: {hint}")]
    Unknown {
        /// The name.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// No step has this name.
    #[error("there is no step {name:?} to crash at: {hint}")]
    UnknownStep {
        /// The name.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// The value is none.
    #[error("fault {name}: {source}")]
    BadValue {
        /// Which fault.
        name: String,
        /// What is wrong with it.
        source: QuantityError,
    },
}

const NAMES: [&str; 9] = [
    "crash-at",
    "crash-every",
    "disk-full-after",
    "store-fails-at",
    "launch-fails-at",
    "slow-reader",
    "drop-connection-after",
    "clock-jump",
    "oom",
];

/// The fault of a text such as `crash-at=started`.
///
/// # Errors
/// One sentence that says what to write.
pub fn parse(text: &str) -> Result<Fault, FaultError> {
    let (name, value) = text.split_once('=').ok_or_else(|| FaultError::NoValue { text: text.to_owned() })?;
    let bad = |source| FaultError::BadValue { name: name.to_owned(), source };
    let duration = || quantity::parse_duration(value).map_err(bad);
    let size = || quantity::parse_size(value).map_err(bad);
    let count = || quantity::parse_count(value).map_err(bad);
    match name {
        "crash-at" => CrashStep::ALL.into_iter().find(|step| step.name() == value).map_or_else(
            || {
                let hint = suggest::hint(value, &CrashStep::ALL.map(CrashStep::name));
                Err(FaultError::UnknownStep { name: value.to_owned(), hint })
            },
            |step| Ok(Fault::CrashAt(step)),
        ),
        "crash-every" => duration().map(Fault::CrashEvery),
        "disk-full-after" => size().map(Fault::DiskFullAfter),
        "store-fails-at" => count().map(Fault::StoreFailsAt),
        "launch-fails-at" => {
            count().map(|step| Fault::LaunchFailsAt(u32::try_from(step).unwrap_or(u32::MAX)))
        }
        "slow-reader" => duration().map(Fault::SlowReader),
        "drop-connection-after" => size().map(Fault::DropConnectionAfter),
        "clock-jump" => duration().map(Fault::ClockJump),
        "oom" => count().map(Fault::Oom),
        _ => Err(FaultError::Unknown { name: name.to_owned(), hint: suggest::hint(name, &NAMES) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read() {
        for (text, fault) in [
            ("crash-at=started", Fault::CrashAt(CrashStep::Started)),
            ("crash-every=2s", Fault::CrashEvery(2_000)),
            ("disk-full-after=1MiB", Fault::DiskFullAfter(1 << 20)),
            ("store-fails-at=3", Fault::StoreFailsAt(3)),
            ("launch-fails-at=10", Fault::LaunchFailsAt(10)),
            ("slow-reader=100ms", Fault::SlowReader(100)),
            ("drop-connection-after=64KiB", Fault::DropConnectionAfter(65_536)),
            ("clock-jump=1h", Fault::ClockJump(3_600_000)),
            ("oom=1", Fault::Oom(1)),
        ] {
            assert_eq!(parse(text), Ok(fault), "{text}");
        }
        for step in CrashStep::ALL {
            assert_eq!(parse(&format!("crash-at={}", step.name())), Ok(Fault::CrashAt(step)));
        }
    }

    #[test]
    fn what_is_no_fault_says_what_to_write() {
        for (text, says) in [
            ("oom", "write NAME=VALUE"),
            ("crash_at=started", "did you mean `crash-at`?"),
            ("crash-at=startet", "did you mean `started`?"),
            ("slow-reader=5", "fault slow-reader"),
        ] {
            assert!(
                parse(text).unwrap_err().to_string().contains(says),
                "{text}: {}",
                parse(text).unwrap_err()
            );
        }
    }
}
