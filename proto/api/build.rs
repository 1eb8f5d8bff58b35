//! Compiles `proto/v1/*.proto` without protoc: protox parses, tonic's generator writes.
use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../v1");
    println!("cargo::rerun-if-changed={}", root.display());
    let set = protox::compile(["synod.proto", "peer.proto"], [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .bytes(".synod.peer")
        .extern_path(".synod.v1.Event", "crate::event::Event")
        .compile_fds(set)?;
    Ok(())
}
