//! Compiles the messages of `proto/` without a protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let set = protox::compile(["proto/echo.proto", "proto/test.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;
    // Payloads are not copied out of what was received.
    prost_build::Config::new().bytes([".dummy.v1"]).compile_fds(set)?;
    Ok(())
}
