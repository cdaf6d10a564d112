//! StreamLogs: the stored output of one job, for one client, from cursors on.

use super::Context;
use super::client::{Client, Over};
use super::convert::Piece;
use super::errors::server_restarting;
use super::follow::{no_outcome, without_end};
use super::output::Output;
use crate::jobs::{End, Job};
use runtime_proto::v1::{self, stream_logs_response::Event};
use std::sync::Arc;

/// One client that reads the output of one job.
pub(super) struct LogReader {
    pub(super) context: Arc<Context>,
    pub(super) job: Arc<Job>,
    pub(super) output: Output,
    pub(super) client: Client<v1::StreamLogsResponse>,
    /// Until the job is over, else until what is there now.
    pub(super) follow: bool,
}

impl LogReader {
    /// Returns when the client has gone or has all.
    pub(super) async fn stream(mut self) {
        let mut progress = self.job.progress();
        let mut written = self.job.written();
        let mut log_grows = true;
        loop {
            // In this order: an end in the record means that the log is complete.
            let now = progress.borrow_and_update().clone();
            let so_far = *written.borrow_and_update();
            let told = self.output.tell(&so_far, &mut self.client, &self.context, wrap_piece).await;
            if told.is_err() {
                return;
            }
            let finished = matches!(now.end, Some(End::Finished(_)));
            if finished || !self.follow {
                self.tell_end(finished).await;
                return;
            }
            if let Some(status) = no_outcome(&self.context, &now) {
                let Over = self.client.give_up(status).await;
                return;
            }
            tokio::select! {
                () = self.client.gone() => return,
                () = self.context.retired() => {
                    let Over = self.client.give_up(server_restarting()).await;
                    return;
                }
                changed = progress.changed() => if changed.is_err() {
                    let Over = self.client.give_up(without_end(&self.context)).await;
                    return;
                },
                changed = written.changed(), if log_grows => log_grows = changed.is_ok(),
                () = self.client.silence() => {
                    if self.client.tell(wrap(Event::Heartbeat(v1::Heartbeat {}))).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn tell_end(&mut self, finished: bool) {
        let at = self.output.cursor();
        let end = v1::LogsEnd {
            stdout_offset_bytes: at.stdout_offset,
            stderr_offset_bytes: at.stderr_offset,
            finished,
        };
        if self.client.tell(wrap(Event::End(end))).await.is_err() {
            tracing::debug!(job = %self.job.record.id, "the client has gone already");
        }
    }
}

fn wrap_piece(piece: Piece) -> v1::StreamLogsResponse {
    wrap(match piece {
        Piece::Output(chunk) => Event::Output(chunk),
        Piece::Gap(gap) => Event::Gap(gap),
    })
}

fn wrap(event: Event) -> v1::StreamLogsResponse {
    v1::StreamLogsResponse { event: Some(event) }
}
