//! Servers that follow each other: each plays one part, dies in its own way, and the next says what it was told.

use crate::link::{Link, job, spec, unchecked};
use runtime_plan::{
    limit::LimitName,
    link::{MeasuredLimit, PipesKind, RECORD_BYTES_MAX, ToLauncher, ToServer, VERSION},
    outcome::Outcome,
    spec::{Spec, StdinSource, UncheckedSpec},
};
use runtime_sys::{clone::Pid, file, pidfd};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// The scenarios.
pub const ALL: [&str; 3] = ["heirs", "late_heir", "stillborn_heirs"];

/// signal(7).
const SIGKILL: i32 = 9;
/// What the first server wrote about its job.
const RECORD: &[u8] = b"words of the first server";

/// A job as a server was told of it.
struct Adopted {
    id: String,
    record: Vec<u8>,
    kind: PipesKind,
    fds: Vec<OwnedFd>,
    started: bool,
    outcome: Option<Outcome>,
}

/// Plays one.
pub fn play(scenario: &str, mut link: Link) {
    let (generation, adopted) = take_over(&mut link);
    match scenario {
        "heirs" => heirs(&mut link, generation, adopted),
        "late_heir" => late_heir(&mut link, generation, adopted),
        "stillborn_heirs" => stillborn_heirs(&mut link, generation, &adopted),
        other => panic!("no scenario is named {other}"),
    }
}

/// Greets, hears everything that there is to take over, and says it.
fn take_over(link: &mut Link) -> (u32, Vec<Adopted>) {
    link.tell(&ToLauncher::Hello { version: VERSION });
    let ToServer::Hello(welcome) = link.hear() else { panic!("no greeting") };
    let same = (welcome.launcher.clone(), welcome.seal_key.0);
    link.say(&format!("server {}: of {same:?}", welcome.generation));
    let mut adopted: Vec<Adopted> = Vec::new();
    loop {
        match link.hear_all() {
            (ToServer::Adopt { job, record, pipes }, fds) => adopted.push(Adopted {
                id: job.to_string(),
                record,
                kind: pipes.kind,
                fds,
                started: false,
                outcome: None,
            }),
            (ToServer::Started { job, .. }, _) => last(&mut adopted, job.as_str()).started = true,
            (ToServer::Finished { job, report, .. }, _) => {
                last(&mut adopted, job.as_str()).outcome = Some(report.outcome);
            }
            (ToServer::AdoptionComplete, _) => break,
            (other, _) => panic!("{other:?} while there is something to adopt"),
        }
    }
    for job in &adopted {
        let whole = job.record == RECORD && job.fds.len() == job.kind.fds() && job.started;
        let Adopted { id, kind, outcome, .. } = job;
        link.say(&format!("server {} adopts {id}: whole {whole}, {kind:?}, {outcome:?}", welcome.generation));
    }
    (welcome.generation, adopted)
}

/// What follows an `Adopt` is about that job.
fn last<'a>(adopted: &'a mut [Adopted], id: &str) -> &'a mut Adopted {
    let last = adopted.last_mut().expect("a job was adopted");
    assert_eq!(last.id, id);
    last
}

fn reads_a_line() -> Spec {
    let argv = unchecked(&["sh", "-c", "read line; echo \"got $line\"; cat; echo end; exec sleep 600"]);
    Spec::check(UncheckedSpec { stdin: StdinSource::Stream, ..argv }).expect("a spec")
}

