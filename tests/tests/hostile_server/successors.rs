//! Servers that die one after the other: each hears of every job once, whole and as it is, and can do with it no more than its own.

use crate::play::Play;
use runtime_tests::Stage;
use std::collections::BTreeSet;

crate::both!(
    a_job_cannot_be_lost_with_its_server,
    a_job_cannot_outlive_its_time_while_no_server_is_there,
    servers_that_cannot_start_cannot_end_the_launcher,
);

/// The words of the launcher about itself, the same to each server.
fn one_launcher(said: &[String]) -> bool {
    let words = said.iter().filter_map(|line| line.split_once(": of ")).map(|(_, words)| words);
    words.collect::<BTreeSet<_>>().len() == 1
}

fn a_job_cannot_be_lost_with_its_server(stage: &Stage) {
    let play = Play::start(stage, "heirs");
    for line in [
        "wordy: refused HostResources",
        "server 2 adopts reader: whole true, Streams { stdin: true }, None",
        "server 2 adopts brief: whole true, Streams { stdin: false }, Some(Exited { code: 7 })",
        "reader again: refused DuplicateJob",
        "brief again: refused DuplicateJob",
        "brief wrote: done",
        "reader wrote: got hello",
        // Its stdin ended when the server said so, not when the server before died.
        "reader wrote: end",
        "server 3 adopts reader: whole true, Streams { stdin: false }, None",
        "alive: finished Exited { code: 0 }",
    ] {
        assert!(play.heard(line), "{line} in {:#?}", play.said);
    }
    let adopted = play.said.iter().filter(|line| line.contains(" adopts ")).count();
    assert_eq!(adopted, 3, "what was acknowledged is told no more: {:#?}", play.said);
    let last = play.said.iter().filter(|line| line.starts_with("server 5: ")).count();
    assert_eq!(last, 1, "one hung up, one spoke another version, and the next came: {:#?}", play.said);
    assert!(one_launcher(&play.said), "{:#?}", play.said);
    play.end_well();
}

fn a_job_cannot_outlive_its_time_while_no_server_is_there(stage: &Stage) {
    let play = Play::start(stage, "late_heir");
    assert!(
        play.heard("server 2 adopts short: whole true, Streams { stdin: false }, None"),
        "{:#?}",
        play.said
    );
    let used: u64 = play.value("used").parse().unwrap();
    assert!((1_000..1_900).contains(&used), "nobody listened for two seconds: {used} ms");
    play.end_well();
}

fn servers_that_cannot_start_cannot_end_the_launcher(stage: &Stage) {
    let play = Play::start(stage, "stillborn_heirs");
    assert_eq!(play.value("adopted at last"), "1");
    assert!(one_launcher(&play.said), "{:#?}", play.said);
    play.end_well();
}
