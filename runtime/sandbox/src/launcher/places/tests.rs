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
fn what_is_empty_of_the_run_directory_goes() {
    let directory = tempfile::tempdir().unwrap();
    let run_dir = directory.path();
    let (living, held) = (Instance::lease(run_dir).unwrap(), Slots::lease(run_dir).unwrap());
    let server = ServerUid::lease(run_dir, None).unwrap();
    tidy(run_dir).unwrap();
    assert!(living.path.exists() && held.lease_path().exists() && server.lease_path().exists());
    held.remove().unwrap();
    server.remove().unwrap();
    living.remove().unwrap();
    assert_eq!(fs::read_dir(run_dir).map_or(0, Iterator::count), 0);
}

#[test]
fn ids_whose_holder_died_are_not_leased_before_somebody_looked_who_has_them() {
    let directory = tempfile::tempdir().unwrap();
    let (first, server) =
        (Slots::lease(directory.path()).unwrap(), ServerUid::lease(directory.path(), None).unwrap());
    let (block, uid) = (first.server_uid(), server.uid());
    drop((first, server));
    assert_ne!(Slots::lease(directory.path()).unwrap().server_uid(), block);
    assert_ne!(ServerUid::lease(directory.path(), Some(uid)).unwrap().uid(), uid);
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
                let swept = crate::gc::sweep(directory.path(), &nothing);
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

#[test]
fn a_run_directory_that_another_user_made_is_not_looked_into() {
    let place = tempfile::tempdir().unwrap();
    let (run_dir, link) = (place.path().join("run"), place.path().join("link"));
    assert!(!has_run_dir(&run_dir).unwrap());
    fs::create_dir(&run_dir).unwrap();
    fs::set_permissions(&run_dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(has_run_dir(&run_dir).unwrap());
    std::os::unix::fs::symlink(&run_dir, &link).unwrap();
    assert!(matches!(has_run_dir(&link), Err(PlaceError::Foreign { .. })));
    fs::set_permissions(&run_dir, fs::Permissions::from_mode(0o775)).unwrap();
    assert!(matches!(has_run_dir(&run_dir), Err(PlaceError::Foreign { .. })));
    if process::effective_uid() != 0 {
        println!("SKIP {}: needs root", std::thread::current().name().unwrap_or_default());
        return;
    }
    fs::set_permissions(&run_dir, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&run_dir, Some(1), Some(1)).unwrap();
    assert!(matches!(has_run_dir(&run_dir), Err(PlaceError::Foreign { uid: 1, .. })));
}
