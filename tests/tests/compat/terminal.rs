//! Jobs with a terminal, called from a terminal: a caller types, a program prints, and both are what they are on a host.

use crate::{need, skip_story};
use runtime_sys::{file, terminal};
use runtime_tests::{Stage, stories, wait};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::Child,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

stories!(
    a_command_has_a_terminal_of_its_own,
    keys_and_jobs_of_an_interactive_shell,
    a_new_size_reaches_the_command,
    a_python_prompt_answers_and_ends,
    programs_make_terminals_of_their_own,
    what_is_printed_last_arrives,
    the_end_of_the_time_hangs_the_terminal_up,
);

/// Far above what any answer takes on a machine that is emulated.
const PATIENCE: Duration = Duration::from_secs(120);

/// Somebody at a terminal of 24 lines and 80 columns who has started `runtime run -i -t`.
struct Typist {
    child: Child,
    master: OwnedFd,
    output: Receiver<Vec<u8>>,
    /// All that was printed.
    seen: String,
    /// How far it was looked at.
    read: usize,
}

impl Typist {
    /// Starts it, or skips the story on a host that has no terminals.
    fn start(stage: &Stage, story: &str, args: &[&str]) -> Option<Typist> {
        let master = match terminal::open_master(c"/dev/ptmx") {
            Ok(master) => master,
            Err(error) => {
                skip_story(
                    stage,
                    &format!("terminal::{story}"),
                    &format!("this host has no terminals: {error}"),
                );
                return None;
            }
        };
        let slave = terminal::open_slave(master.as_fd()).unwrap();
        terminal::set_size(master.as_fd(), 24, 80).unwrap();
        file::change_owner_fd(slave.as_fd(), stage.uid(), stage.uid()).unwrap();
        let end = || slave.try_clone().unwrap();
        let mut command = stage.command("setsid");
        command.args(["--ctty", "--wait"]).arg(stage.program("runtime")).args([
            "run",
            "--embedded",
            "-i",
            "-t",
        ]);
        command.args(args).env("TERM", "vt100").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
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
        Some(Typist { child, master, output, seen: String::new(), read: 0 })
    }

    fn keys(&mut self, keys: &str) {
        File::from(self.master.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is printed after what was looked at before, and returns what came before it.
    fn until(&mut self, text: &str) -> String {
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

    /// Waits for the end; all that was printed, and the exit status.
    fn end(mut self) -> (String, Option<i32>) {
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

fn a_command_has_a_terminal_of_its_own(stage: &Stage) {
    let script = "tty; stty size; echo $TERM; echo one >/dev/tty; echo two >/dev/stdout; test -t 0 -a -t 1 -a -t 2 && \
                  echo all; echo $(ls /dev/pts); stat -c %U:%a /dev/pts/0";
    let story = "a_command_has_a_terminal_of_its_own";
    let Some(typist) = Typist::start(stage, story, &["--", "sh", "-c", script]) else { return };
    let (printed, status) = typist.end();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines,
        ["/dev/pts/0", "24 80", "vt100", "one", "two", "all", "0 ptmx", "job:620"],
        "{printed}"
    );
    assert_eq!(status, Some(0));
}

fn keys_and_jobs_of_an_interactive_shell(stage: &Stage) {
    let story = "keys_and_jobs_of_an_interactive_shell";
    let Some(bash) = need(stage, &format!("terminal::{story}"), "bash") else { return };
    let args = ["--env", "PS1=ready> ", "--", &bash, "--norc", "--noediting", "-i"];
    let Some(mut typist) = Typist::start(stage, story, &args) else { return };
    typist.until("ready> ");
    // What is typed is echoed: what is waited for must not be in it. With exec there is no moment at which a shell waits for a
    // child of vfork(2), in which no key stops it.
    typist.keys("sh -c 'echo wo''rks; exec sleep 100'\r");
    typist.until("works");
    typist.keys("\x03");
    typist.until("ready> ");
    typist.keys("echo status=$?\r");
    typist.until("status=130");
    typist.until("ready> ");
    typist.keys("sh -c 'echo wo''rks; exec sleep 100'\r");
    typist.until("works");
    typist.keys("\x1a");
    typist.until("Stopped");
    typist.until("ready> ");
    typist.keys("bg\r");
    typist.until("ready> ");
    typist.keys("jobs\r");
    typist.until("Running");
    typist.until("ready> ");
    typist.keys("fg\r");
    typist.until("sleep 100");
    typist.keys("\x03");
    typist.until("ready> ");
    typist.keys("exit 7\r");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(7), "{printed}");
    assert!(!printed.contains("job control"), "the shell complains: {printed}");
}

fn a_new_size_reaches_the_command(stage: &Stage) {
    let story = "a_new_size_reaches_the_command";
    let script = "trap 'stty size; exit 3' WINCH; echo wait''ing; while :; do sleep 0.1; done";
    let Some(mut typist) = Typist::start(stage, story, &["--", "sh", "-c", script]) else { return };
    typist.until("waiting");
    terminal::set_size(typist.master.as_fd(), 55, 155).unwrap();
    typist.until("55 155");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(3), "{printed}");
}

fn a_python_prompt_answers_and_ends(stage: &Stage) {
    let story = "a_python_prompt_answers_and_ends";
    let Some(python) = need(stage, &format!("terminal::{story}"), "python3") else { return };
    let Some(mut typist) = Typist::start(stage, story, &["--profile", "python", "--", &python, "-q"]) else {
        return;
    };
    typist.until(">>> ");
    typist.keys("import os; print(os.get_terminal_size(), os.ttyname(0), os.ctermid())\r");
    typist.until("os.terminal_size(columns=80, lines=24) /dev/pts/0 /dev/tty");
    typist.until(">>> ");
    typist.keys("\x04");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(0), "{printed}");
}

fn programs_make_terminals_of_their_own(stage: &Stage) {
    let story = "programs_make_terminals_of_their_own";
    let Some(script) = need(stage, &format!("terminal::{story}"), "script") else { return };
    let Some(typist) =
        Typist::start(stage, story, &["--", &script, "-qec", "tty; stty size; exit 4", "/dev/null"])
    else {
        return;
    };
    let (printed, status) = typist.end();
    assert_eq!((printed.lines().collect::<Vec<_>>(), status), (vec!["/dev/pts/1", "24 80"], Some(4)));
}

fn what_is_printed_last_arrives(stage: &Stage) {
    let story = "what_is_printed_last_arrives";
    // More than one read takes, and the writer is gone at once.
    let script = "head -c 100000 /dev/zero | tr '\\0' x; printf the-end";
    let Some(typist) = Typist::start(stage, story, &["--", "sh", "-c", script]) else { return };
    let (printed, status) = typist.end();
    assert_eq!(printed.bytes().filter(|byte| *byte == b'x').count(), 100_000);
    assert!(printed.ends_with("the-end"), "{}", &printed[printed.len().saturating_sub(80)..]);
    assert_eq!(status, Some(0));
}

fn the_end_of_the_time_hangs_the_terminal_up(stage: &Stage) {
    let story = "the_end_of_the_time_hangs_the_terminal_up";
    // Interactive shells ignore TERM; what tells them to leave is the hang-up.
    let script = "trap '' TERM; trap 'echo hung up; exit 5' HUP; echo wait''ing; while :; do sleep 0.1; done";
    let Some(mut typist) = Typist::start(stage, story, &["--timeout", "2s", "--", "sh", "-c", script]) else {
        return;
    };
    typist.until("waiting");
    typist.until("hung up");
    let (printed, status) = typist.end();
    assert_eq!(status, Some(124), "{printed}");
}