/// Five servers that follow each other.
fn heirs(link: &mut Link, generation: u32, mut adopted: Vec<Adopted>) {
    match generation {
        1 => {
            link.tell(&ToLauncher::Ready);
            let said = link.start_with("reader", reads_a_line(), RECORD.to_vec());
            link.say(&format!("reader: {said}"));
            let said = link.start_with("brief", spec(&["sh", "-c", "echo done; exit 7"]), RECORD.to_vec());
            let outcome = if said == "started" { link.finish("brief").outcome } else { panic!("{said}") };
            link.say(&format!("brief: {outcome:?}"));
            let said = link.start_with("wordy", spec(&["true"]), vec![0; RECORD_BYTES_MAX + 1]);
            link.say(&format!("wordy: {said}"));
            link.tell(&ToLauncher::CloseStdin { job: job("nobody") });
            // And goes, without a word.
        }
        2 => {
            link.tell(&ToLauncher::Ready);
            for id in ["reader", "brief"] {
                let said = link.start(id, spec(&["true"]));
                link.say(&format!("{id} again: {said}"));
            }
            // Of these the first still runs, the second was never there.
            for id in ["reader", "nobody"] {
                link.tell(&ToLauncher::Acknowledge { job: job(id) });
            }
            let brief = adopted.pop().expect("brief is the younger one");
            let mut text = String::new();
            output(brief, 0).read_to_string(&mut text).expect("what brief wrote");
            link.say(&format!("brief wrote: {}", text.trim()));
            link.tell(&ToLauncher::Acknowledge { job: job("brief") });
            let mut reader = adopted.pop().expect("the reader is the older one");
            let mut stdin = File::from(reader.fds.remove(0));
            stdin.write_all(b"hello\n").expect("the reader reads");
            let mut stdout = output(reader, 0);
            link.say(&format!("reader wrote: {}", line(&mut stdout)));
            drop(stdin);
            link.tell(&ToLauncher::CloseStdin { job: job("reader") });
            link.say(&format!("reader wrote: {}", line(&mut stdout)));
            kill_itself();
        }
        3 => {
            link.tell(&ToLauncher::Ready);
            link.tell(&ToLauncher::LimitReached {
                job: job("reader"),
                limit: MeasuredLimit::IdleTime,
                used: 1,
            });
            link.tell(&ToLauncher::Cancel {
                job: job("reader"),
                by: "test".into(),
                reason: "over".into(),
                kill: true,
            });
            let outcome = link.finish("reader").outcome;
            link.say(&format!("reader: {outcome:?}"));
            link.tell(&ToLauncher::Acknowledge { job: job("reader") });
            link.say("hangs up");
            let null = file::open_null().expect("/dev/null");
            drop(std::mem::replace(&mut link.socket, null));
            std::thread::sleep(Duration::from_secs(600));
        }
        4 => {
            link.tell(&ToLauncher::Ready);
            link.tell(&ToLauncher::Hello { version: 99 });
            std::thread::sleep(Duration::from_secs(600));
        }
        _ => {
            link.tell(&ToLauncher::Ready);
            link.prove_alive("after-five");
            link.wait_for_go();
            link.stay()
        }
    }
}

/// While nobody listens, a job's time runs out.
fn late_heir(link: &mut Link, generation: u32, adopted: Vec<Adopted>) {
    match generation {
        1 => {
            link.tell(&ToLauncher::Ready);
            let mut short = unchecked(&["sleep", "600"]);
            short.limits.set(LimitName::WallTime, 1_000);
            let said = link.start_with("short", Spec::check(short).expect("a spec"), RECORD.to_vec());
            link.say(&format!("short: {said}"));
        }
        2 => {
            std::thread::sleep(Duration::from_secs(2));
            kill_itself();
        }
        _ => {
            link.tell(&ToLauncher::Ready);
            if let Some(Outcome::Limit(hit)) = adopted.first().and_then(|job| job.outcome.as_ref()) {
                link.say(&format!("used: {}", hit.used.unwrap_or(0)));
            }
            link.wait_for_go();
            link.stay()
        }
    }
}

/// Five servers die before they serve; then one serves.
fn stillborn_heirs(link: &mut Link, generation: u32, adopted: &[Adopted]) {
    if generation == 1 {
        link.tell(&ToLauncher::Ready);
        let said = link.start_with("patient", spec(&["sleep", "600"]), RECORD.to_vec());
        link.say(&format!("patient: {said}"));
    } else if generation == 7 {
        link.tell(&ToLauncher::Ready);
        link.say(&format!("adopted at last: {}", adopted.len()));
        link.wait_for_go();
        link.stay()
    }
}

fn output(job: Adopted, index: usize) -> File {
    File::from(job.fds.into_iter().nth(index).expect("its pipe"))
}

/// A line, byte by byte: what comes behind it stays in the pipe.
pub fn line(from: &mut File) -> String {
    let mut line = Vec::new();
    let mut byte = [0; 1];
    while from.read(&mut byte).expect("the job writes") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).into_owned()
}

fn kill_itself() {
    let pidfd = pidfd::open(Pid(std::process::id().cast_signed())).expect("itself");
    pidfd::send_signal(pidfd.as_fd(), SIGKILL).expect("itself");
}
