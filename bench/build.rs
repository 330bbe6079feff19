//! Generates the stock gRPC server from `proto/`, whose messages are contract's, and points the peers of this package
//! which version of their library they have.

use std::{error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../crates/contract/proto");
    let set = protox::compile(["../crates/contract/proto/echo.proto"], ["../crates/contract/proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .extern_path(".echo", "::contract::echo")
        .compile_fds(set)?;

    println!("cargo::rerun-if-changed=../Cargo.lock");
    let lock = fs::read_to_string("../Cargo.lock")?;
    for (name, variable) in [("tonic", "TONIC_VERSION"), ("tokio-tungstenite", "TUNGSTENITE_VERSION")] {
        let line = format!("name = \"{name}\"\n");
        let package = lock.split("[[package]]").find(|package| package.contains(&line));
        let version = package.and_then(|package| package.split("version = \"").nth(1)?.split('"').next());
        println!("cargo::rustc-env={variable}={}", version.unwrap_or("of unknown version"));
    }
    Ok(())
}
