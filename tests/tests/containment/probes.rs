//! Runs probes inside a sandbox and judges what they say: behind all walls each is contained; without the walls that it
//! names each succeeds, or it proves nothing.

use crate::{facts::Facts, host};
use runtime_tests::{Request, Stage, Who, skip};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    sync::OnceLock,
};

/// The programs of every stage.
pub const PROGRAMS: &[(&str, &str)] =
    &[("runtime", env!("CARGO_BIN_EXE_runtime-under-test")), ("probe", env!("CARGO_BIN_EXE_probe"))];

/// A line of `probe list --long`.
#[derive(Debug, Clone)]
pub struct Probe {
    /// `ROW.variant`.
    pub id: String,
    /// The walls that must all be off, sorted; empty when no switch lets it through.
    pub walls: Vec<String>,
    /// Runs with others.
    pub together: bool,
    /// Why no switch lets it through.
    pub note: String,
}

/// What a probe said.
pub type Verdicts = BTreeMap<String, (String, String)>;

/// Every probe, by its id.
pub fn list() -> &'static BTreeMap<String, Probe> {
    static LIST: OnceLock<BTreeMap<String, Probe>> = OnceLock::new();
    LIST.get_or_init(ask)
}

fn ask() -> BTreeMap<String, Probe> {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_probe")).args(["list", "--long"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, _name, walls, mode, _needs, note] = fields.as_slice() else {
            panic!("no line of a list: {line:?}")
        };
        let walls = walls.split(',').filter(|wall| *wall != "-").map(str::to_owned).collect();
        let probe = Probe { id: (*id).to_owned(), walls, together: *mode == "all", note: (*note).to_owned() };
        (probe.id.clone(), probe)
    };
    text.lines().map(parse).collect()
}

/// The probes that these names mean: a whole id, or the row that it belongs to.
pub fn chosen(names: &[&str]) -> Vec<Probe> {
    let all = list();
    let mut found = Vec::new();
    for name in names {
        let before = found.len();
        let means = |probe: &&Probe| probe.id == *name || probe.id.split('.').next() == Some(name);
        found.extend(all.values().filter(means).cloned());
        assert!(found.len() > before, "there is no probe {name}");
    }
    found
}

/// Runs these probes in one job and returns what each said.
pub fn run(stage: &Stage, facts: &Facts, ids: &[&str], walls_off: &str) -> Verdicts {
    // Without the mount wall jobs of several tests would share the host's /tmp, with pids of their own in the names of files.
    let lock = is_off("mount", walls_off).then(|| File::open(env!("CARGO_BIN_EXE_probe")).unwrap());
    if let Some(lock) = &lock {
        lock.lock().unwrap();
    }
    let output = stage.run(&request(stage, facts, ids, walls_off));
    drop(lock);
    assert!(
        output.status.success(),
        "walls off: {walls_off:?}: {}\n{}\n{}",
        output.status,
        output.errors(),
        output.text()
    );
    verdicts(&output.text())
}

/// The job: the probe comes through stdin, so the sandbox is that of any job. Without the mount wall there is no directory
/// of the job's own, and the program is where the host has it.
pub fn request(stage: &Stage, facts: &Facts, ids: &[&str], walls_off: &str) -> Request {
    let mut args: Vec<String> = ["--workdir", "/tmp", "--limit", "scratch=32MiB", "--limit", "inodes=2000"]
        .map(str::to_owned)
        .to_vec();
    for (name, value) in &facts.env {
        args.extend(["--env".to_owned(), format!("{name}={value}")]);
    }
    let mut stdin = Vec::new();
    if is_off("mount", walls_off) {
        args.extend(["--".to_owned(), stage.program("probe").to_string_lossy().into_owned()]);
    } else {
        let script = r#"cat >/tmp/probe && chmod 755 /tmp/probe && exec /tmp/probe "$@""#;
        args.extend(["-i", "--", "sh", "-c", script, "sh"].map(str::to_owned));
        stdin = fs::read(stage.program("probe")).unwrap();
    }
    args.extend(ids.iter().map(|id| (*id).to_owned()));
    let mut request = Request::new(args).without(walls_off);
    request.stdin = stdin;
    request.env = vec![("RUNTIME_TESTS_CANARY".to_owned(), facts.canary.clone())];
    request
}

