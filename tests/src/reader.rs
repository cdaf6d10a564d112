//! A reader of one job's output that is cut off again and again, and reads on from its cursors.

use crate::client::is_cut;
use runtime_proto::v1::{
    OutputStream, StreamLogsRequest, job_service_client::JobServiceClient, stream_logs_response::Event,
};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// Far above what a job here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of the two streams.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How often the stream broke off before its end, by our doing or the server's.
    pub cuts: u32,
}

/// Reads everything. After each chunk `cut` says whether this reader hangs up; it comes back at once.
///
/// # Panics
/// When a byte is missing, comes twice, or the end does not come.
pub async fn read(
    client: &JobServiceClient<Channel>,
    job_id: &str,
    mut cut: impl FnMut(&Read) -> bool,
) -> Read {
    let mut client = client.clone();
    let mut read = Read::default();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = StreamLogsRequest {
            job_id: job_id.to_owned(),
            stdout_offset_bytes: read.stdout.len() as u64,
            stderr_offset_bytes: read.stderr.len() as u64,
            follow: true,
            ..StreamLogsRequest::default()
        };
        match client.stream_logs(request).await {
            Ok(stream) => {
                if take(stream.into_inner(), &mut read, &mut cut).await {
                    return read;
                }
                read.cuts += 1;
            }
            Err(status) if is_cut(&status) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(status) => panic!("the logs of {job_id}: {status:?}"),
        }
        assert!(Instant::now() < deadline, "the logs of {job_id} do not come to their end");
    }
}

/// Takes what one stream brings. True at the job's end, false when it was cut.
async fn take(
    mut stream: tonic::Streaming<runtime_proto::v1::StreamLogsResponse>,
    read: &mut Read,
    cut: &mut impl FnMut(&Read) -> bool,
) -> bool {
    loop {
        let message = match stream.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return false,
            Err(status) if is_cut(&status) => return false,
            Err(status) => panic!("{status:?}"),
        };
        match message.event.expect("a message has an event") {
            Event::Output(chunk) => {
                let of = match chunk.stream() {
                    OutputStream::Stdout => &mut read.stdout,
                    OutputStream::Stderr => &mut read.stderr,
                    OutputStream::Unspecified => panic!("a chunk of no stream"),
                };
                assert_eq!(chunk.offset_bytes, of.len() as u64, "a byte is missing or comes twice");
                of.extend_from_slice(&chunk.data);
            }
            Event::Gap(gap) => panic!("nothing was to be removed: {gap:?}"),
            Event::End(end) => {
                assert!(end.finished, "a reader that follows was sent away before the end");
                assert_eq!(end.stdout_offset_bytes, read.stdout.len() as u64);
                assert_eq!(end.stderr_offset_bytes, read.stderr.len() as u64);
                return true;
            }
            Event::Heartbeat(_) => {}
        }
        if cut(read) {
            return false;
        }
    }
}
