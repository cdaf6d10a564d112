//! Jobs that are over and that no server has acknowledged: what is kept of each until one says that its outcome and its output are
//! on disk, and how much may be kept at all.

use crate::launcher::stdio::Kept;
use runtime_plan::link::{JobId, Pipes};
use std::collections::BTreeMap;

/// Ended jobs that are kept; beyond, no more are started.
const JOBS_MAX: usize = 4_096;
/// Bytes of their records and reports likewise.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Each holds up to three descriptors: at most this part of those that we may have is for ended jobs.
const DESCRIPTORS_SHARE: u64 = 8;

/// One job that is over.
#[derive(Debug)]
pub struct Ended {
    /// Its id on the link.
    pub id: JobId,
    /// The server's own words about it.
    pub record: Vec<u8>,
    /// What its fds are.
    pub pipes: Pipes,
    /// Our ends of its pipes: what it wrote may still be in them.
    pub stdio: Kept,
    /// The encoded `Started`, when it came so far.
    pub started: Option<Vec<u8>>,
    /// The encoded `Finished`.
    pub finished: Vec<u8>,
}

impl Ended {
    fn bytes(&self) -> usize {
        self.record.len() + self.started.as_ref().map_or(0, Vec::len) + self.finished.len()
    }
}

/// All of them, by serial.
#[derive(Debug)]
pub struct EndedJobs {
    jobs: BTreeMap<u64, Ended>,
    bytes: usize,
    jobs_max: usize,
}

impl EndedJobs {
    /// None. `descriptors_max` is how many files we may have open.
    pub fn new(descriptors_max: u64) -> EndedJobs {
        let share = usize::try_from(descriptors_max / DESCRIPTORS_SHARE).unwrap_or(JOBS_MAX);
        EndedJobs { jobs: BTreeMap::new(), bytes: 0, jobs_max: share.min(JOBS_MAX) }
    }

    /// Keeps one.
    pub fn insert(&mut self, serial: u64, ended: Ended) {
        self.bytes += ended.bytes();
        if let Some(before) = self.jobs.insert(serial, ended) {
            self.bytes -= before.bytes();
        }
    }

    /// Forgets one.
    pub fn remove(&mut self, serial: u64) -> Option<Ended> {
        let ended = self.jobs.remove(&serial)?;
        self.bytes -= ended.bytes();
        Some(ended)
    }

    /// One of them.
    pub fn get(&self, serial: u64) -> Option<&Ended> {
        self.jobs.get(&serial)
    }

    /// All, by age.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Ended)> {
        self.jobs.iter().map(|(serial, ended)| (*serial, ended))
    }

    /// The first serial from `from` to `until`.
    pub fn first_in(&self, from: u64, until: u64) -> Option<u64> {
        (from <= until).then(|| self.jobs.range(from..=until).next().map(|(serial, _)| *serial)).flatten()
    }

    /// Whether so much is kept that no more jobs are started.
    pub fn is_full(&self) -> bool {
        self.jobs.len() >= self.jobs_max || self.bytes >= BYTES_MAX
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_plan::link::PipesKind;
    use std::{fs::File, os::fd::OwnedFd, rc::Rc};

    fn ended(record_bytes: usize) -> Ended {
        let fd = || Rc::new(OwnedFd::from(File::open("/dev/null").unwrap()));
        Ended {
            id: JobId::try_from("job-1".to_owned()).unwrap(),
            record: vec![0; record_bytes],
            pipes: Pipes {
                kind: PipesKind::Streams { stdin: false },
                output_bytes_max: 1,
                idle_ms_max: None,
            },
            stdio: Kept::Streams { stdin: None, stdout: fd(), stderr: fd() },
            started: Some(vec![0; 10]),
            finished: vec![0; 20],
        }
    }

    #[test]
    fn few_descriptors_few_ended_jobs() {
        let mut jobs = EndedJobs::new(32);
        for serial in 0..4 {
            assert!(!jobs.is_full(), "{serial}");
            jobs.insert(serial, ended(1));
        }
        assert!(jobs.is_full());
        assert!(jobs.remove(2).is_some() && jobs.remove(2).is_none());
        assert!(!jobs.is_full());
        assert_eq!([jobs.first_in(0, 9), jobs.first_in(2, 9), jobs.first_in(4, 9)], [Some(0), Some(3), None]);
    }

    #[test]
    fn bytes_are_counted_in_and_out() {
        let mut jobs = EndedJobs::new(u64::MAX);
        let half = BYTES_MAX / 2;
        jobs.insert(1, ended(half));
        jobs.insert(2, ended(half - 100));
        assert!(!jobs.is_full());
        jobs.insert(3, ended(100));
        assert!(jobs.is_full());
        for serial in 1..=3 {
            jobs.remove(serial);
        }
        assert_eq!((jobs.bytes, jobs.is_empty()), (0, true));
    }
}
