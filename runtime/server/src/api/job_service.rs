//! JobService: each call converts, asks one thing, converts back. What goes on after the answer has a file of its own.

use super::client::{Client, Responses};
use super::convert::{Caller, duration_up_to, request_from_wire, wanted_from_wire};
use super::errors::{
    Reason, from_not_deleted, from_not_found, from_not_taken, from_refusal, launcher_gone, reason_of,
    server_restarting,
};
use super::follow::{no_outcome, without_end};
use super::logs::LogReader;
use super::output::Output;
use super::run::{Session, first_message, missing_start};
use super::token::{Before, Place, is_id, place_from_token};
use super::watch::Watcher;
use super::{Context, input, page};
use crate::jobs::{Command, Job, NotDeleted, NotDone, Taken};
use crate::logs::reader;
use crate::peer::Peer;
use runtime_plan::spec::Spec;
use runtime_proto::v1::{self, job_service_server::JobService, run_response};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status, Streaming};

/// Bytes of a plan at most: clients take 4 MiB.
const PLAN_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How long Wait waits at most.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// The service.
#[derive(Debug)]
pub struct JobApi {
    context: Arc<Context>,
}

impl JobApi {
    /// Serves this.
    pub fn new(context: Arc<Context>) -> JobApi {
        JobApi { context }
    }

    /// Counts a refusal.
    fn told<R>(&self, result: Result<R, Status>) -> Result<Response<R>, Status> {
        let result = result.map_err(|status| self.context.say(status));
        if let Some(reason) = result.as_ref().err().and_then(reason_of) {
            self.context.metrics.refused(reason);
        }
        result.map(Response::new)
    }

    async fn find(&self, id: &str) -> Result<Arc<Job>, Status> {
        self.context.registry.find(id).await.map_err(|error| from_not_found(id, &error))
    }

    async fn plan(&self, spec: Spec) -> Result<String, Status> {
        let planned = self.context.registry.link().plan(spec).await.map_err(|_| launcher_gone())?;
        let plan_json = planned.map_err(|refusal| from_refusal(&refusal))?;
        if plan_json.len() > PLAN_BYTES_MAX {
            let text = format!("the plan is {} bytes, over the bound of {PLAN_BYTES_MAX}", plan_json.len());
            return Err(Reason::PlanTooLarge.status(text));
        }
        Ok(plan_json)
    }

    async fn try_run(
        &self,
        request: Request<Streaming<v1::RunRequest>>,
    ) -> Result<Responses<v1::RunResponse>, Status> {
        let by = Peer::of(&request).to_string();
        let mut messages = request.into_inner();
        let Some(v1::run_request::Request::Start(start)) = first_message(&mut messages).await?.request else {
            return Err(missing_start("the first message must be `start`"));
        };
        let wire = start.spec.ok_or_else(|| missing_start("`start` has no spec"))?;
        let asked = request_from_wire(wire, start.idempotency_key, Caller::Stays)?;
        if start.validate_only {
            let plan_json = self.plan(asked.spec).await?;
            let (mut client, responses) = Client::new(self.context.metrics.clone(), self.context.faults);
            let event = Some(run_response::Event::Planned(v1::JobPlanned { plan_json }));
            tokio::spawn(async move { client.tell(v1::RunResponse { event }).await });
            return Ok(responses);
        }
        let taken = self.context.registry.run(asked).await.map_err(|error| from_not_taken(&error))?;
        let Taken { job, presence, known } = taken;
        // The offsets are those of a client that has read the job before.
        let offsets = reader::From {
            stdout_offset: start.stdout_offset_bytes,
            stderr_offset: start.stderr_offset_bytes,
        };
        let from = if known { offsets } else { reader::From::default() };
        let context = Arc::clone(&self.context);
        Ok(Session { context, job, presence, messages, by, from, closes_stdin: true }.run())
    }

    async fn try_attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Responses<v1::AttachResponse>, Status> {
        let by = Peer::of(&request).to_string();
        let mut messages = request.into_inner();
        let Some(v1::attach_request::Request::Start(start)) = first_message(&mut messages).await?.request
        else {
            return Err(missing_start("the first message must be `start`"));
        };
        let job = self.find(&start.job_id).await?;
        let presence = job.attend();
        let from = reader::From {
            stdout_offset: start.stdout_offset_bytes,
            stderr_offset: start.stderr_offset_bytes,
        };
        let context = Arc::clone(&self.context);
        Ok(Session { context, job, presence, messages, by, from, closes_stdin: false }.attach())
    }

    async fn try_submit(&self, request: v1::SubmitRequest) -> Result<v1::SubmitResponse, Status> {
        let wire = request.spec.ok_or_else(|| missing_start("there is no spec"))?;
        let asked = request_from_wire(wire, request.idempotency_key, Caller::Leaves)?;
        if request.validate_only {
            let plan_json = self.plan(asked.spec).await?;
            return Ok(v1::SubmitResponse { plan_json, ..v1::SubmitResponse::default() });
        }
        let taken = self.context.registry.submit(asked).await.map_err(|error| from_not_taken(&error))?;
        let job = Some(Context::wire(&taken.job));
        Ok(v1::SubmitResponse { job, known: taken.known, plan_json: String::new() })
    }

