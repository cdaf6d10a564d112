//! Moves what a job writes into its log, until it ends: waits for bytes, lets the engine store them on a thread that may
//! block, and sees to it that the disk has them a second later.
//!
//! It must not know about clients. On a full disk the bytes stay in the pipe, the job waits, and so does this writer.

use super::engine::{Engine, Moved};
use super::fault::Fault;
use super::terminal::Master;
pub use super::terminal::Relay;
use super::{Stream, Written, from_kernel};
use runtime_sys::{pipe, poll};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// How long a full disk is left alone before the next try.
const FULL_DISK_WAIT: Duration = Duration::from_millis(250);
/// Between two syncs of a log that grows.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Bytes that are moved before a thread is given back.
const BURST_BYTES: u64 = 4 * 1024 * 1024;
/// How long a thread that moves a flood waits for more of it before it is given back. Shorter than what a person notices
/// on the other stream.
const FLOOD_WAIT: Duration = Duration::from_millis(4);
/// And how long it is kept for that in all.
const BURST_TIME: Duration = Duration::from_millis(20);
/// What counts as little at once.
const SMALL_BYTES: u64 = 4 * 1024;
/// A job that writes little at once, again and again, is looked at this often. The pipe holds what comes meanwhile.
const SMALL_WAIT: Duration = Duration::from_millis(2);
/// How often in a row it may be looked at sooner: a terminal or a few lines do not wait.
const CREDIT_MAX: u32 = 64;
/// What a pipe holds as a rule: one that was full gets more.
const PIPE_BYTES: u64 = 64 * 1024;
/// What it gets: `/proc/sys/fs/pipe-max-size` as a rule.
const PIPE_BYTES_RAISED: usize = 1024 * 1024;

/// How a log is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of both streams that are stored. More are read and thrown away, and told on `over`.
    pub output_bytes_max: u64,
    /// Bytes that stay; of more, the middle is removed. `None` keeps all. At least 64 KiB, or it is met less exactly.
    pub keep_bytes: Option<u64>,
    /// The log goes with this process: nothing of it waits for the disk.
    pub passing: bool,
    /// Asked before each act.
    pub fault: Option<Arc<dyn Fault>>,
}

impl Default for Options {
    /// No limit, no cap, no fault.
    fn default() -> Options {
        Options { output_bytes_max: u64::MAX, keep_bytes: None, passing: false, fault: None }
    }
}

/// Where the bytes come from.
#[derive(Debug)]
pub enum Source {
    /// The reading ends of two pipes. They end when nobody can write to them any more.
    Pipes {
        /// Of stdout.
        stdout: OwnedFd,
        /// Of stderr.
        stderr: OwnedFd,
    },
    /// A terminal; all output is stdout.
    Terminal(Relay),
}

/// The open files of a log, and who is told of its growth.
#[derive(Debug)]
pub struct Writer(Engine);

impl Writer {
    /// Makes the directory of a new log; that above it exists.
    ///
    /// # Errors
    /// What the file system says; an existing directory is one.
    pub fn create(directory: &Path, options: Options, written: watch::Sender<Written>) -> io::Result<Writer> {
        Engine::create(directory, options, written).map(Writer)
    }

    /// Goes on with a log after a crash at any moment, and tells on `written` how far it came. The same descriptors as
    /// before are to be given to [`Writer::store`]: what the files lack is still in the pipes. Of `options`, the size of
    /// segments stays as it was. Reads the index of the last segments, so it may take some milliseconds.
    ///
    /// # Errors
    /// What the file system says; a directory that is not there is one.
    pub fn resume(directory: &Path, options: Options, written: watch::Sender<Written>) -> io::Result<Writer> {
        Engine::resume(directory, options, written).map(Writer)
    }

    /// Stores everything until the source has ended, then waits for the disk. Above the limit it says once on `over` how
    /// much was written, and throws away the rest, so that nobody blocks on a full pipe. Dropping the future ends the log
    /// at once.
    ///
    /// # Errors
    /// When a descriptor is of the wrong kind, or the file system fails in a way that waiting does not help against.
    pub async fn store(self, source: Source, over: mpsc::Sender<u64>) -> io::Result<()> {
        let mut work = Box::new(Work { engine: self.0, sources: Sources::open(source)? });
        let mut syncing = Syncing::default();
        let mut pace = Pace { credit: CREDIT_MAX, since: Instant::now() };
        let mut told = false;
        loop {
            let (back, burst) = spawn_blocking(move || {
                let burst = work.burst();
                (work, burst)
            })
            .await
            .map_err(io::Error::other)?;
            work = back;
            let burst = burst?;
            if burst.discarded > 0 && !told {
                told = true;
                let used = work.engine.output_bytes_max().saturating_add(burst.discarded);
                if over.send(used).await.is_err() {
                    tracing::debug!("nobody asks for the output limit any more");
                }
            }
            if work.sources.are_over() {
                break;
            }
            let wait = if burst.stalled {
                Some(FULL_DISK_WAIT)
            } else if burst.moved >= BURST_BYTES {
                Some(Duration::ZERO)
            } else {
                pace.after(burst.moved)
            };
            work.wait(wait, &mut syncing).await?;
        }
        work.engine.tell_drained();
        syncing.finish(&mut work.engine).await;
        Ok(())
    }
}

