//! Faults on demand, as `serve --fault` asked for: a handle that everybody may hold and ask. Without a fault it costs one
//! branch.
//!
//! It owns when and how something fails; those who ask own what that means for them.

use crate::logs;
use runtime_plan::fault::{self, CrashStep, Fault, FaultError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As soon as this file is in the state directory, the disk that a fault filled has space again.
const SPACE_FILE: &str = "fault-space";

/// What goes wrong in this server.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Option<Arc<Plan>>,
}

#[derive(Debug)]
struct Plan {
    texts: Vec<String>,
    faults: Vec<Fault>,
    space: PathBuf,
    /// Bytes of output that were stored so far.
    stored: AtomicU64,
    /// Whether output was refused: what is left of the room is too small for it, and nothing else fits either.
    full: AtomicBool,
    /// Writes of the store so far.
    writes: AtomicU64,
    jumped: AtomicBool,
    crash: Crash,
}

/// What a crash is.
#[derive(Debug)]
enum Crash {
    /// SIGKILL to this process.
    Kill,
    /// A test is told, and the caller never goes on.
    #[cfg(test)]
    Tell(tokio::sync::mpsc::UnboundedSender<Option<CrashStep>>),
}

impl Faults {
    /// The faults of these texts, for the how manieth server of its launcher: only the first one crashes at a step.
    ///
    /// # Errors
    /// A text that is no fault.
    pub fn new(texts: &[String], generation: u32, state_dir: &Path) -> Result<Faults, FaultError> {
        let parsed: Vec<Fault> = texts.iter().map(|text| fault::parse(text)).collect::<Result<_, _>>()?;
        let faults =
            parsed.into_iter().filter(|fault| generation == 1 || !matches!(fault, Fault::CrashAt(_)));
        Ok(Faults::of(texts.to_vec(), faults.collect(), state_dir, Crash::Kill))
    }

    fn of(texts: Vec<String>, faults: Vec<Fault>, state_dir: &Path, crash: Crash) -> Faults {
        if texts.is_empty() {
            return Faults::default();
        }
        let plan = Plan {
            texts,
            faults,
            space: state_dir.join(SPACE_FILE),
            stored: AtomicU64::new(0),
            full: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            jumped: AtomicBool::new(false),
            crash,
        };
        Faults { plan: Some(Arc::new(plan)) }
    }

    /// For tests: a crash is told, and the thread that crashed stays where it is.
    #[cfg(test)]
    pub(crate) fn telling(
        faults: Vec<Fault>,
        state_dir: &Path,
        tell: tokio::sync::mpsc::UnboundedSender<Option<CrashStep>>,
    ) -> Faults {
        Faults::of(vec!["test".to_owned()], faults, state_dir, Crash::Tell(tell))
    }

    /// What was asked for, in the words of the one who did.
    pub fn texts(&self) -> &[String] {
        self.plan.as_ref().map_or(&[], |plan| &plan.texts)
    }

    /// Whether a crash at this step was asked for: then what was said before should be out.
    pub fn crashes_at(&self, step: CrashStep) -> bool {
        self.any(|fault| (*fault == Fault::CrashAt(step)).then_some(())).is_some()
    }

    /// Does not return when a crash at this step was asked for.
    pub fn crash_point(&self, step: CrashStep) {
        let Some(plan) = &self.plan else { return };
        if self.crashes_at(step) {
            plan.crash(Some(step));
        }
    }

    /// After how long the server crashes, whatever it does.
    pub fn crash_after(&self) -> Option<Duration> {
        self.any(|fault| match fault {
            Fault::CrashEvery(ms) => Some(Duration::from_millis(*ms)),
            _ => None,
        })
    }

    /// Crashes now.
    pub fn crash_now(&self) {
        if let Some(plan) = &self.plan {
            plan.crash(None);
        }
    }