    async fn try_stream_logs(
        &self,
        request: v1::StreamLogsRequest,
    ) -> Result<Responses<v1::StreamLogsResponse>, Status> {
        let wanted = wanted_from_wire(&request)?;
        let job = self.find(&request.job_id).await?;
        let (client, responses) = Client::new(self.context.metrics.clone(), self.context.faults);
        let output = Output::new(job.log.clone(), wanted, self.context.metrics.reader_opened());
        let context = Arc::clone(&self.context);
        tokio::spawn(LogReader { context, job, output, client, follow: request.follow }.stream());
        Ok(responses)
    }

    async fn try_watch(&self, request: v1::WatchRequest) -> Result<Responses<v1::WatchResponse>, Status> {
        let filter = page::filter(request.labels, request.profile, request.org)?;
        let last = *self.context.registry.watch_changes().borrow();
        let place = match place_from_token(&filter, &request.resume_token)? {
            Some(place) if place.change > last => {
                return Err(Reason::BadResumeToken.status(
                    "the resume token is of records that are gone: watch from the start, without a token",
                ));
            }
            Some(place) => place,
            None => Place { change: last, before: Some(Before::All) },
        };
        let (client, responses) = Client::new(self.context.metrics.clone(), self.context.faults);
        let context = Arc::clone(&self.context);
        tokio::spawn(Watcher { context, client, filter, place }.watch());
        Ok(responses)
    }

    async fn try_wait(&self, request: v1::WaitRequest) -> Result<v1::WaitResponse, Status> {
        let most = duration_up_to("timeout", request.timeout, WAIT_MAX)?.unwrap_or(WAIT_MAX);
        let job = self.find(&request.job_id).await?;
        let mut progress = job.progress();
        let ended = tokio::select! {
            ended = progress.wait_for(|progress| progress.end.is_some()) => ended.map(|now| now.clone()).map_err(|_| ()),
            () = tokio::time::sleep(most) => return Ok(v1::WaitResponse { job: Some(Context::wire(&job)) }),
            () = self.context.retired() => return Err(server_restarting()),
        };
        match ended {
            Ok(now) => match no_outcome(&self.context, &now) {
                Some(status) => Err(status),
                None => Ok(v1::WaitResponse { job: Some(Context::wire(&job)) }),
            },
            Err(()) => Err(without_end(&self.context)),
        }
    }

    async fn try_signal(&self, request: v1::SignalRequest) -> Result<v1::SignalResponse, Status> {
        let signal = input::signal(request.signal)?;
        let job = self.find(&request.job_id).await?;
        match job.command(Command::Signal { signal, all: request.all_processes }).await {
            Ok(()) => Ok(v1::SignalResponse {}),
            Err(NotDone::NotRunning | NotDone::NoTerminal) => Err(Reason::JobNotRunning.status(format!(
                "the command of {} does not run, so no signal was sent: `runtime inspect` tells its state",
                job.record.id
            ))),
        }
    }

    async fn try_cancel(&self, by: &str, request: v1::CancelRequest) -> Result<v1::CancelResponse, Status> {
        let job = self.find(&request.job_id).await?;
        let before = Context::wire(&job);
        input::cancel(&job, by, request.reason, request.kill).await?;
        Ok(v1::CancelResponse { job: Some(before) })
    }

    async fn try_delete(&self, request: v1::DeleteRequest) -> Result<v1::DeleteResponse, Status> {
        let id = request.job_id;
        if !is_id(&id) {
            return Err(from_not_deleted(&id, &NotDeleted::Unknown));
        }
        let deleted = self.context.registry.delete(&id).await;
        deleted.map_err(|error| from_not_deleted(&id, &error))?;
        Ok(v1::DeleteResponse {})
    }
}

#[tonic::async_trait]
impl JobService for JobApi {
    type RunStream = Responses<v1::RunResponse>;
    type AttachStream = Responses<v1::AttachResponse>;
    type StreamLogsStream = Responses<v1::StreamLogsResponse>;
    type WatchStream = Responses<v1::WatchResponse>;

    async fn run(
        &self,
        request: Request<Streaming<v1::RunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        self.told(self.try_run(request).await)
    }

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        self.told(self.try_submit(request.into_inner()).await)
    }

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        self.told(self.try_attach(request).await)
    }

    async fn stream_logs(
        &self,
        request: Request<v1::StreamLogsRequest>,
    ) -> Result<Response<Self::StreamLogsStream>, Status> {
        self.told(self.try_stream_logs(request.into_inner()).await)
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let found = self.find(&request.into_inner().job_id).await;
        self.told(found.map(|job| v1::GetResponse { job: Some(Context::wire(&job)) }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        self.told(page::list(&self.context, request.into_inner()).await)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.told(self.try_watch(request.into_inner()).await)
    }

    async fn wait(&self, request: Request<v1::WaitRequest>) -> Result<Response<v1::WaitResponse>, Status> {
        self.told(self.try_wait(request.into_inner()).await)
    }

    async fn signal(
        &self,
        request: Request<v1::SignalRequest>,
    ) -> Result<Response<v1::SignalResponse>, Status> {
        self.told(self.try_signal(request.into_inner()).await)
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        let by = Peer::of(&request).to_string();
        self.told(self.try_cancel(&by, request.into_inner()).await)
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::DeleteResponse>, Status> {
        self.told(self.try_delete(request.into_inner()).await)
    }
}
