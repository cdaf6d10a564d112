//! NodeService: Info, Doctor, Profiles, Drain. Most of it is what the launcher said when it greeted us.

use super::convert::duration_up_to;
use super::errors::{Reason, reason_of};
use super::{API_LEVEL, Context, REQUEST_BYTES_MAX};
use crate::jobs::ServingState;
use runtime_plan::doctor::{Finding, FindingState};
use runtime_plan::limit::LimitRequest;
use runtime_proto::v1::{self, node_service_server::NodeService};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// How long a drain may let jobs run on.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The service.
#[derive(Debug)]
pub struct NodeApi {
    context: Arc<Context>,
}

impl NodeApi {
    /// Tells about this.
    pub fn new(context: Arc<Context>) -> NodeApi {
        NodeApi { context }
    }

    fn try_drain(&self, request: v1::DrainRequest) -> Result<v1::DrainResponse, Status> {
        let deadline = duration_up_to("deadline", request.deadline, DRAIN_MAX)?;
        let registry = &self.context.registry;
        match (request.undo, deadline) {
            (true, Some(_)) => {
                return Err(
                    Reason::Contradiction.status("a drain is undone at once: leave out `deadline` or `undo`")
                );
            }
            (true, None) => registry.undo_drain(),
            (false, deadline) => registry.drain(deadline),
        }
        let counts = registry.counts();
        let jobs_running = counts.running.saturating_add(counts.starting);
        Ok(v1::DrainResponse { jobs_running, jobs_queued: counts.queued })
    }
}

#[tonic::async_trait]
impl NodeService for NodeApi {
    async fn info(&self, _: Request<v1::InfoRequest>) -> Result<Response<v1::InfoResponse>, Status> {
        let welcome = &self.context.welcome;
        let facts = &welcome.facts;
        let rules = Arc::clone(&self.context.rules.borrow());
        let counts = self.context.registry.counts();
        let totals = self.context.registry.totals();
        let serving = self.context.registry.serving().borrow().clone();
        Ok(Response::new(v1::InfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_level: API_LEVEL,
            kernel: facts.kernel.clone(),
            rootful: facts.rootful,
            landlock_abi: facts.landlock_abi,
            cgroup_version: facts.cgroup.version.map_or("none", |version| version.name()).to_owned(),
            cgroup_controllers: facts.cgroup.controllers.clone(),
            cpus: facts.cpus,
            jobs_running_max: rules.policy.jobs_running_max,
            jobs_queued_max: rules.policy.jobs_queued_max,
            request_bytes_max: REQUEST_BYTES_MAX as u64,
            ceilings: Some(limits_to_wire(&rules.policy.ceilings)),
            jobs_running: counts.running.saturating_add(counts.starting),
            jobs_queued: counts.queued,
            state: match serving.state {
                ServingState::Serving => v1::ServingState::Serving,
                ServingState::Draining => v1::ServingState::Draining,
                ServingState::Degraded => v1::ServingState::Degraded,
            }
            .into(),
            problems: serving.problems,
            server_generation: welcome.generation,
            launcher_instance: welcome.launcher.instance.clone(),
            launcher_pid: welcome.launcher.pid,
            records: totals.records,
            output_bytes: totals.output_bytes,
        }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let drained = self.try_drain(request.into_inner());
        if let Some(reason) = drained.as_ref().err().and_then(reason_of) {
            self.context.metrics.refused(reason);
        }
        drained.map(Response::new)
    }

    async fn doctor(&self, _: Request<v1::DoctorRequest>) -> Result<Response<v1::DoctorResponse>, Status> {
        Ok(Response::new(v1::DoctorResponse {
            findings: self.context.welcome.findings.iter().map(finding_to_wire).collect(),
            default_profile_runs: self.context.welcome.default_profile_runs,
        }))
    }

    async fn profiles(
        &self,
        _: Request<v1::ProfilesRequest>,
    ) -> Result<Response<v1::ProfilesResponse>, Status> {
        let rules = Arc::clone(&self.context.rules.borrow());
        let profiles = rules.profiles.iter().map(|profile| v1::ProfileSummary {
            name: profile.name.clone(),
            description: profile.description.clone(),
            origin: profile.origin.clone(),
            digest: profile.digest.clone(),
            extends: profile.extends.clone(),
        });
        Ok(Response::new(v1::ProfilesResponse { profiles: profiles.collect() }))
    }
}

fn finding_to_wire(finding: &Finding) -> v1::Finding {
    v1::Finding {
        name: finding.name.clone(),
        wall: finding.wall.map(|wall| wall.name().to_owned()).unwrap_or_default(),
        state: match finding.state {
            FindingState::Ok => v1::FindingState::Ok,
            FindingState::Warning => v1::FindingState::Warning,
            FindingState::Broken => v1::FindingState::Broken,
        }
        .into(),
        seen: finding.seen.clone(),
        breaks: finding.breaks.clone(),
        mend: finding.mend.clone(),
    }
}

fn limits_to_wire(limits: &LimitRequest) -> v1::Limits {
    let from_ms = |ms: u64| super::convert::duration_from_us(ms.saturating_mul(1_000));
    v1::Limits {
        wall_time: limits.wall_time_ms.map(from_ms),
        cpu_time: limits.cpu_time_ms.map(from_ms),
        idle_time: limits.idle_time_ms.map(from_ms),
        memory_bytes: limits.memory_bytes,
        swap_bytes: limits.swap_bytes,
        cpu_millicores: limits.cpu_millicores,
        pids: limits.pids,
        files: limits.files,
        output_bytes: limits.output_bytes,
        scratch_bytes: limits.scratch_bytes,
        scratch_inodes: limits.scratch_inodes,
    }
}
