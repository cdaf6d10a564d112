//! The whole server against a launcher that the test plays, on real sockets and pipes.

mod attach;
mod harness;
mod lifecycle;
mod run;

pub(crate) use harness::welcome;
