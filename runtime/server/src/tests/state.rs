//! The state directory: one server at a time, and nothing left of an earlier one.

use crate::{RunError, prepare_state};

#[test]
fn a_state_directory_has_one_server_and_logs_of_an_earlier_one_go() {
    let place = tempfile::tempdir().unwrap();
    let old = place.path().join("jobs/job-old");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::write(old.join("stdout.000"), "old").unwrap();
    let (lock, logs) = prepare_state(place.path()).unwrap();
    assert_eq!(std::fs::read_dir(&logs).unwrap().count(), 0);
    std::fs::create_dir(logs.join("job-new")).unwrap();
    assert!(matches!(prepare_state(place.path()), Err(RunError::StateInUse(_))));
    assert!(logs.join("job-new").exists(), "a second server takes nothing away");
    drop(lock);
    prepare_state(place.path()).unwrap();
}
