//! What the jobs of the storm do, and what must be true of each at its end.

use runtime_proto::v1::{JobSpec, Limits, Outcome, outcome::Cause};
use runtime_tests::Who;
use std::fmt::Write;

/// A kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes a lot, as fast as it can.
    Flood,
    /// Writes a line now and then.
    Chatty,
    /// Writes to both streams.
    Both,
    /// Bytes that are no text.
    Binary,
    /// Sleeps, and ends with a code of its own.
    Silent,
    /// Is over at once.
    Short,
    /// Has many children, some of which outlive their parents.
    Forking,
    /// Kills itself.
    Crashing,
    /// Chooses the code that a killed job would have.
    Chosen137,
    /// Runs into its wall time.
    Overdue,
    /// Runs into its memory limit.
    Hungry,
    /// Writes more than it may.
    Overflowing,
}

/// How a job must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// By this limit.
    Limit(&'static str),
}

impl Kind {
    /// The kinds whose end is known for this actor.
    pub fn all(who: Who) -> Vec<Kind> {
        let mut kinds = vec![
            Kind::Flood,
            Kind::Chatty,
            Kind::Both,
            Kind::Binary,
            Kind::Silent,
            Kind::Short,
            Kind::Forking,
            Kind::Crashing,
            Kind::Chosen137,
            Kind::Overdue,
            Kind::Overflowing,
        ];
        if who == Who::Root {
            // Without a cgroup the kernel refuses the memory instead, and the program ends in its own way.
            kinds.push(Kind::Hungry);
        }
        kinds
    }

    fn script(self) -> &'static str {
        match self {
            Kind::Flood => "seq 1 300000",
            Kind::Chatty => "for i in $(seq 1 40); do echo line $i; sleep 0.05; done",
            Kind::Both => "for i in $(seq 1 500); do echo out $i; echo err $i >&2; done",
            Kind::Binary => "head -c 1000000 /dev/zero | tr '\\0' '\\377'; printf '\\0\\1\\2\\200'",
            Kind::Silent => "sleep 1.5; exit 7",
            Kind::Short => "exit 3",
            Kind::Forking => {
                "for i in $(seq 1 20); do (sleep 0.2; true) & done; (setsid sh -c 'sleep 1000' &); wait; echo forked"
            }
            Kind::Crashing => "echo before; kill -SEGV $$; sleep 1",
            Kind::Chosen137 => "echo chosen; exit 137",
            Kind::Overdue => "echo started; sleep 1000",
            Kind::Hungry => {
                "echo eating; exec python3 -c 'b = bytearray(400 << 20); import time; time.sleep(1000)'"
            }
            Kind::Overflowing => "yes 0123456789abcde",
        }
    }

    /// What to run.
    pub fn spec(self) -> JobSpec {
        let argv = ["sh", "-c", self.script()].map(|word| word.as_bytes().to_vec().into());
        let mut limits = Limits::default();
        match self {
            Kind::Overdue => limits.wall_time = Some(prost_types::Duration { seconds: 2, nanos: 0 }),
            Kind::Hungry => limits.memory_bytes = Some(64 << 20),
            Kind::Overflowing => limits.output_bytes = Some(3_000_000),
            _ => {}
        }
        JobSpec { argv: argv.to_vec(), limits: Some(limits), ..JobSpec::default() }
    }

    /// How it must end.
    pub fn expected(self) -> Expected {
        match self {
            Kind::Silent => Expected::Exited(7),
            Kind::Short => Expected::Exited(3),
            Kind::Crashing => Expected::Signalled(11),
            Kind::Chosen137 => Expected::Exited(137),
            Kind::Overdue => Expected::Limit("wall_time"),
            Kind::Hungry => Expected::Limit("memory"),
            Kind::Overflowing => Expected::Limit("output"),
            _ => Expected::Exited(0),
        }
    }

    /// Every byte that it writes to stdout and stderr.
    pub fn output(self) -> (Vec<u8>, Vec<u8>) {
        let lines = |count: u32, prefix: &str| {
            let mut text = String::new();
            for number in 1..=count {
                writeln!(text, "{prefix}{number}").unwrap();
            }
            text.into_bytes()
        };
        match self {
            Kind::Flood => (lines(300_000, ""), Vec::new()),
            Kind::Chatty => (lines(40, "line "), Vec::new()),
            Kind::Both => (lines(500, "out "), lines(500, "err ")),
            Kind::Binary => ([vec![0xff; 1_000_000], vec![0, 1, 2, 0x80]].concat(), Vec::new()),
            Kind::Silent | Kind::Short => (Vec::new(), Vec::new()),
            Kind::Forking => (b"forked\n".to_vec(), Vec::new()),
            Kind::Crashing => (b"before\n".to_vec(), Vec::new()),
            Kind::Chosen137 => (b"chosen\n".to_vec(), Vec::new()),
            Kind::Overdue => (b"started\n".to_vec(), Vec::new()),
            Kind::Hungry => (b"eating\n".to_vec(), Vec::new()),
            Kind::Overflowing => (b"0123456789abcde\n".repeat(3_000_000 / 16), Vec::new()),
        }
    }

    /// Panics when the outcome is not the true one.
    pub fn check(self, outcome: &Outcome, of: &str) {
        let seen = match outcome.cause.as_ref().expect("an outcome has a cause") {
            Cause::Exited(exited) => Expected::Exited(exited.code),
            Cause::Signalled(signalled) => Expected::Signalled(signalled.signal),
            Cause::Limit(hit) => match self.expected() {
                Expected::Limit(name) if name == hit.limit => self.expected(),
                _ => panic!("{of} {self:?} ended by {hit:?}"),
            },
            other => panic!("{of} {self:?} ended as {other:?}"),
        };
        assert_eq!(seen, self.expected(), "{of} {self:?}: {outcome:?}");
        let (stdout, stderr) = self.output();
        assert_eq!(
            (outcome.stdout_bytes, outcome.stderr_bytes),
            (stdout.len() as u64, stderr.len() as u64),
            "{of} {self:?}"
        );
    }
}
