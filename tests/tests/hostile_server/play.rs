//! Starts a hostile server, hears what it says, and looks whether anything stays.

use runtime_tests::{Process, Stage, Traces, Who, children, eventually, skip};
use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

/// The programs on the stage.
const PROGRAMS: &[(&str, &str)] =
    &[("hostile", env!("CARGO_BIN_EXE_hostile")), ("runtime", env!("CARGO_BIN_EXE_runtime-under-test"))];

/// Runs a story as root or as an ordinary user, where the host lets us.
pub fn as_whom(test: &str, who: Who, story: fn(&Stage)) {
    match who.missing() {
        Some(reason) => skip(test, reason),
        None => story(&Stage::new(who, PROGRAMS)),
    }
}

/// A launcher with a hostile server.
pub struct Play {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    traces: Traces,
    /// What the server said before it was ready.
    pub said: Vec<String>,
}

/// How it ended.
pub struct Ended {
    /// What the server said after `go`.
    pub said: Vec<String>,
    /// What the launcher told its caller of a fatal error.
    pub fatal: String,
    /// The launcher's end.
    pub status: String,
}

impl Play {
    /// Starts the scenario and waits until the server has tried everything, or is about to.
    pub fn start(stage: &Stage, scenario: &str) -> Play {
        Play::start_with(stage, &[scenario], &[])
    }

    /// The same with faults, and with variables.
    pub fn start_with(stage: &Stage, args: &[&str], variables: &[(&str, &str)]) -> Play {
        let mut traces = Traces::before();
        let mut command = stage.command(stage.program("hostile"));
        command.args(args).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.by_ref().map(Result::unwrap).take_while(|line| line != "ready").collect::<Vec<_>>();
        traces.note(child.id());
        let stdin = child.stdin.take();
        Play { child, stdin, lines, traces, said }
    }

    /// Lets the server go on until it is ready for more, and hears it.
    pub fn go_on(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        self.said.extend(self.lines.by_ref().map(Result::unwrap).take_while(|line| line != "ready"));
        self.traces.note(self.child.id());
    }

    /// Whether the server said this.
    pub fn heard(&self, line: &str) -> bool {
        self.said.iter().any(|said| said == line)
    }

    /// The value of a line `name: value`.
    pub fn value(&self, name: &str) -> String {
        let prefix = format!("{name}: ");
        let found = self.said.iter().rev().find_map(|line| line.strip_prefix(&prefix));
        found.unwrap_or_else(|| panic!("no {name} in {:#?}", self.said)).to_owned()
    }

    /// The launcher.
    pub fn launcher(&self) -> Process {
        children(self.child.id()).into_iter().next().expect("the launcher runs")
    }

    /// Lets the server go on, hears it to `done` or to its end, closes the lifeline and waits for the end of all.
    pub fn end(mut self) -> Ended {
        let mut stdin = self.stdin.take().unwrap();
        stdin.write_all(b"go\n").unwrap();
        let mut rest = Vec::new();
        for line in self.lines.by_ref().map(Result::unwrap) {
            let last = line == "done" || line.starts_with("fatal: ");
            rest.push(line);
            if last {
                break;
            }
        }
        drop(stdin);
        rest.extend(self.lines.by_ref().map(Result::unwrap));
        assert!(self.child.wait().unwrap().success(), "{rest:?}");
        let traces = std::mem::take(&mut self.traces);
        let (processes, launchers, _) = traces.counts();
        assert!(processes >= 4 && launchers == 1, "hostile, launcher, zygote, server were noted");
        eventually("nothing is left", || {
            let remaining = traces.remaining();
            if !remaining.is_empty() {
                println!("still there: {remaining:?}");
            }
            remaining.is_empty()
        });
        let take = |name: &str| {
            let found = rest.iter().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name} in {rest:?}")).to_owned()
        };
        Ended { fatal: take("fatal: "), status: take("status: "), said: rest }
    }

    /// The end of a launcher that nothing has harmed.
    pub fn end_well(self) {
        let ended = self.end();
        assert_eq!(
            (ended.fatal.as_str(), ended.status.as_str()),
            ("", "Exited { code: 0 }"),
            "{:?}",
            ended.said
        );
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        // A test that fails before the end must not leave a server that stays for ever.
        drop(self.stdin.take());
        self.child.wait().unwrap();
    }
}