/// Everything that moves to a blocking thread and back.
#[derive(Debug)]
struct Work {
    engine: Engine,
    sources: Sources,
}

#[derive(Debug)]
enum Sources {
    Pipes(Vec<Pipe>),
    Terminal { relay_read: OwnedFd, relay_write: OwnedFd, master: Master, over: bool },
}

/// One pipe of the job.
#[derive(Debug)]
struct Pipe {
    stream: Stream,
    pipe: Receiver,
    raised: bool,
}

/// What a while of work brought.
#[derive(Debug)]
struct Burst {
    begun: Instant,
    /// Stored and discarded bytes.
    moved: u64,
    discarded: u64,
    stalled: bool,
}

impl Burst {
    fn is_flood(&self) -> bool {
        !self.stalled && (PIPE_BYTES..BURST_BYTES).contains(&self.moved) && self.begun.elapsed() < BURST_TIME
    }

    /// Whether there is reason to go on.
    fn count(&mut self, moved: &Moved) -> bool {
        match moved {
            Moved::Stored(bytes) => self.moved += bytes,
            Moved::Discarded(bytes) => {
                (self.moved, self.discarded) = (self.moved + bytes, self.discarded + bytes)
            }
            Moved::Stalled(_) => self.stalled = true,
            Moved::Nothing | Moved::End => return false,
        }
        !self.stalled && self.moved < BURST_BYTES
    }
}

/// Waits a moment for more of what the first pipe had, without a way through other threads.
fn await_flood(pipes: &[Pipe]) -> io::Result<bool> {
    let Some(pipe) = pipes.iter().find(|pipe| pipe.raised) else { return Ok(false) };
    poll::wait_readable(pipe.pipe.as_fd(), FLOOD_WAIT).map_err(from_kernel)
}

impl Sources {
    fn open(source: Source) -> io::Result<Sources> {
        // This looks whether it is a pipe, and makes it nonblocking.
        let pipe = Receiver::from_owned_fd;
        let ready = |stream, fd| -> io::Result<Pipe> { Ok(Pipe { stream, pipe: pipe(fd)?, raised: false }) };
        Ok(match source {
            Source::Pipes { stdout, stderr } => {
                Sources::Pipes(vec![ready(Stream::Stdout, stdout)?, ready(Stream::Stderr, stderr)?])
            }
            Source::Terminal(Relay { read, write, master }) => Sources::Terminal {
                relay_read: pipe(read)?.into_nonblocking_fd()?,
                relay_write: write,
                master: Master::Coming(master),
                over: false,
            },
        })
    }

    fn are_over(&self) -> bool {
        match self {
            Sources::Pipes(pipes) => pipes.is_empty(),
            Sources::Terminal { over, .. } => *over,
        }
    }

    /// Waits until there is something to do.
    async fn changed(&mut self) -> io::Result<()> {
        match self {
            Sources::Pipes(pipes) => {
                let (first, second) = (pipes.first(), pipes.get(1));
                let ready = async |pipe: Option<&Pipe>| match pipe {
                    Some(pipe) => pipe.pipe.readable().await,
                    None => std::future::pending().await,
                };
                tokio::select! {
                    changed = ready(first) => changed,
                    changed = ready(second) => changed,
                }
            }
            Sources::Terminal { master, .. } => master.changed().await,
        }
    }
}