    /// The wall clock of records, in microseconds since 1970.
    pub fn now_us(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall_us(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }

    /// A time of the real clock as this one has it, in microseconds since 1970.
    pub fn wall_us(&self, real_us: u64) -> u64 {
        let jump = match &self.plan {
            Some(plan) if plan.jumped.load(Ordering::Relaxed) => self.any(|fault| match fault {
                Fault::ClockJump(ms) => Some(Duration::from_millis(*ms)),
                _ => None,
            }),
            _ => None,
        };
        let jump_us = u64::try_from(jump.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
        real_us.saturating_add(jump_us)
    }

    /// A job starts: from now on the clock has jumped, if it was to.
    pub fn job_starts(&self) {
        if let Some(plan) = &self.plan {
            plan.jumped.store(true, Ordering::Relaxed);
        }
    }

    /// How long each message to a client waits.
    pub fn slow_reader(&self) -> Option<Duration> {
        self.any(|fault| match fault {
            Fault::SlowReader(ms) => Some(Duration::from_millis(*ms)),
            _ => None,
        })
    }

    /// After how many bytes of output a stream to a client breaks off.
    pub fn drop_connection_after(&self) -> Option<u64> {
        self.any(|fault| match fault {
            Fault::DropConnectionAfter(bytes) => Some(*bytes),
            _ => None,
        })
    }

    /// Asked before each write of the store.
    ///
    /// # Errors
    /// "No space", when that was asked for.
    pub fn before_store_write(&self) -> io::Result<()> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let write = plan.writes.fetch_add(1, Ordering::Relaxed) + 1;
        match self.any(|fault| match fault {
            Fault::StoreFailsAt(number) => Some(*number),
            _ => None,
        }) {
            Some(number) if number == write => Err(io::ErrorKind::StorageFull.into()),
            _ => self.check_space(0),
        }
    }

    /// What writers of logs ask; `None` without a fault.
    pub fn of_logs(&self) -> Option<Arc<dyn logs::Fault>> {
        self.plan.as_ref().map(|_| Arc::new(self.clone()) as Arc<dyn logs::Fault>)
    }

    /// Whether so many more bytes of output have room on the disk.
    fn check_space(&self, bytes: u64) -> io::Result<()> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let room = self.any(|fault| match fault {
            Fault::DiskFullAfter(bytes) => Some(*bytes),
            _ => None,
        });
        let full = plan.full.load(Ordering::Relaxed)
            || room.is_some_and(|room| plan.stored.load(Ordering::Relaxed) + bytes > room);
        if !full || plan.space.exists() {
            return Ok(());
        }
        plan.full.store(true, Ordering::Relaxed);
        Err(io::ErrorKind::StorageFull.into())
    }

    fn any<T>(&self, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.plan.as_ref().and_then(|plan| plan.faults.iter().find_map(wanted))
    }
}

impl logs::Fault for Faults {
    fn before(&self, act: logs::Act) -> io::Result<()> {
        match act {
            logs::Act::Data(bytes) => {
                self.check_space(bytes)?;
                if let Some(plan) = &self.plan {
                    plan.stored.fetch_add(bytes, Ordering::Relaxed);
                }
                Ok(())
            }
            logs::Act::Index => {
                self.crash_point(CrashStep::OutputStored);
                self.check_space(0)
            }
            logs::Act::Segment | logs::Act::Meta => self.check_space(0),
            logs::Act::Remove => Ok(()),
        }
    }
}

impl Plan {
    fn crash(&self, step: Option<CrashStep>) {
        match &self.crash {
            Crash::Kill => {
                tracing::warn!(step = step.map(CrashStep::name), "crashing, as --fault asked for");
                runtime_sys::process::kill_self();
            }
            #[cfg(test)]
            Crash::Tell(tell) => {
                if tell.send(step).is_ok() {
                    loop {
                        std::thread::park();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logs::{Act, Fault as _};

    fn faults(texts: &[&str], generation: u32, place: &Path) -> Faults {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Faults::new(&texts, generation, place).unwrap()
    }

    #[test]
    fn only_the_first_server_crashes_at_a_step() {
        let place = Path::new("/");
        let step = CrashStep::Started;
        assert!(faults(&["crash-at=started"], 1, place).crashes_at(step));
        assert!(!faults(&["crash-at=started"], 2, place).crashes_at(step));
        assert!(!faults(&["crash-at=started"], 1, place).crashes_at(CrashStep::Accepted));
        assert_eq!(faults(&["crash-every=2s"], 7, place).crash_after(), Some(Duration::from_secs(2)));
        assert!(Faults::new(&["crash".to_owned()], 1, place).is_err());
    }

    #[test]
    fn a_full_disk_has_space_again_when_the_file_is_there() {
        let place = tempfile::tempdir().unwrap();
        let faults = faults(&["disk-full-after=10B"], 1, place.path());
        assert!(faults.before(Act::Data(10)).is_ok() && faults.before_store_write().is_ok());
        let full = faults.before(Act::Data(1)).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(faults.before_store_write().is_err(), "records have no space left either");
        std::fs::write(place.path().join(SPACE_FILE), "").unwrap();
        assert!(faults.before(Act::Data(1)).is_ok() && faults.before_store_write().is_ok());
    }

    #[test]
    fn one_write_of_the_store_fails() {
        let faults = faults(&["store-fails-at=2"], 1, Path::new("/"));
        let answers: Vec<bool> = (0..4).map(|_| faults.before_store_write().is_ok()).collect();
        assert_eq!(answers, [true, false, true, true]);
    }

    #[test]
    fn the_clock_jumps_with_the_first_job() {
        let faults = faults(&["clock-jump=1h"], 1, Path::new("/"));
        let before = faults.now_us();
        assert!(before < Faults::default().now_us() + 1_000_000);
        faults.job_starts();
        assert!(faults.now_us() >= before + 3_600_000_000);
    }

    #[test]
    fn without_a_fault_nothing_fails() {
        let faults = Faults::default();
        faults.crash_point(CrashStep::Started);
        faults.crash_now();
        assert!(faults.of_logs().is_none() && faults.slow_reader().is_none() && faults.texts().is_empty());
        assert!(faults.before_store_write().is_ok() && faults.drop_connection_after().is_none());
    }
}
