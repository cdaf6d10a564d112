//! NodeService: Info, Doctor, Profiles. All of it is what the launcher said when it greeted us.

use super::{API_LEVEL, REQUEST_BYTES_MAX};
use crate::jobs::Registry;
use runtime_plan::doctor::{Finding, FindingState};
use runtime_plan::limit::LimitRequest;
use runtime_plan::link::Welcome;
use runtime_proto::v1::{self, node_service_server::NodeService};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
#[derive(Debug)]
pub struct NodeApi {
    registry: Arc<Registry>,
    welcome: Arc<Welcome>,
}

impl NodeApi {
    /// Tells what the launcher said.
    pub fn new(registry: Arc<Registry>, welcome: Arc<Welcome>) -> NodeApi {
        NodeApi { registry, welcome }
    }
}

#[tonic::async_trait]
impl NodeService for NodeApi {
    async fn info(&self, _: Request<v1::InfoRequest>) -> Result<Response<v1::InfoResponse>, Status> {
        let (facts, policy) = (&self.welcome.facts, &self.welcome.policy);
        let (jobs_running, jobs_queued) = self.registry.counts();
        Ok(Response::new(v1::InfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_level: API_LEVEL,
            kernel: facts.kernel.clone(),
            rootful: facts.rootful,
            landlock_abi: facts.landlock_abi,
            cgroup_version: facts.cgroup.version.map_or("none", |version| version.name()).to_owned(),
            cgroup_controllers: facts.cgroup.controllers.clone(),
            cpus: facts.cpus,
            jobs_running_max: policy.jobs_running_max,
            jobs_queued_max: policy.jobs_queued_max,
            request_bytes_max: REQUEST_BYTES_MAX as u64,
            ceilings: Some(limits_to_wire(&policy.ceilings)),
            jobs_running,
            jobs_queued,
        }))
    }

    async fn doctor(&self, _: Request<v1::DoctorRequest>) -> Result<Response<v1::DoctorResponse>, Status> {
        Ok(Response::new(v1::DoctorResponse {
            findings: self.welcome.findings.iter().map(finding_to_wire).collect(),
            default_profile_runs: self.welcome.default_profile_runs,
        }))
    }

    async fn profiles(
        &self,
        _: Request<v1::ProfilesRequest>,
    ) -> Result<Response<v1::ProfilesResponse>, Status> {
        let profiles = self.welcome.profiles.iter().map(|profile| v1::ProfileSummary {
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
