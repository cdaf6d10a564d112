//! `runtime signal`: a signal for the first process of a job, or for all of them.

use runtime_proto::v1::{GetRequest, SignalRequest};
use serde_json::Value;

use crate::args::{Global, SignalArgs};
use crate::error::Error;
use crate::json::Object;
use crate::text::{escape, signal};
use crate::{client, output};

/// Sends it.
pub fn send(global: Global, args: SignalArgs) -> Result<u8, Error> {
    let json = global.json;
    let number = signal::parse(&args.signal).map_err(|message| Error::Usage { message })?;
    let job_id = super::with_daemon(global, |channel| async move {
        let mut jobs = client::jobs(channel);
        // The id is shown in full, whatever prefix was given; the signal goes to that job and to no other.
        let answer = jobs.get(GetRequest { job_id: args.job }).await;
        let answer = answer.map_err(|status| client::refused(&status))?.into_inner();
        let job_id = answer.job.ok_or_else(|| super::missing("job"))?.job_id;
        let request = SignalRequest { job_id: job_id.clone(), signal: number, all_processes: args.all };
        jobs.signal(request).await.map_err(|status| client::refused(&status))?;
        Ok(job_id)
    })?;
    if json {
        let object = Object::default().set("job_id", job_id.as_str()).set("signal", number);
        output::print_json(&Value::from(object))?;
    } else {
        output::print(&format!("{}\n", escape::line(&job_id)))?;
    }
    Ok(0)
}
