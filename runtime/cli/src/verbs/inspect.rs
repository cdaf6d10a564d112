//! `runtime inspect`: everything that is known of one job.

use runtime_proto::v1::{Enforcement, GetRequest, Job, Outcome, Usage};

use crate::args::{Global, InspectArgs};
use crate::error::Error;
use crate::json::microseconds;
use crate::text::{amount, escape, outcome, table};
use crate::{client, json, output};

/// Shows the job.
pub fn inspect(global: Global, args: InspectArgs) -> Result<u8, Error> {
    let as_json = global.json;
    let job = super::with_daemon(global, |channel| async {
        let answer = client::jobs(channel).get(GetRequest { job_id: args.job }).await;
        let answer = answer.map_err(|status| client::refused(&status))?.into_inner();
        answer.job.ok_or_else(|| super::missing("job"))
    })?;
    if as_json {
        output::print_json(&json::job::job(&job))?;
    } else {
        output::print(&text(&job))?;
    }
    Ok(0)
}

fn text(job: &Job) -> String {
    let names: Vec<String> = job.env_names.iter().map(|name| escape::bytes(name)).collect();
    let mut lines = vec![
        ("job", escape::line(&job.job_id)),
        ("state", json::job::state(job.state())),
        ("command", escape::command(&job.argv)),
        ("environment", names.join(" ")),
        ("profile", escape::line(&job.profile)),
    ];
    lines.extend(record_lines(job));
    let times = [("created", &job.create_time), ("started", &job.start_time), ("finished", &job.finish_time)];
    for (name, time) in times {
        if let Some(time) = time {
            lines.push((name, json::time(time).to_string().trim_matches('"').to_owned()));
        }
    }
    if let Some(outcome) = &job.outcome {
        lines.extend(outcome_lines(outcome));
    }
    let shown = lines.iter().filter(|(_, value)| !value.is_empty());
    let mut text: String = shown.map(|(name, value)| format!("{name:<12} {value}\n")).collect();
    if let Some(enforcement) = &job.enforcement {
        text.push('\n');
        text.push_str(&walls(enforcement));
    }
    text
}

/// What the record says besides command and state; values that say nothing are left out.
fn record_lines(job: &Job) -> Vec<(&'static str, String)> {
    let mut labels: Vec<_> = job.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    labels.sort();
    let mut lines: Vec<_> = labels.iter().map(|label| ("label", escape::line(label))).collect();
    lines.push(("org", escape::line(&job.org)));
    lines.push(("key", escape::line(&job.idempotency_key)));
    let mut when = |condition: bool, name, text: String| lines.extend(condition.then_some((name, text)));
    when(job.priority != 0, "priority", job.priority.to_string());
    when(job.terminal, "terminal", "yes".to_owned());
    when(job.stdin_open, "stdin", "open".to_owned());
    when(job.adoptions > 0, "adopted", format!("{} times by a new server", job.adoptions));
    let output = format!("{} bytes stdout, {} bytes stderr so far", job.stdout_bytes, job.stderr_bytes);
    when(job.outcome.is_none() && job.stdout_bytes | job.stderr_bytes > 0, "output", output);
    when(!job.output_stalled.is_empty(), "stalled", escape::line(&job.output_stalled));
    lines
}

fn outcome_lines(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("outcome", outcome::word(outcome)),
        ("why", outcome::line(outcome).unwrap_or_default()),
        ("evidence", outcome::evidence(outcome)),
        ("exit status", outcome.exit_status.to_string()),
    ];
    lines.extend(outcome.limits_hit.iter().map(|hit| ("ran into", outcome::limit_hit(hit))));
    lines.extend(outcome.usage.iter().map(|usage| ("used", usage_line(usage))));
    lines.push((
        "output",
        format!("{} bytes stdout, {} bytes stderr", outcome.stdout_bytes, outcome.stderr_bytes),
    ));
    lines.extend(outcome.cleanup_errors.iter().map(|error| ("cleanup", escape::line(error))));
    lines
}

/// What was measured; what was not is left out.
fn usage_line(usage: &Usage) -> String {
    let time = |name: &str, time: &Option<prost_types::Duration>| {
        time.as_ref().map(|time| format!("{name} {}", amount::time(microseconds(time) / 1_000)))
    };
    let parts = [
        time("cpu user", &usage.cpu_user),
        time("cpu system", &usage.cpu_system),
        time("throttled", &usage.cpu_throttled),
        usage.memory_peak_bytes.map(|bytes| format!("memory peak {}", amount::size(bytes))),
        usage.pids_peak.map(|pids| format!("pids peak {pids}")),
        usage.io_read_bytes.map(|bytes| format!("read {}", amount::size(bytes))),
        usage.io_write_bytes.map(|bytes| format!("written {}", amount::size(bytes))),
        time("queued", &usage.queue_time),
        time("start", &usage.spawn_time),
        time("run", &usage.run_time),
        usage.output_bytes.map(|bytes| format!("output {}", amount::size(bytes))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn walls(enforcement: &Enforcement) -> String {
    let row = |wall: &runtime_proto::v1::WallReport| {
        vec![escape::line(&wall.wall), json::outcome::wall_state(wall.state()), escape::line(&wall.detail)]
    };
    table::plain(&["WALL", "STATE", "DETAIL"], enforcement.walls.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_proto::v1::{ExitedOutcome, JobState, WallReport, WallState, outcome::Cause};

    #[test]
    fn a_finished_job_shows_its_end_and_its_walls() {
        let outcome = Outcome {
            cause: Some(Cause::Exited(ExitedOutcome { code: 3 })),
            exit_status: 3,
            usage: Some(Usage { memory_peak_bytes: Some(1 << 20), ..Default::default() }),
            ..Default::default()
        };
        let wall = WallReport {
            wall: "landlock".into(),
            state: WallState::Up.into(),
            detail: "ABI 6\x1b[2J".into(),
        };
        let job = Job {
            job_id: "job-1".into(),
            state: JobState::Finished.into(),
            argv: vec![b"true".as_slice().into()],
            create_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            outcome: Some(outcome),
            enforcement: Some(Enforcement { walls: vec![wall], ..Default::default() }),
            ..Default::default()
        };
        let text = text(&job);
        for part in [
            "job          job-1\n",
            "created      2023-11-14T22:13:20Z\n",
            "outcome      exited 3\n",
            "used         memory peak 1.0 MiB\n",
            "landlock  up     ABI 6\\x1b[2J\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        for part in ["environment", "why", "evidence", "terminal", "adopted", "stalled", "priority", "key"] {
            assert!(!text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_running_job_shows_what_its_record_has() {
        let job = Job {
            job_id: "job-1".into(),
            state: JobState::Running.into(),
            labels: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "\x1b".to_owned())].into(),
            org: "acme".into(),
            priority: -3,
            terminal: true,
            stdin_open: true,
            stdout_bytes: 7,
            idempotency_key: "k".into(),
            adoptions: 2,
            output_stalled: "disk full".into(),
            ..Default::default()
        };
        let text = text(&job);
        for part in [
            "label        a=\\x1b\nlabel        b=2\n",
            "org          acme\n",
            "key          k\n",
            "priority     -3\n",
            "terminal     yes\n",
            "stdin        open\n",
            "adopted      2 times by a new server\n",
            "output       7 bytes stdout, 0 bytes stderr so far\n",
            "stalled      disk full\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
}
