//! `runtime rm`: the records and the output of jobs that are over.

use runtime_proto::v1::{DeleteRequest, GetRequest, job_service_client::JobServiceClient};
use serde_json::Value;
use tonic::{Status, transport::Channel};

use crate::args::{Global, RmArgs};
use crate::error::{Error, STATUS_FAILED};
use crate::json::Object;
use crate::text::escape;
use crate::{client, output};

/// Removes each job; one that cannot be removed does not keep the others.
pub fn rm(global: Global, args: RmArgs) -> Result<u8, Error> {
    let json = global.json;
    super::with_daemon(global, |channel| async move {
        let mut jobs = client::jobs(channel);
        let mut status = 0;
        for prefix in args.jobs {
            match remove(&mut jobs, prefix).await {
                Ok(job_id) if json => {
                    output::print_json(&Value::from(Object::default().set("removed_job_id", job_id)))?;
                }
                Ok(job_id) => output::print(&format!("{}\n", escape::line(&job_id)))?,
                Err(refusal) => {
                    output::complain(&client::refused(&refusal).show(json));
                    status = STATUS_FAILED;
                }
            }
        }
        Ok(status)
    })
}

/// The API removes by the whole id only, so that a prefix which has become that of another job removes nothing.
async fn remove(jobs: &mut JobServiceClient<Channel>, job_id: String) -> Result<String, Status> {
    let job = jobs.get(GetRequest { job_id }).await?.into_inner().job;
    let job_id = job.ok_or_else(|| Status::internal("the answer has no job"))?.job_id;
    jobs.delete(DeleteRequest { job_id: job_id.clone() }).await?;
    Ok(job_id)
}
