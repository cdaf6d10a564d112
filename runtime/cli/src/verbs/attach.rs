//! `runtime attach`: the output of a job from its start, its stdin and terminal when asked for, its exit status.

use runtime_proto::v1::{AttachStart, GetRequest};

use crate::args::{AttachArgs, Global};
use crate::error::Error;
use crate::screen::Look;
use crate::session::{self, Call, Line, Wants};
use crate::signals::Signals;
use crate::{client, output, verdict};

/// Joins the job. Signals cancel it, as they do for `run`; Ctrl-P Ctrl-Q leaves it.
pub fn attach(global: Global, args: AttachArgs) -> Result<u8, Error> {
    let json = global.json;
    let endpoint = super::endpoint(global)?;
    let record = super::runtime()?.block_on(async {
        let mut signals = Signals::catch(args.terminal)?;
        let line = Line::to(endpoint).await?;
        let answer = line.jobs().get(GetRequest { job_id: args.job }).await;
        let answer = answer.map_err(|status| client::refused(&status))?.into_inner();
        let job = answer.job.ok_or_else(|| super::missing("job"))?;
        if args.terminal && !job.terminal {
            let message = format!("{} has no terminal: leave -t out", job.job_id);
            return Err(Error::Usage { message });
        }
        let call = Call::Attach(AttachStart { job_id: job.job_id, ..Default::default() });
        let wants = Wants {
            stdin: args.interactive,
            terminal: args.terminal,
            detach_keys: args.terminal,
            look: Look { raw: args.raw || args.terminal, timestamps: false },
        };
        Ok(session::hold(line, call, wants, &mut signals).await)
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
