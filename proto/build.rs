//! Compiles the .proto files without protoc, so that a fresh machine needs nothing but cargo.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=runtime");
    let files = ["runtime/v1/job.proto", "runtime/v1/node.proto"];
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("runtime_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".runtime.v1").compile_fds(descriptors)?;
    Ok(())
}
