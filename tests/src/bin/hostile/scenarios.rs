//! What a hostile server sends.

use crate::{
    link::{Link, job, spec, unchecked},
    reach,
};
use runtime_plan::{
    limit::LimitName,
    link::{MESSAGE_BYTES_MAX, MeasuredLimit, ToLauncher, ToServer, encode},
    spec::{Spec, UncheckedSpec, WorkspaceRequest},
};
use runtime_sys::{file, memfd, pidfd, pipe, process};
use std::{
    fs,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

/// signal(7).
const SIGKILL: i32 = 9;
/// signal(7).
const SIGUSR1: i32 = 10;
/// Starts in a flood.
const FLOOD: usize = 10_000;

/// Plays one.
pub fn play(scenario: &str, mut link: Link) {
    match scenario {
        "garbage" => garbage(&mut link),
        "descriptors" => descriptors(&mut link),
        "version" => version(&mut link),
        "names" => names(&mut link),
        "limits" => limits(&mut link),
        "duplicates" => duplicates(&mut link),
        "flood" => flood(&mut link),
        "strangers" => strangers(&mut link),
        "deaf" => deaf(&mut link),
        "reach" => reach(&mut link),
        "one_start" => one_start(&mut link),
        "memory" => memory(&mut link),
        "signals" => signals(&mut link),
        "frozen" => frozen(&mut link),
        "hang_up" => hang_up(link),
        "exit" => running_then(&mut link, || {}),
        "killed" => running_then(&mut link, kill_itself),
        other => panic!("no scenario is named {other}"),
    }
}

/// Bytes that are no message, in every form that a datagram can have.
fn garbage(link: &mut Link) {
    link.greet();
    let (fifo, fifo_end) = pipe::pipe().expect("a pipe");
    let file = fs::File::open("/usr/bin/env").expect("a file");
    let sealed = memfd::create_sealed(c"garbage", &vec![0xa5; 100_000]).expect("a memfd");
    let too_large = memfd::create_sealed(c"large", &vec![0; MESSAGE_BYTES_MAX + 1]).expect("a memfd");
    let null = file::open_null().expect("/dev/null");
    let mut noise: Vec<u8> =
        (0..60_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    // No message begins like this; one that says another version would end the launcher, as it should.
    noise[0] = 0xee;
    for length in [1, 2, 3, 7, 64, 1_000, 60_000] {
        for tag in [0, 1, 2, 0x7f, 0xff] {
            let mut datagram = vec![tag];
            datagram.extend_from_slice(&noise[..length]);
            link.tell_raw(&datagram, &[]);
            link.tell_raw(&datagram, &[null.as_fd()]);
        }
    }
    // Longer than a receiver takes, up to what the kernel carries.
    for bytes in [65_538, 100_000, 200_000] {
        link.tell_raw(&vec![0; bytes], &[]);
    }
    // A body that is no sealed memory: it would block its reader, or change under it.
    let bodies =
        [fifo.as_fd(), fifo_end.as_fd(), file.as_fd(), sealed.as_fd(), too_large.as_fd(), null.as_fd()];
    for body in bodies.into_iter().chain([link.socket.as_fd()]) {
        link.tell_raw(&[1], &[body]);
    }
    link.tell_raw(&[1], &[]);
    // Every prefix of a good message, and the message with more behind it.
    let good = encode(&ToLauncher::Plan { request: 7, spec: Box::new(spec(&["true"])) }).expect("it fits");
    for length in 0..good.len() {
        link.tell_body(&good[..length]);
    }
    link.tell_body(&[good.as_slice(), b"more"].concat());
    link.prove_alive("after-garbage");
    link.wait_for_go();
    link.stay()
}

/// Descriptors with everything: none of them may stay open in the launcher.
fn descriptors(link: &mut Link) {
    link.greet();
    let null = file::open_null().expect("/dev/null");
    for count in [1, 2, 8, 100, 253] {
        let fds: Vec<BorrowedFd<'_>> = (0..count).map(|_| null.as_fd()).collect();
        for _ in 0..20 {
            link.tell_raw(&[0, 0, 1], &fds);
            link.tell_raw(&[1], &fds);
            link.tell_raw(&[9], &fds);
        }
    }
    link.prove_alive("after-descriptors");
    link.wait_for_go();
    link.stay()
}

/// Speaks another version.
fn version(link: &mut Link) {
    link.wait_for_go();
    link.tell(&ToLauncher::Hello { version: 99 });
    link.stay()
}

/// Sends a message with some bytes replaced by others of the same length: what the types would not let a server say.
fn forge(link: &Link, message: &ToLauncher, from: &str, to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut body = encode(message).expect("it fits");
    let place =
        body.windows(from.len()).position(|window| window == from.as_bytes()).expect("the bytes are there");
    body[place..place + to.len()].copy_from_slice(to);
    link.tell_body(&body);
}

fn start_of(id: &str, unchecked: UncheckedSpec) -> ToLauncher {
    ToLauncher::Start {
        job: job(id),
        spec: Box::new(Spec::check(unchecked).expect("a spec")),
        record: Vec::new(),
    }
}

/// Names that lead elsewhere: profiles, jobs, directories.
fn names(link: &mut Link) {
    link.greet();
    let with_profile = |profile: &str| UncheckedSpec { profile: profile.to_owned(), ..unchecked(&["true"]) };
    let unknown = Spec::check(with_profile("nobody-has-this")).expect("a spec");
    let said = link.start("unknown-profile", unknown);
    link.say(&format!("unknown profile: {said}"));
    let elsewhere = UncheckedSpec { workspace: WorkspaceRequest::HostDirectory, ..unchecked(&["true"]) };
    let said = link.start("host-directory", Spec::check(elsewhere).expect("a spec"));
    link.say(&format!("host directory: {said}"));
    // None of these is a message, so none is answered.
    forge(
        link,
        &start_of("forged-1", with_profile("aaaaaaaaaaaaaaaaaaa")),
        "aaaaaaaaaaaaaaaaaaa",
        b"../../../etc/shadow",
    );
    forge(link, &start_of("bbbbbbbbbbbb", unchecked(&["true"])), "bbbbbbbbbbbb", b"../../escape");
    forge(link, &start_of("forged-2", unchecked(&["cccccc"])), "cccccc", b"tr\0ue\0");
    let workdir = UncheckedSpec { workdir: Some(b"/dddddddd/eee".to_vec()), ..unchecked(&["true"]) };
    forge(link, &start_of("forged-3", workdir), "/dddddddd/eee", b"/../../../etc");
    let variable = UncheckedSpec { env: vec![(b"FFFFFF".to_vec(), b"x".to_vec())], ..unchecked(&["true"]) };
    forge(link, &start_of("forged-4", variable), "FFFFFF", b"A=B=C=");
    forge(
        link,
        &ToLauncher::Cancel { job: job("gggg"), by: "hhhh".into(), reason: String::new(), kill: true },
        "gggg",
        b"/../",
    );
    forge(
        link,
        &ToLauncher::Cancel { job: job("gggg"), by: "hhhh".into(), reason: String::new(), kill: true },
        "hhhh",
        b"\xff\xfe\xfd\xfc",
    );
    link.tell(&ToLauncher::Plan { request: 77, spec: Box::new(spec(&["true"])) });
    // The answer to the plan is the next thing that is heard: the forged ones were dropped.
    match link.hear() {
        ToServer::Planned { request: 77, result: Ok(plan) } => {
            let climbs = ["../../", "escape", "/etc/shadow"].iter().any(|text| plan.contains(text));
            link.say(&format!("forged: dropped, and the plan names none of them: {}", !climbs));
        }
        other => link.say(&format!("forged: answered with {other:?}")),
    }
    link.prove_alive("after-names");
    link.wait_for_go();
    link.stay()
}

/// Limits above the ceilings and below the floors.
fn limits(link: &mut Link) {
    link.greet();
    for limit in LimitName::ALL {
        for (what, value) in [("most", u64::MAX), ("nothing", 0)] {
            let mut asked = unchecked(&["true"]);
            asked.limits.set(limit, value);
            let Ok(asked) = Spec::check(asked) else {
                link.say(&format!("{limit:?} {what}: no spec"));
                continue;
            };
            let id = format!("limit-{}-{what}", limit.name().replace('_', "-"));
            let said = link.start(&id, asked);
            if said == "started" {
                link.finish(&id);
            }
            link.say(&format!("{} {what}: {said}", limit.name()));
        }
    }
    link.prove_alive("after-limits");
    link.wait_for_go();
    link.stay()
}

/// The id of a job that runs, and of one that has ended and is not acknowledged.
fn duplicates(link: &mut Link) {
    link.greet();
    let said = link.start("twin", spec(&["sleep", "600"]));
    link.say(&format!("first: {said}"));
    let said = link.start("twin", spec(&["true"]));
    link.say(&format!("second while it runs: {said}"));
    link.tell(&ToLauncher::Cancel {
        job: job("twin"),
        by: "test".into(),
        reason: "x".repeat(100_000),
        kill: true,
    });
    let report = link.finish("twin");
    link.say(&format!("words kept: {}", format!("{:?}", report.outcome).len() < 2_000));
    let said = link.start("twin", spec(&["true"]));
    link.say(&format!("third before it is acknowledged: {said}"));
    link.tell(&ToLauncher::Acknowledge { job: job("twin") });
    let said = link.start("twin", spec(&["sleep", "600"]));
    link.say(&format!("fourth: {said}"));
    link.wait_for_go();
    link.stay()
}

/// Ten thousand starts.
fn flood(link: &mut Link) {
    link.greet();
    let (mut sent, mut answered, mut accepted) = (0, 0, 0);
    let sleep = spec(&["sleep", "600"]);
    while answered < FLOOD {
        if sent < FLOOD {
            let message = ToLauncher::Start {
                job: job(&format!("flood-{sent}")),
                spec: Box::new(sleep.clone()),
                record: Vec::new(),
            };
            sent += usize::from(link.try_tell(&message));
        }
        let heard = if sent < FLOOD { link.try_hear() } else { Some(link.hear()) };
        match heard {
            Some(ToServer::Accepted { .. }) => {
                accepted += 1;
                answered += 1;
            }
            Some(ToServer::Refused { .. }) => answered += 1,
            _ => {}
        }
    }
    link.say(&format!("accepted: {accepted} of {answered}"));
    link.wait_for_go();
    link.stay()
}

/// Words about jobs that are not there, and signals that are none.
fn strangers(link: &mut Link) {
    link.greet();
    let strangers = |signal| {
        let job = job("nobody");
        [
            ToLauncher::Cancel { job: job.clone(), by: "me".into(), reason: "none".into(), kill: true },
            ToLauncher::Signal { job: job.clone(), signal, all: signal % 2 == 0 },
            ToLauncher::LimitReached { job: job.clone(), limit: MeasuredLimit::Output, used: u64::MAX },
            ToLauncher::CloseStdin { job: job.clone() },
            ToLauncher::Acknowledge { job },
        ]
    };
    let signals = [i32::MIN, -1, 0, 9, 65, 4_096, i32::MAX];
    for message in signals.into_iter().flat_map(strangers) {
        link.tell(&message);
    }
    link.tell(&ToLauncher::Goodbye);
    let said = link.start("victim", spec(&["sleep", "600"]));
    link.say(&format!("victim: {said}"));
    for signal in [i32::MIN, -1, 0, 65, 4_096, i32::MAX] {
        link.tell(&ToLauncher::Signal { job: job("victim"), signal, all: false });
    }
    link.tell(&ToLauncher::Signal { job: job("victim"), signal: SIGKILL, all: false });
    let report = link.finish("victim");
    link.say(&format!("victim: {:?}", report.outcome));
    link.wait_for_go();
    link.stay()
}

/// Never reads while it asks for more and more; meanwhile a job's time runs out.
fn deaf(link: &mut Link) {
    link.greet();
    let mut short = unchecked(&["sleep", "600"]);
    short.limits.set(LimitName::WallTime, 1_500);
    let said = link.start("short", Spec::check(short).expect("a spec"));
    link.say(&format!("short: {said}"));
    let question = ToLauncher::Plan { request: 1, spec: Box::new(spec(&["true"])) };
    let deadline = Instant::now() + Duration::from_secs(4);
    let (mut sent, mut refused) = (0, 0);
    while Instant::now() < deadline {
        if link.try_tell(&question) {
            sent += 1;
        } else {
            refused += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    link.say(&format!("was stopped: {}", refused > 0));
    let status =
        fs::read_to_string(format!("/proc/{}/status", process::parent_pid().0)).expect("the launcher lives");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    link.say(&format!("peak_kib: {}", peak.trim().trim_end_matches(" kB")));
    let mut planned = 0;
    let report = loop {
        match link.hear() {
            ToServer::Planned { .. } => planned += 1,
            ToServer::Finished { report, .. } => break report,
            _ => {}
        }
    };
    link.say(&format!("short: {:?} after {} ms", report.outcome, report.usage.run_us.unwrap_or(0) / 1_000));
    // Once it is read again, everything that was asked is answered.
    while planned < sent {
        planned += u64::from(matches!(link.hear(), ToServer::Planned { .. }));
    }
    link.prove_alive("after-deafness");
    link.wait_for_go();
    link.stay()
}

/// What its own process can reach, while a job runs.
fn reach(link: &mut Link) {
    link.greet();
    let said = link.start("neighbour", spec(&["sleep", "600"]));
    link.say(&format!("neighbour: {said}"));
    reach::try_everything(link);
    link.prove_alive("after-reaching");
    link.wait_for_go();
    link.stay()
}

/// One job, in a launcher where something goes wrong.
fn one_start(link: &mut Link) {
    link.greet();
    let said = link.start("broken", spec(&["true"]));
    link.say(&format!("broken: {said}"));
    link.wait_for_go();
    link.stay()
}

/// Two jobs that take 16 MiB, of which the second is struck.
fn memory(link: &mut Link) {
    link.greet();
    for id in ["spared", "struck"] {
        let take = "head -c 16777216 /dev/zero | sort -z > /dev/null; echo $?";
        let said = link.start(id, spec(&["sh", "-c", &format!("sleep 0.3; {take}")]));
        let outcome = if said == "started" { link.finish(id).outcome } else { panic!("{said}") };
        link.say(&format!("{id}: {outcome:?}"));
    }
    link.wait_for_go();
    link.stay()
}

/// A signal to the leader alone, then to every process: its children are in sessions of their own.
fn signals(link: &mut Link) {
    link.greet();
    let child = "setsid sh -c 'trap \"echo child >&2\" USR1; while :; do sleep 0.05; done' &";
    let leader = "trap 'echo leader >&2' USR1; while :; do sleep 0.05; done";
    let said = link.start("family", spec(&["sh", "-c", &format!("{child} {child} {leader}")]));
    link.say(&format!("family: {said}"));
    let mut stderr = fs::File::from(link.pipes.pop().expect("stderr is the last"));
    // The traps have to be set first.
    std::thread::sleep(Duration::from_secs(1));
    for (all, voices) in [(false, 1), (true, 3)] {
        link.tell(&ToLauncher::Signal { job: job("family"), signal: SIGUSR1, all });
        // Shells also tell of what they waited for.
        let lines = std::iter::from_fn(|| Some(crate::successors::line(&mut stderr)));
        let own = lines.filter(|line| ["child", "leader"].contains(&line.as_str()));
        let mut heard: Vec<String> = own.take(voices).collect();
        heard.sort();
        link.say(&format!("all {all}: {}", heard.join(" ")));
    }
    // Init is not among them: it says how the job came to its end.
    link.tell(&ToLauncher::Signal { job: job("family"), signal: SIGKILL, all: true });
    let outcome = link.finish("family").outcome;
    link.say(&format!("family: {outcome:?}"));
    link.wait_for_go();
    link.stay()
}

/// A job that somebody has frozen does not end when it is killed. Nobody waits for it.
fn frozen(link: &mut Link) {
    link.greet();
    let said = link.start("frozen", spec(&["sleep", "600"]));
    link.say(&format!("frozen: {said}"));
    link.wait_for_go();
    link.tell(&ToLauncher::Cancel {
        job: job("frozen"),
        by: "test".into(),
        reason: "over".into(),
        kill: true,
    });
    let report = link.finish("frozen");
    link.say(&format!("frozen: {:?}", report.outcome));
    link.say(&format!("left: {}", report.cleanup_errors.join("; ")));
    link.tell(&ToLauncher::Acknowledge { job: job("frozen") });
    link.prove_alive("after-frost");
    link.wait_for_go();
    link.stay()
}

/// Closes the link and lives on.
fn hang_up(mut link: Link) {
    link.greet();
    let said = link.start("orphan", spec(&["sleep", "600"]));
    link.say(&format!("orphan: {said}"));
    link.wait_for_go();
    let null = file::open_null().expect("/dev/null");
    drop(std::mem::replace(&mut link.socket, null));
    // Without a word: the test hears next what the launcher makes of it.
    std::thread::sleep(Duration::from_secs(600));
}

/// Ends while a job runs.
fn running_then(link: &mut Link, end: impl FnOnce()) {
    link.greet();
    let said = link.start("orphan", spec(&["sleep", "600"]));
    link.say(&format!("orphan: {said}"));
    link.wait_for_go();
    end();
}

fn kill_itself() {
    let own = runtime_sys::clone::Pid(std::process::id().cast_signed());
    let pidfd = pidfd::open(own).expect("itself");
    pidfd::send_signal(pidfd.as_fd(), SIGKILL).expect("itself");
}
