//! Generates the stock gRPC server from `proto/`; the messages are contract's.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../proto");
    let set = protox::compile(["../proto/echo.proto"], ["../proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .extern_path(".echo", "::contract::echo")
        .compile_fds(set)?;
    Ok(())
}
