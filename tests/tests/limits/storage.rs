//! Output, scratch bytes and inodes.

use crate::{assert_ended_by, limit_hit, run};
use runtime_tests::{Stage, stories};

stories!(
    output_over_the_bound_ends_the_job_and_what_was_allowed_arrives,
    output_counts_both_streams_together,
    output_of_exactly_the_bound_is_no_hit,
    scratch_is_refused_with_enospc_and_the_job_goes_on,
    the_three_places_of_scratch_share_one_bound,
    inodes_are_refused_with_enospc,
);

const MIB: u64 = 1 << 20;

fn output_over_the_bound_ends_the_job_and_what_was_allowed_arrives(stage: &Stage) {
    let output = run(stage, &["output=1MiB"], &["sh", "-c", "yes 0123456; echo never"]);
    let hit = assert_ended_by(&output, "output", MIB);
    assert!(hit["used"].as_u64().unwrap() > MIB, "{hit}");
    let expected: Vec<u8> = b"0123456\n".iter().copied().cycle().take(1 << 20).collect();
    assert!(output.stdout == expected, "{} bytes came", output.stdout.len());
    assert_eq!(output.report["outcome"]["stdout_bytes"], MIB);
}

fn output_counts_both_streams_together(stage: &Stage) {
    let script = "head -c 700000 /dev/zero; head -c 700000 /dev/zero >&2; sleep 20";
    let output = run(stage, &["output=1MiB"], &["sh", "-c", script]);
    assert_ended_by(&output, "output", MIB);
    let stored = output.report["outcome"]["stdout_bytes"].as_u64().unwrap()
        + output.report["outcome"]["stderr_bytes"].as_u64().unwrap();
    assert_eq!(stored, MIB);
}

fn output_of_exactly_the_bound_is_no_hit(stage: &Stage) {
    let output = run(stage, &["output=1MiB"], &["head", "-c", "1048576", "/dev/zero"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 1 << 20), "{}", output.errors());
    assert!(limit_hit(&output, "output").is_none());
}

fn scratch_is_refused_with_enospc_and_the_job_goes_on(stage: &Stage) {
    let script = "dd if=/dev/zero of=/workspace/x bs=64k 2>&1 | grep -o 'No space left on device'; stat -c %s x; rm x; echo y >x && cat x";
    let output = run(stage, &["scratch=8MiB"], &["sh", "-c", script]);
    let text = output.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        (output.status.code(), lines[0], lines[2]),
        (Some(0), "No space left on device", "y"),
        "{text}"
    );
    let size: u64 = lines[1].parse().unwrap();
    assert!((7 * MIB..=8 * MIB).contains(&size), "{size}");
}

fn the_three_places_of_scratch_share_one_bound(stage: &Stage) {
    let script = "for place in /workspace /tmp /dev/shm; do dd if=/dev/zero of=$place/x bs=1M count=3 2>&1 | grep -o 'No space.*'; done; cat /workspace/x /tmp/x /dev/shm/x | wc -c";
    let output = run(stage, &["scratch=8MiB"], &["sh", "-c", script]);
    let text = output.text();
    let (refused, size) = text.trim().split_once('\n').unwrap();
    assert_eq!(refused, "No space left on device");
    let size: u64 = size.parse().unwrap();
    assert!((7 * MIB..=8 * MIB).contains(&size), "{size}");
    let hit = limit_hit(&output, "scratch").unwrap();
    assert_eq!((hit["allowed"].as_u64(), hit["unit"].as_str()), (Some(8 * MIB), Some("bytes")));
}

fn inodes_are_refused_with_enospc(stage: &Stage) {
    let script = "i=0; while touch $i 2>/dev/null; do i=$((i+1)); done; echo $i; LC_ALL=C touch more 2>&1 | grep -o 'No space left on device'";
    let output = run(stage, &["inodes=100"], &["sh", "-c", script]);
    let text = output.text();
    let (made, refused) = text.trim().split_once('\n').unwrap();
    assert!((90..100).contains(&made.parse::<u32>().unwrap()), "{made}");
    assert_eq!(refused, "No space left on device");
    assert_eq!(limit_hit(&output, "inodes").unwrap()["allowed"], 100);
}
