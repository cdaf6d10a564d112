//! `runtime cancel`: the end of one job or several. The outcome follows later; `inspect` shows it.

use runtime_proto::v1::{CancelRequest, JobState};
use serde_json::Value;

use crate::args::{CancelArgs, Global};
use crate::error::{Error, STATUS_FAILED};
use crate::json::{Object, job::state};
use crate::text::escape;
use crate::{client, output};

/// Cancels each job; one that cannot be cancelled does not keep the others.
pub fn cancel(global: Global, args: CancelArgs) -> Result<u8, Error> {
    let json = global.json;
    super::with_daemon(global, |channel| async move {
        let mut jobs = client::jobs(channel);
        let mut status = 0;
        for job_id in args.jobs {
            let request = CancelRequest { job_id, reason: args.reason.clone(), kill: args.kill };
            let answer = jobs.cancel(request).await;
            let job = match answer {
                Ok(answer) => answer.into_inner().job.ok_or_else(|| super::missing("job"))?,
                Err(refusal) => {
                    output::complain(&client::refused(&refusal).show(json));
                    status = STATUS_FAILED;
                    continue;
                }
            };
            if json {
                let object =
                    Object::default().set("job_id", job.job_id.as_str()).set("state", state(job.state()));
                output::print_json(&Value::from(object))?;
            } else if job.state() == JobState::Finished {
                output::print(&format!("{} had ended already\n", escape::line(&job.job_id)))?;
            } else {
                output::print(&format!("{}\n", escape::line(&job.job_id)))?;
            }
        }
        Ok(status)
    })
}
