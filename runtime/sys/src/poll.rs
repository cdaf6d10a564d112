//! Waiting: many descriptors at once, one with a deadline, and signals as messages.
//!
//! See epoll(7) and signalfd(2). Time spans are monotonic and end up to a millisecond late.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use crate::error::{Act, Errno, Error, Result, check};

/// The most events that one wait returns; the rest come with the next.
const EVENTS_MAX: usize = 256;
/// The longest single wait, well below what the kernel takes in milliseconds (24 days).
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What to wait for. Hang-ups and errors are always told.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Interest {
    /// There is something to read, or the end.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// `EPOLLPRI`: a watched value changed, as in cgroup event files.
    pub priority: bool,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags.set(epoll::EventFlags::PRI, self.priority);
        flags
    }
}

/// What happened to one descriptor.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What was said when it was added.
    pub token: u64,
    /// A read would not wait.
    pub readable: bool,
    /// A write would not wait.
    pub writable: bool,
    /// The other end is gone, or there is an error; bytes may still wait.
    pub hangup: bool,
    /// A watched value changed.
    pub priority: bool,
}

/// A set of descriptors to wait for, level-triggered: what is not dealt with is told again.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    pub fn new() -> Result<Epoll> {
        epoll::create(epoll::CreateFlags::CLOEXEC).act("epoll_create").map(Epoll)
    }

    /// Adds a descriptor. Remove it before it is closed: while a copy of it is open elsewhere the set keeps
    /// it.
    ///
    /// # Errors
    /// `EEXIST` when it is there, `EPERM` for a regular file or a directory.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> Result<()> {
        epoll::add(&self.0, fd, epoll::EventData::new_u64(token), interest.flags()).act("epoll add")
    }

    /// Changes token and interest of a descriptor. `ENOENT` when it is not there.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> Result<()> {
        epoll::modify(&self.0, fd, epoll::EventData::new_u64(token), interest.flags()).act("epoll modify")
    }

    /// Removes a descriptor. `ENOENT` when it is not there.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> Result<()> {
        epoll::delete(&self.0, fd).act("epoll remove")
    }

    /// Replaces `events` by what happened, at most 256; empty after the timeout, after a signal, and after a
    /// day. `None` waits as long as it takes.
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        events.clear();
        let timeout = timespec(timeout.unwrap_or(WAIT_MAX).min(WAIT_MAX))?;
        let mut buffer = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS_MAX];
        let (ready, _) = match epoll::wait(&self.0, &mut buffer, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other.act("epoll_wait")?,
        };
        events.extend(ready.iter().map(|event| {
            let flags = event.flags;
            Event {
                token: event.data.u64(),
                readable: flags.contains(epoll::EventFlags::IN),
                writable: flags.contains(epoll::EventFlags::OUT),
                hangup: flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR),
                priority: flags.contains(epoll::EventFlags::PRI),
            }
        }));
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until a descriptor can be read, has ended or has an error; `false` when the time is up. `None`
/// waits as long as it takes. Signals do not cut the wait short.
pub fn wait_readable(fd: BorrowedFd<'_>, timeout: impl Into<Option<Duration>>) -> Result<bool> {
    wait(fd, PollFlags::IN, timeout.into())
}

/// Whether a write would not wait now; into a pipe, one of at most 4096 bytes. Also true when it would fail.
pub fn is_writable(fd: BorrowedFd<'_>) -> Result<bool> {
    wait(fd, PollFlags::OUT, Some(Duration::ZERO))
}

fn wait(fd: BorrowedFd<'_>, what: PollFlags, timeout: Option<Duration>) -> Result<bool> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = timespec(left.unwrap_or(WAIT_MAX).min(WAIT_MAX))?;
        match poll(&mut [PollFd::from_borrowed_fd(fd, what)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) if left.is_none_or(|left| left > WAIT_MAX) => {}
            other => return other.act("poll").map(|count| count > 0),
        }
    }
}

fn timespec(time: Duration) -> Result<Timespec> {
    Timespec::try_from(time).map_err(|_| Error::new("wait", Errno::EINVAL))
}

/// A signal that was sent to this process.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SignalInfo {
    /// Its number.
    pub signal: i32,
    /// Who sent it, 0 for the kernel or from outside our pid namespace.
    pub sender_pid: i32,
    /// The sender's real uid.
    pub sender_uid: u32,
}

/// Signals as messages. It blocks them in this thread; children inherit that until they reset it.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks these signals and catches them. `EINVAL` for a number that is no signal.
    pub fn new(signals: &[i32]) -> Result<SignalFd> {
        let set = signal_set(signals)?;
        change_mask(libc::SIG_BLOCK, &set)?;
        // SAFETY: reads the set, which outlives the call.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        check("signalfd", i64::from(fd))?;
        // SAFETY: on success it is a new descriptor that nobody else owns.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that waits, or `None`.
    pub fn read(&self) -> Result<Option<SignalInfo>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes to the struct.
        let count = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        match check("read signal", count as i64) {
            Err(error) if error.errno == Errno::EAGAIN => return Ok(None),
            Err(error) => return Err(error),
            Ok(read) if read != size as i64 => return Err(Error::new("read signal", Errno::EIO)),
            Ok(_) => {}
        }
        // SAFETY: the kernel wrote all of it, and it is a struct of integers.
        let info = unsafe { info.assume_init() };
        Ok(Some(SignalInfo {
            signal: info.ssi_signo.cast_signed(),
            sender_pid: info.ssi_pid.cast_signed(),
            sender_uid: info.ssi_uid,
        }))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Holds these signals back in this thread, besides those that are. `EINVAL` for a number that is none.
pub fn block_signals(signals: &[i32]) -> Result<()> {
    change_mask(libc::SIG_BLOCK, &signal_set(signals)?)
}

/// Holds no signal back in this thread any more.
pub fn unblock_all() -> Result<()> {
    change_mask(libc::SIG_SETMASK, &signal_set(&[])?)
}

fn signal_set(signals: &[i32]) -> Result<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills in the whole set.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for signal in signals {
        // SAFETY: changes the set, which is filled in; refuses numbers out of range.
        check("signal set", i64::from(unsafe { libc::sigaddset(&raw mut set, *signal) }))?;
    }
    Ok(set)
}

fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> Result<()> {
    // SAFETY: reads the set and writes nothing, for there is no place for the old mask.
    let errno = unsafe { libc::pthread_sigmask(how, std::ptr::from_ref(set), std::ptr::null_mut()) };
    if errno == 0 { Ok(()) } else { Err(Error::new("change signal mask", Errno(errno))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_child::{self, expect};
    use crate::pipe::pipe;

    const READ: Interest = Interest { read: true, write: false, priority: false };

    #[test]
    fn events_carry_their_token_and_what_happened() {
        in_child::run(|| {
            let set = Epoll::new()?;
            let (reader, writer) = pipe()?;
            let mut events = Vec::new();
            set.add(reader.as_fd(), 7, READ)?;
            set.add(writer.as_fd(), u64::MAX, Interest { write: true, ..Interest::default() })?;
            set.wait(&mut events, Some(Duration::ZERO))?;
            let room =
                Event { token: u64::MAX, readable: false, writable: true, hangup: false, priority: false };
            expect("room", events == [room])?;
            set.modify(writer.as_fd(), 8, Interest::default())?;
            crate::file::write_fd(writer.as_fd(), b"x")?;
            set.wait(&mut events, None)?;
            let bytes = Event { token: 7, readable: true, writable: false, hangup: false, priority: false };
            expect("bytes", events == [bytes])?;
            set.remove(writer.as_fd())?;
            drop(writer);
            set.wait(&mut events, None)?;
            expect("hang-up with bytes", events == [Event { hangup: true, ..bytes }])?;
            set.remove(reader.as_fd())?;
            set.wait(&mut events, Some(Duration::from_millis(1)))?;
            expect("nothing", events.is_empty())?;
            let absent = set.remove(reader.as_fd()).map_err(|error| error.errno);
            expect("absent", absent == Err(Errno::ENOENT))
        });
    }

    #[test]
    fn one_descriptor_is_waited_for_until_the_time_is_up() {
        let (reader, writer) = pipe().expect("pipe");
        let begin = Instant::now();
        assert!(!wait_readable(reader.as_fd(), Duration::from_millis(20)).expect("wait"));
        assert!(begin.elapsed() >= Duration::from_millis(20));
        crate::file::write_fd(writer.as_fd(), b"x").expect("write");
        assert!(wait_readable(reader.as_fd(), None).expect("wait"));
    }

    #[test]
    fn a_full_pipe_has_no_room_and_one_without_reader_does_not_wait() {
        let (reader, writer) = pipe().expect("pipe");
        assert!(is_writable(writer.as_fd()).expect("poll"));
        while is_writable(writer.as_fd()).expect("poll") {
            crate::file::write_fd(writer.as_fd(), &[0; 4096]).expect("write");
        }
        drop(reader);
        assert!(is_writable(writer.as_fd()).expect("poll"));
    }

    #[test]
    fn signals_arrive_as_messages_with_their_sender() {
        in_child::run(|| {
            let signals = SignalFd::new(&[libc::SIGTERM, libc::SIGUSR1])?;
            expect("none yet", signals.read()?.is_none())?;
            for signal in [libc::SIGUSR1, libc::SIGTERM] {
                // SAFETY: sends a blocked signal to this process.
                unsafe { libc::kill(libc::getpid(), signal) };
            }
            expect("readable", wait_readable(signals.as_fd(), Duration::ZERO)?)?;
            let mut numbers = Vec::new();
            while let Some(info) = signals.read()? {
                expect("sender", info.sender_pid == std::process::id().cast_signed())?;
                expect("uid", info.sender_uid == crate::process::real_uid())?;
                numbers.push(info.signal);
            }
            numbers.sort_unstable();
            expect("both", numbers == [libc::SIGUSR1, libc::SIGTERM])?;
            let none = SignalFd::new(&[0]).map_err(|error| error.errno);
            expect("0 is no signal", matches!(none, Err(Errno::EINVAL)))
        });
    }

    #[test]
    fn unblocked_signals_come_through() {
        in_child::run(|| {
            let blocked = || -> std::io::Result<bool> {
                let status = std::fs::read_to_string("/proc/self/status")?;
                Ok(status.contains("SigBlk:\t0000000000000200"))
            };
            block_signals(&[libc::SIGUSR1])?;
            expect("blocked", blocked()?)?;
            unblock_all()?;
            expect("not blocked", !blocked()?)
        });
    }
}
