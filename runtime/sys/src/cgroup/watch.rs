//! Wakes a caller when a group's events are worth another look.
//!
//! All sources of a group are gathered in one epoll descriptor, which is readable while one of them has
//! something to say. It must not read the events themselves.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::directory;
use crate::error::{Act, Result, from_io};

/// After a v1 out-of-memory notice the counter is looked at again this often, so far apart: the kernel
/// gives notice before it has killed.
const SECOND_LOOKS: u32 = 10;
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(3);

/// The sources of one group.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: Epoll,
    /// Event files: they stay "ready" until they are read through the very descriptor that is watched.
    files: Vec<File>,
    /// v1 out-of-memory notices, and the timer for second looks.
    notices: Option<(EventFd, TimerFd)>,
    looks_left: Cell<u32>,
}

impl Watch {
    /// Watches the event files of a group (`memory.events`, `pids.events`) that are there.
    pub(super) fn new(files: &[&Path]) -> Result<Watch> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).act("epoll_create1")?;
        let mut watch = Watch { epoll, files: Vec::new(), notices: None, looks_left: Cell::new(0) };
        for path in files.iter().filter(|path| path.exists()) {
            let file = File::open(path).map_err(|error| from_io("open cgroup file", &error))?;
            watch.epoll.add(&file, EpollEvent::new(EpollFlags::EPOLLPRI, 0)).act("epoll_ctl")?;
            watch.files.push(file);
        }
        watch.acknowledge()?;
        Ok(watch)
    }

    /// Adds the out-of-memory notices of a v1 memory group.
    pub(super) fn add_oom_notices(&mut self, group: &Path) -> Result<()> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let notices = EventFd::from_value_and_flags(0, flags).act("eventfd")?;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)
                .act("timerfd_create")?;
        let control = File::open(group.join("memory.oom_control"))
            .map_err(|error| from_io("open cgroup file", &error))?;
        let registration = format!("{} {}", notices.as_raw_fd(), control.as_raw_fd());
        directory::write(&group.join("cgroup.event_control"), &registration)?;
        self.epoll.add(&notices, EpollEvent::new(EpollFlags::EPOLLIN, 0)).act("epoll_ctl")?;
        self.epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, 0)).act("epoll_ctl")?;
        self.notices = Some((notices, timer));
        Ok(())
    }

    /// A descriptor that is readable while there is something to look at.
    pub(super) fn fd(&self) -> Result<OwnedFd> {
        self.epoll.0.as_fd().try_clone_to_owned().map_err(|error| from_io("fcntl F_DUPFD_CLOEXEC", &error))
    }

    /// Says that the counter has risen: the last notice needs no further look.
    pub(super) fn settle(&self) {
        self.looks_left.set(0);
    }

    /// Silences all sources. To be called *before* the events are read, so that nothing is lost between.
    pub(super) fn acknowledge(&self) -> Result<()> {
        let mut buffer = [0_u8; 512];
        for file in &self.files {
            file.read_at(&mut buffer, 0).map_err(|error| from_io("read cgroup file", &error))?;
        }
        let Some((notices, timer)) = &self.notices else { return Ok(()) };
        let noticed = is_drained(notices.read())?;
        // The timer's answer does not matter, only that it is silent now.
        is_drained(nix::unistd::read(timer, &mut [0; 8]))?;
        if noticed {
            self.looks_left.set(SECOND_LOOKS);
        }
        if self.looks_left.get() > 0 {
            self.looks_left.set(self.looks_left.get() - 1);
            let after = Expiration::OneShot(TimeSpec::from_duration(SECOND_LOOK_AFTER));
            timer.set(after, TimerSetTimeFlags::empty()).act("timerfd_settime")?;
        }
        Ok(())
    }
}

/// Whether a read took something away; nothing to take is fine.
fn is_drained<T>(read: nix::Result<T>) -> Result<bool> {
    match read {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN) => Ok(false),
        Err(errno) => Err(errno).act("read event"),
    }
}
