//! Leftovers made up in directories of their own, with control groups that are plain directories.

use super::*;
use crate::launcher::places::{Instance, Owns, ServerUid, Slots};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::{Child, Command},
};

/// A host of a test: run directory, groups, /proc.
struct Host {
    place: tempfile::TempDir,
    groups: cgroup::Facts,
}

impl Host {
    fn new() -> Host {
        let place = tempfile::tempdir().unwrap();
        let mut groups = cgroup::discover(&place.path().join("no-cgroups"), "", false);
        let trees = ["pids", "memory"].map(|tree| (tree.to_owned(), place.path().join("cgroup").join(tree)));
        groups.places = BTreeMap::from(trees);
        for directory in ["run", "proc", "cgroup/pids/runtime", "cgroup/memory/runtime"] {
            fs::create_dir_all(place.path().join(directory)).unwrap();
        }
        Host { place, groups }
    }

    fn run_dir(&self) -> PathBuf {
        self.place.path().join("run")
    }

    fn find(&self) -> Found {
        find::find(&self.view(&self.run_dir()))
    }

    fn view<'a>(&'a self, run_dir: &'a Path) -> View<'a> {
        View { run_dir, groups: &self.groups, host: HostRoot::new(self.place.path()), thorough: true }
    }

    fn remove(&self) -> Found {
        let run_dir = self.run_dir();
        let mut found = self.find();
        remove::remove(&self.view(&run_dir), &mut found, Duration::from_millis(300));
        found
    }

    /// A dead launcher: its name.
    fn dead(&self) -> String {
        Instance::lease(&self.run_dir()).unwrap().name.clone()
    }

    fn instance(&self, name: &str) -> PathBuf {
        self.run_dir().join("instances").join(name)
    }

    fn make_group(&self, tree: &str, below: &str) -> PathBuf {
        let group = self.place.path().join("cgroup").join(tree).join("runtime").join(below);
        fs::create_dir_all(&group).unwrap();
        group
    }

    fn write_status(&self, pid: u32, state: char, pending: bool, uid: u32) {
        let mask = if pending { "0000000000000100" } else { "0000000000000000" };
        let text = format!(
            "Name:\tsleep\nState:\t{state} (x)\nPPid:\t1\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nSigPnd:\t{mask}\nShdPnd:\t{mask}\nSigBlk:\t0\n"
        );
        let directory = self.place.path().join("proc").join(pid.to_string());
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("status"), text).unwrap();
    }
}

/// What was found, as kind, instance and job.
fn names(found: &Found) -> Vec<(&'static str, Option<&str>, Option<&str>)> {
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    found.leftovers.iter().map(|it| (it.kind.name(), it.instance.as_deref(), it.job.as_deref())).collect()
}

fn all_removed(found: &Found) {
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    for leftover in &found.leftovers {
        assert_eq!(leftover.fate, Fate::Removed, "{leftover:?}");
    }
}

/// A process of this test that a kill may reach.
struct Victim(Child);

