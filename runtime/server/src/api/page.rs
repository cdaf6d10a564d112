//! List: one page of jobs, newest first.

use super::Context;
use super::convert::{labels_from_wire, micros, org_from_wire};
use super::convert::{row_state, state_from_wire};
use super::errors::{Reason, from_store};
use super::token::{Filter, page_from_token, page_token};
use super::watch::query;
use crate::store::Query;
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
    let before_id = page_from_token(&filter, &request.page_token)?;
    let states = wanted.and_then(row_state).into_iter().collect();
    // One more than wanted tells whether there is another page.
    let query = Query { states, before_id, limit: page_size + 1, ..query(&filter) };
    let found = context.registry.list(query).await.map_err(|error| from_store(&error))?;
    let more_found = found.len() > page_size;
    let (mut jobs, mut bytes, mut last, mut cut) = (Vec::new(), 0, None, false);
    for job in found.iter().take(page_size) {
        let wire = Context::wire(job);
        // It may have moved on since the store was asked.
        if wanted.is_some_and(|wanted| wanted != wire.state()) {
            last = Some(wire.job_id);
            continue;
        }
        bytes += wire.encoded_len();
        if bytes > PAGE_BYTES_MAX && !jobs.is_empty() {
            cut = true;
            break;
        }
        last = Some(wire.job_id.clone());
        jobs.push(wire);
    }
    let last = last.filter(|_| more_found || cut);
    let next_page_token = last.map(|last| page_token(&filter, &last)).unwrap_or_default();
    Ok(v1::ListResponse { jobs, next_page_token })
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
