//! A client that never gives up: every call is tried again until a server answers.

use crate::Daemon;
use runtime_proto::v1::{
    Job, JobSpec, ListRequest, SubmitRequest, WaitRequest, job_service_client::JobServiceClient,
};
use std::time::{Duration, Instant};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

/// Far above what a new server takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection that is made again when it breaks.
///
/// # Panics
/// Never with the path of a test's socket.
pub fn client(daemon: &Daemon<'_>) -> JobServiceClient<Channel> {
    let address = format!("unix:{}", daemon.socket().display());
    JobServiceClient::new(Endpoint::from_shared(address).unwrap().connect_lazy())
}

/// Whether a failure only says that no server was there to answer.
pub fn is_cut(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
}

/// Tries until somebody answers.
///
/// # Panics
/// When nobody does for a long time, or the answer is a refusal.
pub async fn insist<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) if is_cut(&status) => {
                assert!(Instant::now() < deadline, "{what}: after {PATIENCE:?} there is still {status:?}");
            }
            Err(status) => panic!("{what}: {status:?}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Submits under a key, as often as it takes.
///
/// # Panics
/// As [`insist`].
pub async fn submit(client: &JobServiceClient<Channel>, spec: &JobSpec, key: &str) -> Job {
    let ask = || {
        let mut client = client.clone();
        let request =
            SubmitRequest { spec: Some(spec.clone()), idempotency_key: key.to_owned(), validate_only: false };
        async move { client.submit(request).await }
    };
    insist("submit", ask).await.job.expect("an accepted submit has its job")
}

/// Waits for the end of a job.
///
/// # Panics
/// As [`insist`].
pub async fn wait(client: &JobServiceClient<Channel>, job_id: &str) -> Job {
    loop {
        let ask = || {
            let mut client = client.clone();
            let timeout = prost_types::Duration { seconds: 10, nanos: 0 };
            let request = WaitRequest { job_id: job_id.to_owned(), timeout: Some(timeout) };
            async move { client.wait(request).await }
        };
        let job = insist("wait", ask).await.job.expect("wait answers with the job");
        if job.outcome.is_some() {
            return job;
        }
    }
}

/// Every job that the daemon knows.
///
/// # Panics
/// As [`insist`].
pub async fn list(client: &JobServiceClient<Channel>) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut page_token = String::new();
    loop {
        let ask = || {
            let mut client = client.clone();
            let request =
                ListRequest { page_size: 20, page_token: page_token.clone(), ..ListRequest::default() };
            async move { client.list(request).await }
        };
        let page = insist("list", ask).await;
        jobs.extend(page.jobs);
        if page.next_page_token.is_empty() {
            return jobs;
        }
        page_token = page.next_page_token;
    }
}
