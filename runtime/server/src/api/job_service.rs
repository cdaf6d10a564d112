//! JobService: Run, Attach, Get, List, Cancel.

use super::convert::{job_to_wire, on_disconnect_from_wire, spec_from_wire, state_from_wire, state_to_wire};
use super::errors::{Reason, from_not_found, from_not_taken, from_refusal, launcher_gone};
use super::follow::{Event, Follower};
use super::input::{self, Later};
use crate::jobs::{Job, Presence, Registry};
use crate::logs::reader;
use crate::peer::Peer;
use prost::Message;
use runtime_proto::v1::{self, job_service_server::JobService, run_response};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// How long the first message of a stream may take.
const START_MAX: Duration = Duration::from_secs(10);
/// Messages that wait for a client, at most 256 KiB each.
const RESPONSES_MAX: usize = 4;
/// Jobs on a page that asks for no number.
const PAGE_DEFAULT: usize = 50;
/// Jobs on a page at most.
const PAGE_MAX: usize = 1_000;
/// Bytes on a page at most: clients take 4 MiB.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of a plan at most, for the same reason.
const PLAN_BYTES_MAX: usize = 3 * 1024 * 1024;

/// The service.
#[derive(Debug)]
pub struct JobApi {
    registry: Arc<Registry>,
    /// Digests of the profiles, by name.
    digests: HashMap<String, String>,
}

impl JobApi {
    /// Serves this registry.
    pub fn new(registry: Arc<Registry>, digests: HashMap<String, String>) -> JobApi {
        JobApi { registry, digests }
    }

    fn digest_of(&self, profile: &str) -> String {
        self.digests.get(profile).cloned().unwrap_or_default()
    }

    fn find(&self, id: &str) -> Result<Arc<Job>, Status> {
        self.registry.find(id).map_err(|error| from_not_found(id, &error))
    }

    fn wire(&self, job: &Job) -> v1::Job {
        job_to_wire(job, &job.progress().borrow(), |profile| self.digest_of(profile))
    }

    async fn plan(&self, spec: runtime_plan::spec::Spec) -> Result<v1::RunResponse, Status> {
        let planned = self.registry.link().plan(spec).await.map_err(|_| launcher_gone())?;
        let plan_json = planned.map_err(|refusal| from_refusal(&refusal))?;
        if plan_json.len() > PLAN_BYTES_MAX {
            let text = format!("the plan is {} bytes, over the bound of {PLAN_BYTES_MAX}", plan_json.len());
            return Err(Reason::PlanTooLarge.status(text));
        }
        Ok(v1::RunResponse { event: Some(run_response::Event::Planned(v1::JobPlanned { plan_json })) })
    }
}

/// One client of one job, from the first message on.
struct Session<M, T> {
    follower: Follower<T>,
    presence: Presence,
    messages: Streaming<M>,
    by: String,
    closes_stdin: bool,
}

impl<M: Later + Send + 'static, T: Send + 'static> Session<M, T> {
    /// Both directions at once, until the client has been told the end, has gone, or has sent something wrong.
    async fn serve(self) {
        let Session { follower, presence, messages, by, closes_stdin } = self;
        let job = Arc::clone(&follower.job);
        let to = follower.to.clone();
        let mut following = pin!(follower.follow());
        tokio::select! {
            () = &mut following => {}
            input = input::pass_on(&job, &by, closes_stdin, messages) => match input {
                Ok(()) => following.await,
                Err(status) => if to.send(Err(status)).await.is_err() {
                    tracing::debug!(job = %job.id, "the client has gone already");
                },
            },
        }
        drop(presence);
    }
}

async fn first_message<M>(messages: &mut Streaming<M>) -> Result<M, Status> {
    match tokio::time::timeout(START_MAX, messages.message()).await {
        Ok(first) => first?.ok_or_else(|| missing_start("the stream ended before `start`")),
        Err(_) => Err(Reason::StartTimeout.status("`start` did not come within 10 s: send it first")),
    }
}

fn missing_start(text: &str) -> Status {
    Reason::MissingStart.status(text)
}

