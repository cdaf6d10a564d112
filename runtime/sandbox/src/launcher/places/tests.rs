//! Leases side by side, on directories of their own.

use super::*;
use runtime_sys::cgroup;
use std::os::unix::fs::PermissionsExt;

#[test]
fn two_launchers_never_share_an_id() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Slots::lease(directory.path()).unwrap();
    let mut second = Slots::lease(directory.path()).unwrap();
    let mut ids = std::collections::BTreeSet::from([first.server_uid(), second.server_uid()]);
    for slots in [&mut first, &mut second] {
        while let Some(slot) = slots.take() {
            for id in slot.first..slot.first + SLOT_IDS {
                assert!(ids.insert(id), "{id} was given twice");
            }
        }
    }
    assert_eq!(ids.len(), 2 * (1 + 254 * 16));
}

#[test]
fn a_block_is_free_again_when_its_holder_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let first = Slots::lease(directory.path()).unwrap();
    let uid = first.server_uid();
    first.remove().unwrap();
    assert_eq!(Slots::lease(directory.path()).unwrap().server_uid(), uid);
}

#[test]
fn a_sweep_takes_dead_instances_and_leaves_living_ones() {
    let directory = tempfile::tempdir().unwrap();
    let living = Instance::lease(directory.path()).unwrap();
    let dead = Instance::lease(directory.path()).unwrap();
    fs::write(dead.path.join("leftover"), "x").unwrap();
    let held = Slots::lease(directory.path()).unwrap();
    drop(Slots::lease(directory.path()).unwrap());
    assert_eq!(fs::read_dir(directory.path().join("slots")).unwrap().count(), 2);
    let (dead_name, dead_path) = (dead.name.clone(), dead.path.clone());
    drop(dead);
    let nothing = cgroup::discover(&directory.path().join("no-cgroups"), "", false);
    assert_eq!(sweep(directory.path(), &nothing).removed, [dead_name]);
    assert!(!dead_path.exists());
    assert!(living.path.exists());
    assert_eq!(fs::read_dir(directory.path().join("slots")).unwrap().count(), 1);
    held.remove().unwrap();
    living.remove().unwrap();
    assert_eq!(fs::read_dir(directory.path()).map_or(0, Iterator::count), 0, "what is empty goes");
}

#[test]
fn a_run_directory_goes_unless_another_user_could_make_it_then() {
    for (mode, stays) in [(0o755, false), (0o1777, true)] {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
        let run_dir = place.path().join("runtime-1");
        Instance::lease(&run_dir).unwrap().remove().unwrap();
        assert_eq!(run_dir.exists(), stays, "{mode:o}");
        assert!(!run_dir.join("instances").exists());
    }
}

#[test]
fn launchers_that_end_do_not_take_the_ground_from_those_that_start() {
    let place = tempfile::tempdir().unwrap();
    let run_dir = place.path().join("run");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..300 {
                    make_run_dir(&run_dir).unwrap();
                    Instance::lease(&run_dir).unwrap().remove().unwrap();
                }
            });
        }
    });
    assert!(!run_dir.exists());
}

#[test]
fn a_run_directory_whose_parent_is_missing_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    assert!(Instance::lease(&place.path().join("no/run")).is_err());
}

#[test]
fn a_sweep_does_not_get_into_the_way_of_launchers_that_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = cgroup::discover(&directory.path().join("no-cgroups"), "", false);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                // It may take a directory whose lock is made and not yet held: then another one is made.
                let swept = sweep(directory.path(), &nothing);
                assert!(swept.failed.is_empty(), "{:?}", swept.failed);
            }
        });
        for _ in 0..200 {
            let instance = Instance::lease(directory.path()).unwrap();
            Slots::lease(directory.path()).unwrap().remove().unwrap();
            instance.remove().unwrap();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        sweeper.join().unwrap();
    });
}
