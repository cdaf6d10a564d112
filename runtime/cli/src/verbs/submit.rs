//! `runtime submit`, and `run --detach`: a job that needs no client. Prints its id.

use runtime_plan::spec::Terminal;
use runtime_proto::v1::{OnDisconnect, SubmitRequest};
use serde_json::Value;

use crate::args::{Global, JobArgs};
use crate::error::Error;
use crate::json::Object;
use crate::json::job::state;
use crate::request::{self, Shape};
use crate::session::Line;
use crate::text::escape;
use crate::{output, terminal};

/// Hands the job over. With a key of its own the call can be made again when its answer was lost.
pub fn submit(global: Global, args: &JobArgs, stdin: bool) -> Result<u8, Error> {
    let json = global.json;
    let request = request(args, stdin)?;
    let endpoint = super::endpoint(global)?;
    let answer = super::runtime()?.block_on(async {
        let mut line = Line::to(endpoint).await?;
        line.ask(false, async |mut jobs| jobs.submit(request.clone()).await).await
    })?;
    let job = answer.job.ok_or_else(|| super::missing("job"))?;
    if json {
        let object = Object::default()
            .set("job_id", job.job_id.as_str())
            .set("state", state(job.state()))
            .set("known", answer.known);
        output::print_json(&Value::from(object))?;
    } else {
        output::print(&format!("{}\n", escape::line(&job.job_id)))?;
    }
    Ok(0)
}

fn request(args: &JobArgs, stdin: bool) -> Result<SubmitRequest, Error> {
    let shape = Shape {
        host_directory: false,
        stdin,
        terminal: args.terminal.then(wanted_terminal),
        on_disconnect: OnDisconnect::Continue,
    };
    let spec = request::spec(args, shape, |name| std::env::var_os(name))?;
    let idempotency_key = args.idempotency_key.clone().unwrap_or_else(fresh_key);
    Ok(SubmitRequest { spec: Some(spec), idempotency_key, validate_only: false })
}

/// A key that nobody has used.
pub fn fresh_key() -> String {
    format!("cli-{}", ulid::Ulid::generate().to_string().to_ascii_lowercase())
}

/// The terminal for `-t`: as ours is.
pub fn wanted_terminal() -> Terminal {
    let term = std::env::var_os("TERM");
    terminal::wanted(term.as_deref().and_then(std::ffi::OsStr::to_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submitted_job_goes_on_alone_and_has_a_key() {
        let args = JobArgs { profile: "default".into(), command: vec!["true".into()], ..Default::default() };
        let ours = request(&args, true).unwrap();
        let spec = ours.spec.unwrap();
        assert!(spec.stdin && ours.idempotency_key.starts_with("cli-"));
        assert_eq!(spec.on_disconnect(), OnDisconnect::Continue);
        let theirs = request(&JobArgs { idempotency_key: Some("k".into()), ..args }, false).unwrap();
        assert_eq!(theirs.idempotency_key, "k");
    }
}
