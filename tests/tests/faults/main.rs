//! Each fault of `serve --fault` through a whole daemon: what goes wrong, and what a good client sees of it.

mod crash;
mod slow;
mod space;

use runtime_tests::{Daemon, Stage};

fn start<'a>(stage: &'a Stage, fault: &str) -> Daemon<'a> {
    Daemon::start(stage, &["--fault", fault], "")
}
