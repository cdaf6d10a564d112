//! The `runtime.v1` API: messages, client and server as generated from `proto/runtime/v1/*.proto`.

#![forbid(unsafe_code)]

/// Version 1.
pub mod v1 {
    #![allow(missing_docs, clippy::all, reason = "generated; the comments are in the .proto files")]
    tonic::include_proto!("runtime.v1");

    /// The descriptors of this package, for server reflection.
    pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/runtime_descriptor.bin"));
}