impl Victim {
    fn new() -> Victim {
        Victim(Command::new("sleep").arg("600").spawn().unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().unwrap();
    }
}

#[test]
fn nothing_is_found_of_launchers_that_live() {
    let host = Host::new();
    let instance = Instance::lease(&host.run_dir()).unwrap();
    let slots = Slots::lease(&host.run_dir()).unwrap();
    let server = ServerUid::lease(&host.run_dir(), None).unwrap();
    host.make_group("pids", &format!("{}/job-1", instance.name));
    let socket = host.run_dir().join("api.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    host.write_status(77, 'S', false, slots.server_uid() + 1);
    Owns { sockets: vec![socket], ..Owns::default() }.write(&instance.path).unwrap();
    assert_eq!(names(&host.find()), []);
    all_removed(&host.remove());
    assert!(instance.path.exists() && slots.lease_path().exists() && server.lease_path().exists());
}

#[test]
fn everything_of_a_dead_launcher_is_named_with_its_job_and_removed() {
    let host = Host::new();
    let name = host.dead();
    let slots = Slots::lease(&host.run_dir()).unwrap();
    let lease = slots.lease_path().to_owned();
    drop(slots);
    let socket = host.place.path().join("old.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let owns = Owns { sockets: vec![socket.clone()], leases: vec![lease], ..Owns::default() };
    owns.write(&host.instance(&name)).unwrap();
    fs::create_dir_all(host.instance(&name).join("state/logs/7Z/job-7Z")).unwrap();
    for tree in ["pids", "memory"] {
        host.make_group(tree, &format!("{name}/job-1"));
    }
    let (one, job) = (Some(name.as_str()), Some("job-1"));
    let expected = vec![
        ("cgroup", one, job),
        ("cgroup", one, None),
        ("cgroup", one, job),
        ("cgroup", one, None),
        ("socket", one, None),
        ("directory", one, Some("job-7Z")),
        ("directory", one, None),
        ("lease", one, None),
    ];
    // Looking changes nothing.
    for _ in 0..2 {
        assert_eq!(names(&host.find()), expected);
    }
    let found = host.remove();
    assert_eq!(names(&found), expected);
    all_removed(&found);
    assert_eq!(found.gone(), std::slice::from_ref(&name));
    assert!(!host.instance(&name).exists() && !socket.exists());
    assert!(!host.place.path().join("cgroup/pids/runtime").exists(), "nobody uses it");
    assert_eq!(names(&host.find()), []);
}

#[test]
fn groups_without_a_lease_are_a_dead_launchers_unless_they_are_held() {
    let host = Host::new();
    let held = host.make_group("pids", "00000000000000aa");
    host.make_group("pids", "00000000000000bb/job-2");
    host.make_group("pids", "somebody-elses");
    let lock = fs::File::open(&held).unwrap();
    assert!(runtime_sys::file::try_lock_exclusive(std::os::fd::AsFd::as_fd(&lock)).unwrap());
    let dead = Some("00000000000000bb");
    assert_eq!(names(&host.find()), [("cgroup", dead, Some("job-2")), ("cgroup", dead, None)]);
    all_removed(&host.remove());
    drop(lock);
    assert_eq!(names(&host.find()), [("cgroup", Some("00000000000000aa"), None)]);
}

#[test]
fn a_process_that_does_not_die_is_named_and_keeps_what_leads_to_it() {
    let host = Host::new();
    let name = host.dead();
    let other = host.dead();
    let slots = Slots::lease(&host.run_dir()).unwrap();
    let (lease, uid) = (slots.lease_path().to_owned(), slots.server_uid() + 17);
    drop(slots);
    let victim = Victim::new();
    let group = host.make_group("pids", &format!("{name}/job-1"));
    fs::write(group.join("cgroup.procs"), format!("{}\n", victim.0.id())).unwrap();
    host.write_status(victim.0.id(), 'D', true, uid);
    let found = host.remove();
    let stuck: BTreeSet<&str> = found
        .leftovers
        .iter()
        .filter(|it| matches!(it.fate, Fate::Stuck(_)))
        .map(|it| it.kind.name())
        .collect();
    assert_eq!(stuck, BTreeSet::from(["process", "cgroup", "directory", "lease"]));
    let process = &found.leftovers[0];
    assert_eq!((process.job.as_deref(), process.instance.as_deref()), (Some("job-1"), Some(name.as_str())));
    let Fate::Stuck(why) = &process.fate else { panic!("{process:?}") };
    assert!(why.contains(&victim.0.id().to_string()) && why.contains("state is D"), "{why}");
    assert_eq!(found.gone(), [other], "the other dead launcher is cleaned up all the same");
    assert!(host.instance(&name).exists() && lease.exists());
    // Nobody gets host ids that a process has.
    drop(found);
    assert_ne!(Slots::lease(&host.run_dir()).unwrap().lease_path(), lease);
    // It ended: the next time all goes.
    fs::remove_file(group.join("cgroup.procs")).unwrap();
    fs::remove_dir_all(host.place.path().join("proc").join(victim.0.id().to_string())).unwrap();
    all_removed(&host.remove());
    assert!(!host.instance(&name).exists() && !lease.exists());
}

#[test]
fn a_process_with_a_dead_launchers_id_is_found_unless_a_launcher_is_above_it() {
    let host = Host::new();
    let slots = Slots::lease(&host.run_dir()).unwrap();
    let uid = slots.server_uid() + 17;
    drop(slots);
    host.write_status(5001, 'S', false, uid);
    fs::write(host.place.path().join("proc/5001/cgroup"), "4:pids:/runtime/00000000000000cc/job-9\n")
        .unwrap();
    host.write_status(5002, 'Z', false, uid);
    host.write_status(5003, 'S', false, uid + 100_000);
    let found = host.find();
    assert_eq!(names(&found), [("process", Some("00000000000000cc"), Some("job-9")), ("lease", None, None)]);
    drop(found);
    // Its parent is a launcher.
    let launcher =
        "Name:\truntime\nState:\tS (x)\nPPid:\t0\nUid:\t0\t0\t0\t0\nSigPnd:\t0\nShdPnd:\t0\nSigBlk:\t0\n";
    fs::create_dir_all(host.place.path().join("proc/1")).unwrap();
    fs::write(host.place.path().join("proc/1/status"), launcher).unwrap();
    assert_eq!(names(&host.find()), [("lease", None, None)]);
}

#[test]
fn mounts_and_loop_devices_in_directories_of_the_dead_are_found() {
    let host = Host::new();
    let name = host.dead();
    let living = Instance::lease(&host.run_dir()).unwrap();
    let state = host.place.path().join("state");
    fs::create_dir(&state).unwrap();
    Owns { state_dir: Some(state.clone()), ..Owns::default() }.write(&host.instance(&name)).unwrap();
    let root = |path: &Path| path.canonicalize().unwrap().display().to_string();
    let (dead_dir, living_dir, state_dir) = (root(&host.instance(&name)), root(&living.path), root(&state));
    fs::create_dir_all(host.place.path().join("proc/self")).unwrap();
    let mounts = [
        format!("40 22 0:50 / {dead_dir}/work rw - tmpfs tmpfs rw"),
        format!("41 22 0:51 net:[1] {dead_dir}/net rw - nsfs nsfs rw"),
        format!("42 22 0:52 / {living_dir}/work rw - tmpfs tmpfs rw"),
        format!("43 22 0:53 / {state_dir}/logs rw - ext4 /dev/sdb rw"),
    ];
    fs::write(host.place.path().join("proc/self/mountinfo"), mounts.join("\n")).unwrap();
    for (device, file) in [("loop0", format!("{state_dir}/image")), ("loop1", format!("{living_dir}/image"))]
    {
        let directory = host.place.path().join("sys/block").join(device).join("loop");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("backing_file"), file).unwrap();
    }
    let one = Some(name.as_str());
    let expected = [
        ("loop_device", one, None),
        ("mount", one, None),
        ("network_namespace", one, None),
        ("directory", one, None),
    ];
    assert_eq!(names(&host.find()), expected);
    // A living launcher has the state directory of the dead one: what is in it is in use.
    Owns { state_dir: Some(state), ..Owns::default() }.write(&living.path).unwrap();
    assert_eq!(names(&host.find()), &expected[1..]);
}

#[test]
fn a_state_directory_cannot_lead_us_astray() {
    let host = Host::new();
    let name = host.dead();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(outside.path().join("aa/job-x")).unwrap();
    fs::create_dir_all(host.instance(&name).join("state")).unwrap();
    std::os::unix::fs::symlink(outside.path(), host.instance(&name).join("state/logs")).unwrap();
    let found = host.remove();
    assert_eq!(names(&found), [("directory", Some(name.as_str()), None)]);
    all_removed(&found);
    assert!(outside.path().join("aa/job-x").exists());
}

#[test]
fn a_sweep_says_which_launchers_are_gone_and_what_is_stuck() {
    let host = Host::new();
    let (name, living) = (host.dead(), Instance::lease(&host.run_dir()).unwrap());
    fs::write(host.instance(&name).join("leftover"), "x").unwrap();
    let swept = sweep(&host.run_dir(), &host.groups);
    assert_eq!((swept.removed, swept.failed), (vec![name], vec![]));
    let stuck = host.dead();
    let group = host.make_group("pids", &stuck);
    fs::write(group.join("file"), "x").unwrap();
    let swept = sweep(&host.run_dir(), &host.groups);
    assert!(swept.removed.is_empty());
    assert_eq!(swept.failed.len(), 1, "{:?}", swept.failed);
    assert!(swept.failed[0].starts_with("cgroup "), "{:?}", swept.failed);
    living.remove().unwrap();
}

#[test]
fn what_is_no_launchers_directory_stays_whatever_stands_among_them() {
    let host = Host::new();
    let (name, outside) = (host.dead(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("precious"), "x").unwrap();
    let letters = host.instance("Documents");
    fs::create_dir(&letters).unwrap();
    let link = host.instance("00000000feedbeef");
    std::os::unix::fs::symlink(outside.path(), &link).unwrap();
    let found = host.remove();
    assert!(found.leftovers.iter().all(|it| it.instance.as_ref() == Some(&name)), "{found:?}");
    assert!(letters.exists() && link.is_symlink() && outside.path().join("precious").exists());
}
