//! grpc.health.v1: what the registry says of itself, for each service and for all of them.
//!
//! JobService and the whole (the empty name) serve while new jobs are taken. NodeService serves as long as we do: it is
//! there to say what is wrong.

use super::{Context, JobApi, NodeApi};
use crate::jobs::ServingState;
use runtime_proto::v1::job_service_server::JobServiceServer;
use runtime_proto::v1::node_service_server::NodeServiceServer;
use std::sync::Arc;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Tells health checkers what is true, from now on until the registry is gone.
pub async fn keep(context: Arc<Context>, health: HealthReporter) {
    let mut serving = context.registry.serving();
    health.set_serving::<NodeServiceServer<NodeApi>>().await;
    loop {
        let now = serving.borrow_and_update().clone();
        let status = match now.state {
            ServingState::Serving => ServingStatus::Serving,
            ServingState::Draining | ServingState::Degraded => ServingStatus::NotServing,
        };
        health.set_service_status("", status).await;
        match status {
            ServingStatus::Serving => health.set_serving::<JobServiceServer<JobApi>>().await,
            _ => health.set_not_serving::<JobServiceServer<JobApi>>().await,
        }
        if serving.changed().await.is_err() {
            return;
        }
    }
}
