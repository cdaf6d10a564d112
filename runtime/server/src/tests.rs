//! The whole server against a launcher that the test plays, on real sockets and pipes.

mod attach;
pub(crate) mod harness;
mod lifecycle;
mod recovery;
mod run;

pub(crate) use harness::welcome;
