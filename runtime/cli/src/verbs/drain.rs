//! `runtime drain`: no new jobs; those that run finish. The daemon itself stays.

use runtime_proto::v1::DrainRequest;
use serde_json::Value;

use crate::args::{DrainArgs, Global};
use crate::error::Error;
use crate::json::Object;
use crate::{client, output, request};

/// Asks for it, and tells what is left.
pub fn drain(global: Global, args: &DrainArgs) -> Result<u8, Error> {
    let json = global.json;
    let deadline =
        args.deadline.as_deref().map(|text| request::milliseconds("--deadline", text)).transpose()?;
    let request = DrainRequest { deadline: deadline.map(request::duration), undo: args.undo };
    let left = super::with_daemon(global, |channel| async move {
        let answer = client::node(channel).drain(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| client::refused(&status))
    })?;
    if json {
        let object =
            Object::default().set("jobs_running", left.jobs_running).set("jobs_queued", left.jobs_queued);
        return output::print_json(&Value::from(object)).map(|()| 0);
    }
    let what = if args.undo { "taking jobs again" } else { "draining" };
    output::print(&format!("{what}: {} running, {} waiting\n", left.jobs_running, left.jobs_queued))?;
    Ok(0)
}
