//! The link itself: another version, a closed end, a server that is gone. Jobs end with it, and nothing stays.

use crate::play::Play;
use runtime_tests::Stage;

crate::both!(
    a_server_of_another_version_cannot_go_on,
    a_server_cannot_keep_jobs_by_hanging_up,
    a_server_cannot_leave_jobs_behind_by_exiting,
    a_server_cannot_leave_jobs_behind_by_dying,
);

fn a_server_of_another_version_cannot_go_on(stage: &Stage) {
    let ended = Play::start(stage, "version").end();
    assert!(ended.fatal.contains("version 99"), "{}", ended.fatal);
    assert_eq!(ended.status, "Exited { code: 1 }");
}

fn a_server_cannot_keep_jobs_by_hanging_up(stage: &Stage) {
    let play = Play::start(stage, "hang_up");
    assert_eq!(play.value("orphan"), "started");
    let ended = play.end();
    assert!(ended.fatal.contains("the server ended by itself"), "{}", ended.fatal);
    assert_eq!(ended.status, "Exited { code: 1 }");
}

fn a_server_cannot_leave_jobs_behind_by_exiting(stage: &Stage) {
    let play = Play::start(stage, "exit");
    assert_eq!(play.value("orphan"), "started");
    let ended = play.end();
    assert!(ended.fatal.contains("the server ended by itself"), "{}", ended.fatal);
    assert_eq!(ended.status, "Exited { code: 1 }");
}

fn a_server_cannot_leave_jobs_behind_by_dying(stage: &Stage) {
    let play = Play::start(stage, "killed");
    assert_eq!(play.value("orphan"), "started");
    let ended = play.end();
    assert!(ended.fatal.contains("the server ended by itself"), "{}", ended.fatal);
    assert_eq!(ended.status, "Exited { code: 1 }");
}