impl Work {
    /// Stores until nothing waits or a good deal is done.
    fn burst(&mut self) -> io::Result<Burst> {
        let mut burst = Burst { begun: Instant::now(), moved: 0, discarded: 0, stalled: false };
        let engine = &mut self.engine;
        match &mut self.sources {
            Sources::Pipes(pipes) => {
                let (mut more, mut direct) = (true, false);
                while more && !pipes.is_empty() {
                    more = false;
                    let mut ended = None;
                    for (number, pipe) in pipes.iter_mut().enumerate() {
                        let moved = pipe.take(engine, direct)?;
                        more |= burst.count(&moved);
                        if moved == Moved::End {
                            ended = Some(number);
                        }
                    }
                    if let Some(number) = ended {
                        pipes.remove(number);
                        more = true;
                    }
                    direct = !more && burst.is_flood() && await_flood(pipes)?;
                    more |= direct;
                    more &= !burst.stalled && burst.moved < BURST_BYTES;
                }
            }
            Sources::Terminal { relay_read, relay_write, master, over } => loop {
                let pumped = master.pump(relay_write, relay_read)?;
                let moved = engine.take(Stream::Stdout, relay_read.as_fd())?;
                let more = burst.count(&moved);
                // The launcher has the relay open, too, so it has no end of its own.
                *over = matches!(master, Master::Over) && matches!(moved, Moved::Nothing | Moved::End);
                if burst.stalled || burst.moved >= BURST_BYTES || !(more || pumped) {
                    break;
                }
            },
        }
        Ok(burst)
    }

    /// Waits so long, or until there is something to do, and minds the disk meanwhile.
    async fn wait(&mut self, wait: Option<Duration>, syncing: &mut Syncing) -> io::Result<()> {
        let until = wait.map(|wait| Instant::now() + wait);
        syncing.mind(&mut self.engine);
        loop {
            tokio::select! {
                () = at(until), if until.is_some() => return Ok(()),
                changed = self.sources.changed(), if until.is_none() => return changed,
                result = syncing.due() => {
                    self.engine.heed_sync(&result);
                    syncing.mind(&mut self.engine);
                }
            }
        }
    }
}

impl Pipe {
    /// Stores once. `direct`: the kernel was just asked whether there is something; what tokio last heard is older.
    fn take(&mut self, engine: &mut Engine, direct: bool) -> io::Result<Moved> {
        let stream = self.stream;
        if direct && self.raised {
            return engine.take(stream, self.pipe.as_fd());
        }
        let moved = self.pipe.try_io(|| match engine.take(stream, self.pipe.as_fd()) {
            Ok(Moved::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        });
        let moved = match moved {
            Ok(moved) => moved?,
            Err(_) => Moved::Nothing,
        };
        if matches!(moved, Moved::Stored(PIPE_BYTES..)) && !self.raised {
            self.raised = true;
            if let Err(error) = pipe::set_size(self.pipe.as_fd(), PIPE_BYTES_RAISED) {
                tracing::trace!(%error, "a pipe stays as small as it is");
            }
        }
        Ok(moved)
    }
}

/// Spares a job that writes little at once a look for every byte.
struct Pace {
    credit: u32,
    since: Instant,
}

impl Pace {
    /// How long to leave the job alone after so many bytes.
    fn after(&mut self, bytes: u64) -> Option<Duration> {
        let now = Instant::now();
        let earned = now.duration_since(self.since).as_micros() / SMALL_WAIT.as_micros();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(CREDIT_MAX);
            self.credit = self.credit.saturating_add(earned).min(CREDIT_MAX);
            self.since = now;
        }
        if bytes == 0 || bytes >= SMALL_BYTES {
            return None;
        }
        if self.credit == 0 {
            return Some(SMALL_WAIT);
        }
        self.credit -= 1;
        None
    }
}

/// The sync that is due or under way.
#[derive(Default)]
struct Syncing {
    next: Option<Instant>,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Syncing {
    /// Starts a sync when it is time. Waits for nothing.
    fn mind(&mut self, engine: &mut Engine) {
        if self.next.is_none() && engine.is_dirty() {
            self.next = Some(Instant::now() + SYNC_EVERY);
        }
        if self.running.is_none()
            && self.next.is_some_and(|next| next <= Instant::now())
            && let Some(dirty) = engine.take_dirty()
        {
            self.next = None;
            self.running = Some(dirty.start());
        }
    }

    /// Returns when [`Syncing::mind`] has something to do; with what went wrong in the sync that has ended.
    async fn due(&mut self) -> io::Result<()> {
        let Some(running) = &mut self.running else {
            at(self.next).await;
            return Ok(());
        };
        let result = running.await;
        self.running = None;
        result.map_err(io::Error::other)?
    }

    /// Brings the rest to the disk.
    async fn finish(&mut self, engine: &mut Engine) {
        if self.running.is_some() {
            let result = self.due().await;
            engine.heed_sync(&result);
        }
        if let Some(dirty) = engine.take_dirty() {
            self.running = Some(dirty.start());
            let result = self.due().await;
            engine.heed_sync(&result);
        }
    }
}

/// Waits for a moment, for ever without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