fn is_off(wall: &str, walls_off: &str) -> bool {
    walls_off.split(',').any(|off| off == wall)
}

/// Lines of the probe: id, verdict, detail.
pub fn verdicts(text: &str) -> Verdicts {
    let parse = |line: &str| {
        let mut fields = line.splitn(3, '\t').map(str::to_owned);
        Some((fields.next()?, (fields.next()?, fields.next()?)))
    };
    text.lines().filter_map(parse).collect()
}

/// Every probe of these names is contained behind all walls, and succeeds without its own.
pub fn assert_story(test: &str, who: Who, names: &[&str]) {
    if let Some(reason) = who.missing() {
        return skip(test, reason);
    }
    let stage = Stage::new(who, PROGRAMS);
    let facts = Facts::gather(&stage);
    let probes: Vec<Probe> =
        chosen(names).into_iter().filter(|probe| probe.together && is_tried(probe, who)).collect();
    if probes.is_empty() {
        return skip(test, "no wall of this host is tried by it");
    }
    let ids: Vec<&str> = probes.iter().map(|probe| probe.id.as_str()).collect();
    let said = run(&stage, &facts, &ids, "");
    let open: Vec<String> = ids.iter().filter_map(|id| complaint(&said, id, "contained")).collect();
    assert!(open.is_empty(), "behind all walls:\n{}", open.join("\n"));
    assert_breaches(&stage, &facts, &probes);
}

fn is_tried(probe: &Probe, who: Who) -> bool {
    let reason = host::not_tried(probe, who);
    if let Some(reason) = reason {
        println!("{}: {reason}", probe.id);
    }
    reason.is_none()
}

/// Each probe succeeds without the walls that it names, so that a broken one cannot pass.
fn assert_breaches(stage: &Stage, facts: &Facts, probes: &[Probe]) {
    let mut by_walls: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for probe in probes {
        let walls = host::walls(probe);
        if walls.is_empty() {
            assert!(!probe.note.is_empty(), "{}: no wall lets it through, and no reason is given", probe.id);
        } else if stage.who() == Who::User && walls.iter().any(|wall| wall == "user") {
            // An ordinary user gets the other namespaces through a user namespace only: no sandbox stands without it.
            println!("{}: shown by the rootful test", probe.id);
        } else {
            by_walls.entry(walls.join(",")).or_default().push(&probe.id);
        }
    }
    let mut held = BTreeMap::new();
    for (walls, ids) in &by_walls {
        let said = run(stage, facts, ids, walls);
        for id in ids {
            if let Some(complaint) = complaint(&said, id, "breached") {
                held.insert(*id, format!("without {walls}: {complaint}"));
            }
        }
    }
    let lacking = refused_by_the_host(facts, &held.keys().copied().collect::<Vec<_>>());
    for id in &lacking {
        println!("{id}: this host's kernel refuses it to everybody: {}", held[id.as_str()]);
    }
    held.retain(|id, _| !lacking.contains(*id));
    assert!(held.is_empty(), "{}", held.into_values().collect::<Vec<_>>().join("\n"));
}

/// Why a probe did not say what was expected, if so.
pub fn complaint(said: &Verdicts, id: &str, expected: &str) -> Option<String> {
    match said.get(id) {
        Some((verdict, _)) if verdict == expected => None,
        Some((verdict, detail)) => Some(format!("{id} is {verdict}: {detail}")),
        None => Some(format!("{id} said nothing")),
    }
}

/// Probes that fail on the bare host as well, with all rights that we have: the kernel lacks what they attack.
fn refused_by_the_host(facts: &Facts, ids: &[&str]) -> BTreeSet<String> {
    if ids.is_empty() {
        return BTreeSet::new();
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_probe"));
    // Without PROBE_INSIDE: what would harm a host refuses to run there.
    command.args(ids).envs(facts.env.iter().filter(|(name, _)| name != "PROBE_INSIDE").cloned());
    let output = command.output().unwrap();
    let said = verdicts(&String::from_utf8_lossy(&output.stdout));
    said.into_iter().filter(|(_, (verdict, _))| verdict == "contained").map(|(id, _)| id).collect()
}
