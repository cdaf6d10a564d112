//! Somebody at a terminal who runs `runtime run -i -t` or `runtime attach`: types, reads what is printed, makes the window larger.

use crate::{Stage, wait};
use runtime_sys::{file, terminal};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::Child,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// Far above what any answer takes on a machine that is emulated.
const PATIENCE: Duration = Duration::from_secs(120);

/// The terminal, and the run in it.
#[derive(Debug)]
pub struct Typist {
    child: Child,
    master: OwnedFd,
    output: Receiver<Vec<u8>>,
    /// All that was printed.
    seen: String,
    /// How far it was looked at.
    read: usize,
}

impl Typist {
    /// Starts `runtime run --embedded -i -t` with more arguments, at a terminal of these lines and columns and of type vt100.
    ///
    /// # Errors
    /// Why this host has no terminals.
    pub fn start(stage: &Stage, size: (u16, u16), args: &[&str]) -> Result<Typist, String> {
        Typist::call(stage, size, &[&["run", "--embedded", "-i", "-t"], args].concat())
    }

    /// Starts `runtime` with these arguments at such a terminal.
    ///
    /// # Errors
    /// Why this host has no terminals.
    pub fn call(stage: &Stage, (rows, columns): (u16, u16), args: &[&str]) -> Result<Typist, String> {
        let master = terminal::open_master(c"/dev/ptmx");
        let master = master.map_err(|error| format!("this host has no terminals: {error}"))?;
        let slave = terminal::open_slave(master.as_fd()).unwrap();
        terminal::set_size(master.as_fd(), rows, columns).unwrap();
        file::change_owner_fd(slave.as_fd(), stage.uid(), stage.uid()).unwrap();
        let end = || slave.try_clone().unwrap();
        let mut command = stage.command("setsid");
        command.args(["--ctty", "--wait"]).arg(stage.program("runtime"));
        command.args(args).env("TERM", "vt100").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        // The run alone has the other end: when it is over, so is the output.
        drop((command, slave));
        let (sender, output) = channel();
        let mut from = File::from(master.try_clone().unwrap());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // EIO when nobody has the other end any more.
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Typist { child, master, output, seen: String::new(), read: 0 })
    }

    /// Types. Waits as long as nobody reads.
    pub fn keys(&mut self, keys: impl AsRef<[u8]>) {
        File::from(self.master.try_clone().unwrap()).write_all(keys.as_ref()).unwrap();
    }

    /// Changes the size of the window to these lines and columns.
    pub fn resize(&mut self, (rows, columns): (u16, u16)) {
        terminal::set_size(self.master.as_fd(), rows, columns).unwrap();
    }

    /// Waits until this is printed after what was looked at before, and returns what came before it.
    ///
    /// # Panics
    /// When it is not printed in time; the run is killed then.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(place) = self.seen[self.read..].find(text) {
                let before = self.seen[self.read..self.read + place].to_owned();
                self.read += place + text.len();
                return before;
            }
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => self.fail(&format!("{text:?} was not printed: {error}")),
            }
        }
    }

    /// Waits for the end: all that was printed, and the exit status.
    ///
    /// # Panics
    /// When it does not end in time; it is killed then.
    pub fn end(mut self) -> (String, Option<i32>) {
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.fail("it did not end"),
            }
        }
        let status = wait(&mut self.child, PATIENCE).unwrap_or_else(|| self.fail("it did not end"));
        (self.seen, status.code())
    }

    fn fail(&mut self, why: &str) -> ! {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        panic!("{why}; printed so far:\n{}", self.seen)
    }
}
