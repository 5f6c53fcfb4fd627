//! Rust of the messages and services in auth-actor/proto, without `protoc`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let file = "micro_mq/auth/v1/auth.proto";
    println!("cargo::rerun-if-changed={}", proto.join(file).display());
    let descriptors = protox::compile([file], [&proto])?;
    tonic_prost_build::configure().build_transport(true).compile_fds(descriptors)?;
    Ok(())
}
