//! Generates the gRPC server from `proto/`; the messages are contract's. `dummy.v1` is served without generated code.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../crates/contract/proto");
    let set = protox::compile(["../crates/contract/proto/echo.proto"], ["../crates/contract/proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .extern_path(".echo", "::contract::echo")
        .compile_fds(set)?;
    Ok(())
}
