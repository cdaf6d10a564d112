//! One `runtime run` without a daemon: what goes in, what comes out.

use crate::Stage;
use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A run that takes longer hangs: far above what any takes on a machine that is emulated.
const TIMEOUT: Duration = Duration::from_secs(150);

/// What goes in.
#[derive(Debug, Default, Clone)]
pub struct Request {
    /// Arguments after `run`: flags, `--`, the command.
    pub args: Vec<OsString>,
    /// Bytes for stdin; nothing is read without `-i` in the arguments.
    pub stdin: Vec<u8>,
    /// More environment of the launcher's own process.
    pub env: Vec<(String, String)>,
    /// Walls that are down for this run, by name with commas between.
    pub walls_off: String,
}

impl Request {
    /// A request with these arguments after `run`.
    pub fn new<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Request {
        Request { args: args.into_iter().map(Into::into).collect(), ..Request::default() }
    }

    /// The same with these walls off.
    pub fn without(mut self, walls: &str) -> Request {
        walls.clone_into(&mut self.walls_off);
        self
    }
}

/// What came out.
#[derive(Debug)]
pub struct Output {
    /// How the command line ended.
    pub status: ExitStatus,
    /// Its stdout.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: Vec<u8>,
    /// What `--report` wrote; null when there was none.
    pub report: serde_json::Value,
}

impl Output {
    /// Its stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its stderr as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The state of a wall in the report: `WALL_STATE_UP` and the like.
    pub fn wall_state(&self, wall: &str) -> String {
        let walls = self.report["enforcement"]["walls"].as_array().cloned().unwrap_or_default();
        let found = walls.iter().find(|entry| entry["wall"] == wall);
        found.and_then(|entry| entry["state"].as_str()).unwrap_or("not reported").to_owned()
    }
}

impl Stage {
    /// Runs `runtime run --embedded` and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time; it is killed then.
    pub fn run(&self, request: &Request) -> Output {
        let report = tempfile::Builder::new().prefix("report-").tempfile_in(self.open_directory()).unwrap();
        let report = report.into_temp_path();
        fs::remove_file(&report).unwrap();
        let mut command = self.command(self.program("runtime"));
        command.args(["run", "--embedded", "--report"]).arg(report.as_os_str()).args(&request.args);
        command.envs(request.env.iter().map(|(name, value)| (name, value)));
        if !request.walls_off.is_empty() {
            command.env("RUNTIME_TEST_WALLS_OFF", &request.walls_off);
        }
        let (status, stdout, stderr) = run_to_end(command, request.stdin.clone());
        let report = fs::read(&report).map_or(serde_json::Value::Null, |text| {
            serde_json::from_slice(&text).expect("the report is one JSON object")
        });
        Output { status, stdout, stderr, report }
    }
}

fn run_to_end(mut command: Command, stdin: Vec<u8>) -> (ExitStatus, Vec<u8>, Vec<u8>) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut pipe = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        // A command that does not read to the end is no failure of the harness.
        pipe.write_all(&stdin).ok();
    });
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    let status = wait(&mut child, TIMEOUT);
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    writer.join().unwrap();
    let Some(status) = status else {
        panic!(
            "{command:?} did not end within {TIMEOUT:?}; stdout {:?}, stderr {:?}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        );
    };
    (status, stdout, stderr)
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Waits for a child's end, but not for ever.
pub fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(3));
    }
}
