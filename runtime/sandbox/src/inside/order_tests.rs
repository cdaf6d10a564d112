//! How the fds of an order are told apart, and which step a fault strikes.

use super::*;
use crate::made_up;
use runtime_plan::spec::{Terminal, UncheckedSpec};

fn order(stdin: StdinSource, terminal: bool) -> Order {
    let terminal = terminal.then(|| Terminal { rows: 24, columns: 80, term: "xterm".to_owned() });
    let plan = made_up::plan(UncheckedSpec { stdin, terminal, ..made_up::spec() });
    Order {
        plan,
        filters: Vec::new(),
        init_filters: Vec::new(),
        cgroup_files: 2,
        trees: vec![7],
        reopened: BTreeMap::new(),
        fail_at: None,
    }
}

fn fds(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| runtime_sys::file::open_null().unwrap()).collect()
}

#[test]
fn a_stream_a_file_nothing_and_a_terminal_bring_their_own_number_of_pipes() {
    let file = StdinSource::File(b"/workspace/input".to_vec());
    for (stdin, terminal, streams) in [
        (StdinSource::Stream, false, 3),
        (StdinSource::Empty, false, 2),
        (file, false, 2),
        (StdinSource::Stream, true, 0),
    ] {
        let order = order(stdin, terminal);
        // Two cgroup files and a tree come after the streams.
        for count in 0..8 {
            let sorted = OrderFds::sort(&order, fds(count));
            assert_eq!(sorted.is_some(), count == streams + 3, "{streams} streams, {count} fds");
            let Some(sorted) = sorted else { continue };
            assert_eq!(sorted.pipes.is_some(), streams > 0);
            assert_eq!(sorted.pipes.is_some_and(|pipes| pipes.stdin.is_some()), streams == 3);
            assert_eq!((sorted.cgroup_files.len(), sorted.trees.len()), (2, 1));
        }
    }
}

#[test]
fn a_fault_strikes_the_step_that_it_names_and_no_other() {
    let mut order = order(StdinSource::Empty, false);
    assert!(Step::ALL.into_iter().all(|step| order.begin(step).is_ok()));
    for place in 0..40 {
        order.fail_at = Some(place);
        for step in Step::ALL {
            let struck = order.begin(step).err().map(|failure| (failure.step, failure.errno));
            assert_eq!(struck, (step.place() == place).then_some((step, Errno::EIO.0)));
        }
    }
}
