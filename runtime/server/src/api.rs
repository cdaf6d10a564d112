//! The gRPC services. A handler converts, calls one thing, converts back; wire types stop here.

pub mod convert;
pub mod errors;
mod follow;
mod input;
mod job_service;
mod node_service;

pub use job_service::JobApi;
pub use node_service::NodeApi;

/// The largest request, in bytes: argv and environment at their bound, and room.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Level of this API; grows with every addition.
pub const API_LEVEL: u32 = 1;
