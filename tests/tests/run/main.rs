//! `runtime run`, seen from its caller: bytes, status, environment, workspace, report. Each story is told as root and as an
//! ordinary user.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod environment;
mod report;
mod status;
mod streams;
mod workspace;