type Responses<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl JobService for JobApi {
    type RunStream = Responses<v1::RunResponse>;
    type AttachStream = Responses<v1::AttachResponse>;

    async fn run(
        &self,
        request: Request<Streaming<v1::RunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let by = Peer::of(&request).to_string();
        let mut messages = request.into_inner();
        let Some(v1::run_request::Request::Start(start)) = first_message(&mut messages).await?.request else {
            return Err(missing_start("the first message must be `start`"));
        };
        let wire = start.spec.ok_or_else(|| missing_start("`start` has no spec"))?;
        let on_disconnect = on_disconnect_from_wire(wire.on_disconnect)?;
        let spec = spec_from_wire(wire)?;
        let (to, responses) = mpsc::channel(RESPONSES_MAX);
        if start.validate_only {
            let planned = self.plan(spec).await?;
            // An empty channel takes it.
            to.try_send(Ok(planned)).map_err(|_| launcher_gone())?;
            return Ok(Response::new(ReceiverStream::new(responses)));
        }
        let (job, presence) =
            self.registry.submit(spec, on_disconnect).map_err(|error| from_not_taken(&error))?;
        let profile_digest = self.digest_of(&job.profile);
        let from = reader::From::default();
        let wrap = wrap_run;
        let follower =
            Follower { job, profile_digest, from, to, wrap, told_accepted: false, told_started: false };
        tokio::spawn(Session { follower, presence, messages, by, closes_stdin: true }.serve());
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let by = Peer::of(&request).to_string();
        let mut messages = request.into_inner();
        let Some(v1::attach_request::Request::Start(start)) = first_message(&mut messages).await?.request
        else {
            return Err(missing_start("the first message must be `start`"));
        };
        let job = self.find(&start.job_id)?;
        let presence = job.attend();
        let (to, responses) = mpsc::channel(RESPONSES_MAX);
        let now = self.wire(&job);
        let told_started = now.start_time.is_some();
        let first = v1::AttachResponse { event: Some(v1::attach_response::Event::Job(now)) };
        // An empty channel takes it.
        to.try_send(Ok(first)).map_err(|_| launcher_gone())?;
        let from = reader::From {
            stdout_offset: start.stdout_offset_bytes,
            stderr_offset: start.stderr_offset_bytes,
        };
        let profile_digest = self.digest_of(&job.profile);
        let wrap = wrap_attach;
        let follower = Follower { job, profile_digest, from, to, wrap, told_accepted: true, told_started };
        tokio::spawn(Session { follower, presence, messages, by, closes_stdin: false }.serve());
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let job = self.find(&request.into_inner().job_id)?;
        Ok(Response::new(v1::GetResponse { job: Some(self.wire(&job)) }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let request = request.into_inner();
        let wanted = state_from_wire(request.state)?;
        let page_size = page_size(request.page_size)?;
        let before = page_token(&request.page_token)?;
        // Only what is cheap is done while nobody else can reach the records.
        let mut found: Vec<Arc<Job>> = Vec::new();
        self.registry.newest_first(before, |job| {
            if wanted.is_none_or(|state| state == state_to_wire(job.state())) {
                found.push(Arc::clone(job));
            }
            found.len() <= page_size
        });
        let mut jobs: Vec<v1::Job> = Vec::new();
        let mut bytes = 0;
        for job in found.iter().take(page_size) {
            let wire = self.wire(job);
            bytes += wire.encoded_len();
            if bytes > PAGE_BYTES_MAX && !jobs.is_empty() {
                break;
            }
            jobs.push(wire);
        }
        let more = jobs.len() < found.len();
        let last = jobs.last().filter(|_| more);
        let next_page_token = last.map(|job| job.job_id.clone()).unwrap_or_default();
        Ok(Response::new(v1::ListResponse { jobs, next_page_token }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        let by = Peer::of(&request).to_string();
        let request = request.into_inner();
        let job = self.find(&request.job_id)?;
        let before = self.wire(&job);
        input::cancel(&job, &by, request.reason, request.kill).await?;
        Ok(Response::new(v1::CancelResponse { job: Some(before) }))
    }
}

fn wrap_run(event: Event) -> v1::RunResponse {
    use run_response::Event as Wire;
    let event = match event {
        Event::Accepted(accepted) => Wire::Accepted(accepted),
        Event::Started(started) => Wire::Started(started),
        Event::Output(chunk) => Wire::Output(chunk),
        Event::Finished(finished) => Wire::Finished(*finished),
        Event::Heartbeat => Wire::Heartbeat(v1::Heartbeat {}),
    };
    v1::RunResponse { event: Some(event) }
}

fn wrap_attach(event: Event) -> v1::AttachResponse {
    use v1::attach_response::Event as Wire;
    let event = match event {
        // A client that attaches knows the id; the record tells the state.
        Event::Accepted(_) | Event::Heartbeat => Wire::Heartbeat(v1::Heartbeat {}),
        Event::Started(started) => Wire::Started(started),
        Event::Output(chunk) => Wire::Output(chunk),
        Event::Finished(finished) => Wire::Finished(*finished),
    };
    v1::AttachResponse { event: Some(event) }
}

fn page_size(asked: u32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(asked) if asked <= PAGE_MAX => Ok(asked),
        _ => Err(Reason::BadPage.status(format!("a page of {asked} jobs is over the bound of {PAGE_MAX}"))),
    }
}

/// The token is the last id of the page before: whatever comes or goes, the next page begins behind it.
fn page_token(token: &str) -> Result<Option<&str>, Status> {
    let plain = token.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match token {
        "" => Ok(None),
        _ if plain && token.starts_with("job-") && token.len() == 30 => Ok(Some(token)),
        _ => Err(Reason::BadPage.status("the page token is not one of ours: pass it as it came")),
    }
}
