//! Compiles `proto/v1/*.proto` without protoc: protox parses, tonic's generator writes.
//!
//! The two ports have different codecs, which the generator sets for everything that it compiles
//! at once. So it runs twice, into two folders.
use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../v1");
    println!("cargo::rerun-if-changed={}", root.display());
    let set = protox::compile(["synod.proto", "peer.proto"], [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;
    let mut clients = set.clone();
    clients.file.retain(|file| file.name() != "peer.proto");
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .extern_path(".synod.v1.Event", "crate::event::Event")
        .compile_fds(clients)?;
    let peers = out.join("peers");
    std::fs::create_dir_all(&peers)?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .out_dir(peers)
        .bytes(".synod.peer")
        .extern_path(".synod.v1", "crate::v1")
        .codec_path("crate::checked::CheckedCodec")
        .compile_fds(set)?;
    Ok(())
}
