//! Clients that are slow, or lose their connection.

use crate::start;
use runtime_tests::{Stage, client, eventually, reader, stories};
use std::process::Stdio;

stories!(a_slow_reader_holds_up_nobody, a_connection_that_drops_costs_no_byte);

fn a_slow_reader_holds_up_nobody(stage: &Stage) {
    let daemon = start(stage, "slow-reader=3s");
    let job = daemon.submit_script("seq 1 3; exit 4");
    let mut slow = daemon.client(&["logs", "-f", &job]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("the job is over", || daemon.inspect(&job)["state"] == "finished");
    assert!(slow.try_wait().unwrap().is_none(), "the reader still waits for its first message");
    let output = slow.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"1\n2\n3\n".as_slice()));
}

fn a_connection_that_drops_costs_no_byte(stage: &Stage) {
    let daemon = start(stage, "drop-connection-after=64KiB");
    let run = daemon.say(&["run", "--", "sh", "-c", "seq 1 100000; exit 5"]);
    let whole: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert!(run.status == 5 && run.out == whole, "{} {} bytes, {}", run.status, run.out.len(), run.err);
    let id = daemon.ps(&[])[0]["job_id"].as_str().unwrap().to_owned();
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let read = threads.block_on(async { reader::read(&client::client(&daemon), &id, |_| false).await });
    assert_eq!(read.stdout, whole.as_bytes());
    // It breaks off after the chunk with the last of so many bytes, and a chunk may be larger.
    assert!(read.cuts >= 1, "no stream broke off");
}
