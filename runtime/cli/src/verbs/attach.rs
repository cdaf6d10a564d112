//! `runtime attach`: the output of a job from its start, its stdin when asked for, its exit status.

use runtime_proto::v1::AttachStart;

use crate::args::{AttachArgs, Global};
use crate::error::Error;
use crate::session::{self, Call};
use crate::signals::Signals;
use crate::{client, output, verdict};

/// Joins the job. Signals cancel it, as they do for `run`.
pub fn attach(global: Global, args: AttachArgs) -> Result<u8, Error> {
    let json = global.json;
    let record = super::with_daemon(global, |channel| async {
        let mut signals = Signals::catch()?;
        let call = Call::Attach(AttachStart { job_id: args.job, ..Default::default() });
        Ok(session::hold(client::jobs(channel), call, args.interactive, &mut signals).await)
    })?;
    let verdict = verdict::of(&record);
    if let Some(line) = &verdict.line {
        output::complain(&match &record.error {
            Some(error) => error.show(json),
            None => format!("runtime: {line}"),
        });
    }
    Ok(verdict.status)
}
