//! Made-up groups: the files that a kernel would make are made here, then our writes are read back.

use std::fs;

use super::*;

const LIMITS: Limits = Limits {
    memory_bytes_max: 1 << 30,
    swap_bytes_max: 0,
    pids_max: 256,
    cpu_quota_us_per_100ms: Some(150_000),
    io_weight: Some(50),
};

fn group(files: &[(&str, &str)]) -> (tempfile::TempDir, Directory) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(root.path().join(name), text).unwrap();
    }
    let directory = Directory::open(root.path().to_path_buf()).unwrap();
    (root, directory)
}

fn job(directory: Directory) -> Job {
    Job { directory, applied: Applied::default(), watch: OnceCell::new() }
}

#[test]
fn every_limit_goes_into_its_file() {
    let names =
        ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max", "io.weight", "io.stat"];
    let (root, directory) = group(&names.map(|name| (name, "")));
    let applied = apply(&directory, &LIMITS).unwrap();
    assert_eq!(
        applied,
        Applied { memory: true, swap: true, pids: true, cpu: true, io: true, devices: false }
    );
    let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
    let written = names.map(read);
    assert_eq!(written, ["1073741824", "0", "1", "256", "150000 100000", "default 50", ""]);
}

#[test]
fn no_bound_is_max() {
    let (root, directory) = group(&[("pids.max", ""), ("cpu.max", "")]);
    apply(&directory, &Limits { pids_max: u64::MAX, cpu_quota_us_per_100ms: None, ..LIMITS }).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("pids.max")).unwrap(), "max");
    assert_eq!(fs::read_to_string(root.path().join("cpu.max")).unwrap(), "max 100000");
}

#[test]
fn a_missing_controller_shows_and_is_not_made_up() {
    let (root, directory) = group(&[("pids.max", "")]);
    assert_eq!(apply(&directory, &LIMITS).unwrap(), Applied { pids: true, ..Applied::default() });
    assert!(!root.path().join("memory.max").exists());
}

#[test]
fn usage_is_read_from_the_files_and_none_where_there_is_none() {
    let stat = "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_throttled 3\nthrottled_usec 70\n";
    let (_root, directory) = group(&[
        ("cpu.stat", stat),
        ("memory.peak", "4096\n"),
        ("pids.peak", "7\n"),
        ("io.stat", "8:0 rbytes=1 wbytes=2 rios=9\n8:16 rbytes=10 wbytes=20 rios=9\n"),
    ]);
    let job = job(directory);
    let expected = Usage {
        memory_peak_bytes: Some(4096),
        cpu_user: Some(Duration::from_millis(2)),
        cpu_system: Some(Duration::from_millis(1)),
        cpu_throttled: Some(Duration::from_micros(70)),
        pids_peak: Some(7),
        io_read_bytes: Some(11),
        io_write_bytes: Some(22),
    };
    assert_eq!(job.usage().unwrap(), expected);
    assert_eq!(job.cpu_used().unwrap(), Some(Duration::from_millis(3)));

    let (_root, directory) = group(&[("cpu.stat", "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\n")]);
    let usage = self::job(directory).usage().unwrap();
    let unknown = (usage.memory_peak_bytes, usage.cpu_throttled, usage.pids_peak, usage.io_read_bytes);
    assert_eq!(unknown, (None, None, None, None));
}

#[test]
fn events_are_told_apart_by_their_whole_key() {
    let memory = "low 0\nhigh 0\nmax 5\noom 4\noom_kill 3\noom_group_kill 1\n";
    let (_root, directory) = group(&[("memory.events", memory), ("pids.events", "max 2\n")]);
    let events = Events { oom_kills: 3, oom_group_kills: 1, pids_max_hits: 2, memory_max_hits: 5 };
    assert_eq!(job(directory).events().unwrap(), events);
}

#[test]
fn processes_are_counted_without_a_controller_too() {
    let (_root, directory) = group(&[("pids.current", "12\n")]);
    assert_eq!(job(directory).pids_current().unwrap(), 12);
    let (_root, directory) =
        group(&[("cgroup.threads", "1\n2\n3\n"), ("cgroup.events", "populated 1\nfrozen 0\n")]);
    let job = job(directory);
    assert_eq!((job.pids_current().unwrap(), job.populated().unwrap()), (3, true));
}

#[test]
fn kill_says_whether_the_kernel_has_it() {
    let (root, directory) = group(&[("cgroup.kill", "")]);
    assert!(job(directory).kill().unwrap());
    assert_eq!(fs::read_to_string(root.path().join("cgroup.kill")).unwrap(), "1");
    let (_root, directory) = group(&[]);
    let old = job(directory);
    assert!(!old.kill().unwrap());
    assert_eq!(old.set_frozen(true).unwrap_err().errno, Errno::ENOENT);
}

#[test]
fn controllers_are_enabled_on_the_way_and_processes_moved_into_the_leaf() {
    // Files do not act as a kernel's would: what was enabled before is seen, and each write replaces.
    let (root, _directory) = group(&[("cgroup.procs", ""), ("cgroup.subtree_control", "memory pids\n")]);
    for name in ["runtime", "runtime/one"] {
        fs::create_dir(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("cgroup.subtree_control"), "memory pids\n").unwrap();
    }
    let wanted = BTreeSet::from(["memory", "pids", "swap"].map(str::to_owned));
    let tree = open_below(root.path(), "one", &wanted).unwrap();
    assert_eq!(tree.controllers, wanted);
    assert_eq!(tree.directories(), [root.path().join("runtime/one")]);
    // Nothing to enable, so nothing was written; and with no process there is no leaf.
    assert_eq!(fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap(), "memory pids\n");
    move_into_leaf(root.path()).unwrap();
    assert!(!root.path().join(LEAF).exists());
    // A process that cannot be moved is an error in the end, not a loop.
    fs::create_dir(root.path().join(LEAF)).unwrap();
    fs::write(root.path().join(LEAF).join("cgroup.procs"), "").unwrap();
    fs::write(root.path().join("cgroup.procs"), "41\n42\n").unwrap();
    assert_eq!(move_into_leaf(root.path()).unwrap_err().errno, Errno::EBUSY);
    assert_eq!(fs::read_to_string(root.path().join(LEAF).join("cgroup.procs")).unwrap(), "42");
}
