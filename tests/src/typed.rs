//! What a person types at a daemon, and what comes back: the verbs of the command line, and the daemon's server.

use crate::{Daemon, children, cmdline, eventually, processes::is_alive};
use serde_json::Value;
use std::{ffi::OsStr, process::Output};

/// signal(7).
const SIGKILL: i32 = 9;

/// What a verb printed, and its exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Its standard output, as text.
    pub out: String,
    /// Its standard error, as text.
    pub err: String,
}

impl From<Output> for Said {
    /// # Panics
    /// When a signal ended it.
    fn from(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or_else(|| panic!("ended by a signal: {output:?}"));
        Said { status, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Daemon<'_> {
    /// Runs a verb to its end.
    ///
    /// # Panics
    /// When it cannot be started, or a signal ended it.
    pub fn say<A: AsRef<OsStr>>(&self, args: &[A]) -> Said {
        self.client(args).output().unwrap().into()
    }

    /// Runs a verb that must end well; its standard output.
    ///
    /// # Panics
    /// When it does not.
    pub fn ask<A: AsRef<OsStr>>(&self, args: &[A]) -> String {
        let said = self.say(args);
        assert_eq!(said.status, 0, "{}", said.err);
        said.out
    }

    /// Runs a verb that must be refused with this status, nothing on stdout, and these words on stderr.
    ///
    /// # Panics
    /// When it is not.
    pub fn refuses<A: AsRef<OsStr>>(&self, args: &[A], status: i32, words: &[&str]) {
        let said = self.say(args);
        assert_eq!((said.status, said.out.as_str()), (status, ""), "{}", said.err);
        for word in words {
            assert!(said.err.contains(word), "{word:?} is not in: {}", said.err);
        }
    }

    /// Submits with these arguments; the job's id.
    ///
    /// # Panics
    /// When it is refused.
    pub fn submit(&self, args: &[&str]) -> String {
        let out = self.ask(&[&["submit"], args].concat());
        let id = out.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {out:?}"));
        assert!(id.starts_with("job-") && id.len() == 30, "{id:?} is no id");
        id.to_owned()
    }

    /// Submits a shell script; the job's id.
    ///
    /// # Panics
    /// When it is refused.
    pub fn submit_script(&self, script: &str) -> String {
        self.submit(&["--", "sh", "-c", script])
    }

    /// One job as `inspect --json` shows it.
    ///
    /// # Panics
    /// When there is none.
    pub fn inspect(&self, job: &str) -> Value {
        serde_json::from_str(&self.ask(&["inspect", "--json", job])).unwrap()
    }

    /// Jobs as `ps --json` shows them, newest first.
    ///
    /// # Panics
    /// When it is refused.
    pub fn ps(&self, args: &[&str]) -> Vec<Value> {
        let out = self.ask(&[&["ps", "--json"], args].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until a job is in a state.
    ///
    /// # Panics
    /// When it does not come to it.
    pub fn until_state(&self, job: &str, state: &str) {
        eventually(&format!("{job} is {state}"), || self.inspect(job)["state"] == state);
    }

    /// Waits until a job has written this to its stdout.
    ///
    /// # Panics
    /// When it does not.
    pub fn until_says(&self, job: &str, words: &str) {
        eventually(&format!("{job} says {words:?}"), || self.ask(&["logs", "--stdout", job]).contains(words));
    }

    /// Waits for a job's end; its outcome.
    ///
    /// # Panics
    /// When it does not end.
    pub fn outcome(&self, job: &str) -> Value {
        self.say(&["wait", job]);
        let job = self.inspect(job);
        assert_eq!(job["state"], "finished", "{job}");
        job["outcome"].clone()
    }

    /// Its server, when one is up.
    pub fn server(&self) -> Option<u32> {
        let is_server = |pid: u32| cmdline(pid).iter().any(|word| word == "__server");
        children(self.pid()).into_iter().map(|child| child.pid).find(|pid| is_server(*pid) && is_alive(*pid))
    }

    /// Kills the server as `kill -9` does, and waits until another one answers.
    ///
    /// # Panics
    /// When none is up, or none follows.
    pub fn replace_server(&self) {
        let before = self.server().expect("a server is up");
        let pid = runtime_sys::clone::Pid(i32::try_from(before).unwrap());
        let pidfd = runtime_sys::pidfd::open(pid).unwrap();
        runtime_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&pidfd), SIGKILL).unwrap();
        eventually("another server is up", || self.server().is_some_and(|now| now != before));
        eventually("the server answers", || self.say(&["ps"]).status == 0);
    }
}
