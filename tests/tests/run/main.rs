//! `runtime run`, seen from its caller: bytes, status, environment, workspace, report. Each story is told as root and as an
//! ordinary user.

mod environment;
mod report;
mod status;
mod stdin_file;
mod streams;
mod user;
mod workspace;
