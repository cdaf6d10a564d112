//! `runtime ps --watch`: a line for each change of a job, until a signal ends it. A stream that breaks goes on from its last
//! token: changes that were missed come as one, with the job as it is then.

use runtime_proto::v1::{Job, JobState, ListRequest, WatchRequest, watch_response::Event};
use serde_json::Value;
use std::time::SystemTime;
use tonic::Status;

use super::{HEAD, row};
use crate::args::Global;
use crate::error::{Error, status_of_signal};
use crate::json::Object;
use crate::session::{Line, is_broken};
use crate::signals::Signals;
use crate::text::escape;
use crate::{client, json, output};

/// Follows the jobs that the filter takes.
pub fn watch(global: Global, filter: ListRequest) -> Result<u8, Error> {
    let json = global.json;
    let endpoint = super::super::endpoint(global)?;
    super::super::runtime()?.block_on(async {
        let mut signals = Signals::catch(false)?;
        let mut line = Line::to(endpoint).await?;
        tokio::select! {
            ended = follow(&mut line, &filter, json) => ended.map(|()| 0),
            signal = signals.next() => Ok(status_of_signal(signal)),
        }
    })
}

async fn follow(line: &mut Line, filter: &ListRequest, json: bool) -> Result<(), Error> {
    let mut resume_token = String::new();
    if !json {
        output::print(&aligned(&HEAD.map(str::to_owned)))?;
    }
    loop {
        let request = WatchRequest {
            labels: filter.labels.clone(),
            profile: filter.profile.clone(),
            org: filter.org.clone(),
            resume_token: resume_token.clone(),
        };
        let status = match line.jobs().watch(request).await {
            Err(status) => status,
            Ok(answers) => {
                let mut answers = answers.into_inner();
                loop {
                    let answer = match answers.message().await {
                        Ok(Some(answer)) => answer,
                        Ok(None) => break Status::unavailable("the stream ended"),
                        Err(status) => break status,
                    };
                    line.progress();
                    if !answer.resume_token.is_empty() {
                        resume_token = answer.resume_token;
                    }
                    if let Some(event) = answer.event {
                        show(&event, filter.state(), json)?;
                    }
                }
            }
        };
        if !is_broken(&status, true) || line.is_worn_out() {
            return Err(client::refused(&status));
        }
        line.broke();
        line.back().await?;
    }
}

fn show(event: &Event, wanted: JobState, as_json: bool) -> Result<(), Error> {
    let fits = |job: &Job| wanted == JobState::Unspecified || job.state() == wanted;
    match event {
        Event::Job(job) if !fits(job) => Ok(()),
        Event::Job(job) if as_json => output::print_json(&json::job::job(job)),
        Event::Job(job) => output::print(&aligned(&row(job, SystemTime::now()))),
        Event::RemovedJobId(id) if as_json => {
            output::print_json(&Value::from(Object::default().set("removed_job_id", id.as_str())))
        }
        Event::RemovedJobId(id) => output::print(&format!("{}  removed\n", escape::line(id))),
        Event::Heartbeat(_) => Ok(()),
    }
}

/// Widths of all columns but the last: what comes later cannot be known.
const WIDTHS: [usize; 5] = [30, 8, 10, 12, 16];

fn aligned(cells: &[String]) -> String {
    let widths = WIDTHS.into_iter().chain([0]);
    let line: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    line.join("  ").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_below_each_other() {
        let id = "job-01k0000000000000000000000a";
        let line = aligned(&[id, "running", "default", "2 s", "", "true"].map(str::to_owned));
        let head = aligned(&HEAD.map(str::to_owned));
        assert_eq!(line.find("true"), head.find("COMMAND"));
        assert_eq!(line.find("running"), head.find("STATE"));
    }
}
