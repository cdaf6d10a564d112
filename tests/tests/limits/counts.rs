//! Processes and open files: the call is refused, the job goes on.

use crate::{has_cgroup, limit_hit, python};
use runtime_tests::{Stage, stories};

stories!(
    a_fork_over_the_bound_is_refused_with_eagain,
    a_thread_is_one_of_the_processes,
    an_open_over_the_bound_is_refused_with_emfile,
    the_bound_of_files_cannot_be_raised_inside,
);

fn a_fork_over_the_bound_is_refused_with_eagain(stage: &Stage) {
    let code = r"
import errno, os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
except OSError as error:
    print(made, errno.errorcode[error.errno])
";
    let output = python(stage, &["pids=20"], code);
    // Twenty, with the init of the sandbox and the command itself.
    assert_eq!(
        (output.status.code(), output.text().as_str()),
        (Some(0), "18 EAGAIN\n"),
        "{}",
        output.errors()
    );
    if has_cgroup(&output) {
        let hit = limit_hit(&output, "pids").unwrap_or_else(|| panic!("{}", output.report["outcome"]));
        assert_eq!((hit["allowed"].as_u64(), hit["unit"].as_str()), (Some(20), Some("processes")));
        assert!(
            hit["count"].as_u64() >= Some(1) && hit["evidence"].as_str().unwrap().contains("pids.events"),
            "{hit}"
        );
        assert_eq!(output.report["outcome"]["usage"]["pids_peak"], 20);
    }
}

fn a_thread_is_one_of_the_processes(stage: &Stage) {
    let code = r"
import threading, time
made = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        made += 1
except RuntimeError as error:
    print(made, error, flush=True)
import os
os._exit(0)
";
    let output = python(stage, &["pids=12"], code);
    assert_eq!(output.text(), "10 can't start new thread\n", "{}", output.errors());
}

fn an_open_over_the_bound_is_refused_with_emfile(stage: &Stage) {
    let code = r"
import errno, os
made = 0
try:
    while True:
        os.open('/dev/null', os.O_RDONLY)
        made += 1
except OSError as error:
    print(made, errno.errorcode[error.errno])
";
    let output = python(stage, &["files=32"], code);
    assert_eq!(output.text(), "29 EMFILE\n", "{}", output.errors());
}

fn the_bound_of_files_cannot_be_raised_inside(stage: &Stage) {
    let code = r"
import resource
print(resource.getrlimit(resource.RLIMIT_NOFILE))
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (33, 33))
    print('raised')
except (OSError, ValueError):
    print('refused')
";
    let output = python(stage, &["files=32"], code);
    assert_eq!(output.text(), "(32, 32)\nrefused\n", "{}", output.errors());
}
