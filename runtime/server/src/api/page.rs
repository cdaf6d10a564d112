//! List: one page of jobs, newest first.

use super::Context;
use super::convert::{labels_from_wire, micros, org_from_wire};
use super::convert::{row_state, state_from_wire};
use super::errors::{Reason, from_store};
use super::token::{Filter, page_from_token, page_token};
use super::watch::query;
use crate::store::{Query, RowState};
use prost::Message;
use runtime_proto::v1;
use std::collections::HashMap;
use tonic::Status;

/// Jobs on a page that asks for no number.
const PAGE_DEFAULT: usize = 50;
/// Jobs on a page at most.
const PAGE_MAX: usize = 1_000;
/// Bytes on a page at most: clients take 4 MiB.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// One page.
///
/// # Errors
/// INVALID_ARGUMENT for what is out of bounds, and what the store says.
pub(super) async fn list(context: &Context, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
    let wanted = state_from_wire(request.state)?;
    let page_size = page_size(request.page_size)?;
    let filter = Filter {
        state: request.state,
        created_after_us: micros("created_after", request.created_after)?,
        created_before_us: micros("created_before", request.created_before)?,
        ..filter(request.labels, request.profile, request.org)?
    };
    let mut before_id = page_from_token(&filter, &request.page_token)?;
    let (mut jobs, mut bytes) = (Vec::new(), 0);
    loop {
        // One more than wanted tells whether there is another page.
        let asked = page_size - jobs.len();
        let query = Query {
            states: states_to_ask(wanted),
            before_id: before_id.clone(),
            limit: asked + 1,
            ..query(&filter)
        };
        let found = context.registry.list(query).await.map_err(|error| from_store(&error))?;
        let more = found.len() > asked;
        for job in found.iter().take(asked) {
            let wire = Context::wire(job);
            if wanted.is_none_or(|wanted| wanted == wire.state()) {
                bytes += wire.encoded_len();
                if bytes > PAGE_BYTES_MAX && !jobs.is_empty() {
                    return Ok(page(&filter, jobs, before_id));
                }
                jobs.push(wire);
            }
            before_id = Some(job.record.id.to_string());
        }
        if !more {
            return Ok(page(&filter, jobs, None));
        }
        if jobs.len() == page_size {
            return Ok(page(&filter, jobs, before_id));
        }
    }
}

fn page(filter: &Filter, jobs: Vec<v1::Job>, last: Option<String>) -> v1::ListResponse {
    let next_page_token = last.map(|last| page_token(filter, &last)).unwrap_or_default();
    v1::ListResponse { jobs, next_page_token }
}

/// The store hears of a start a moment later than clients do: of jobs that are not over, which are few, it is asked for
/// all, and those in another state are left out here.
fn states_to_ask(wanted: Option<v1::JobState>) -> Vec<RowState> {
    match wanted.and_then(row_state) {
        None => Vec::new(),
        Some(RowState::Finished) => vec![RowState::Finished],
        Some(RowState::Queued | RowState::Starting | RowState::Running) => {
            vec![RowState::Queued, RowState::Starting, RowState::Running]
        }
    }
}

/// The part of a filter that lists and watches share.
///
/// # Errors
/// INVALID_ARGUMENT with the first thing that is wrong.
pub(super) fn filter(
    labels: HashMap<String, String>,
    profile: String,
    org: String,
) -> Result<Filter, Status> {
    let labels = labels_from_wire(labels)?;
    let org = if org.is_empty() { None } else { Some(org_from_wire(org)?) };
    if !profile.is_empty() && !runtime_plan::spec::is_name(&profile) {
        let shown: String = profile.chars().take(80).collect();
        let text = format!("the profile {shown:?} must be 1 to 64 of a-z 0-9 - _");
        return Err(Reason::BadProfileName.status(text));
    }
    let profile = (!profile.is_empty()).then_some(profile);
    Ok(Filter { labels, profile, org, ..Filter::default() })
}

fn page_size(asked: u32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(asked) if asked <= PAGE_MAX => Ok(asked),
        _ => Err(Reason::BadPage.status(format!("a page of {asked} jobs is over the bound of {PAGE_MAX}"))),
    }
}
