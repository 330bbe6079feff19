//! A real proxy between the two programs. Its configuration is generated for the servers behind it.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use crate::{launch::Launched, process::Process};

/// The servers behind a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    /// HTTP of both versions.
    pub http: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
}

/// Where a proxy listens.
#[derive(Clone, Copy, Debug)]
pub struct Fronts {
    /// HTTP/1.1 and WebSocket.
    pub http1: SocketAddr,
    /// HTTP/2 by prior knowledge.
    pub h2c: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
}

/// What is particular to a kind of proxy.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The name of the executable.
    pub tool: &'static str,
    /// The configuration.
    pub configuration: fn(Behind, Fronts, directory: &Path) -> String,
    /// The command line, given the configuration's file.
    pub command: fn(program: &Path, directory: &Path, configuration: &Path) -> Command,
}

/// A running proxy; killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub fronts: Fronts,
    launched: Launched<3>,
}

impl Proxy {
    /// Starts a proxy and waits until each of its ports accepts.
    ///
    /// # Panics
    /// When it does not come to that; the message has what it said.
    #[must_use]
    pub fn start(kind: Kind, program: &Path, behind: Behind) -> Self {
        Self::start_with(kind, program, behind, &[])
    }

    /// The same with files, by name and text, that its configuration speaks of.
    ///
    /// # Panics
    /// When it does not come to that; the message has what it said.
    #[must_use]
    pub fn start_with(kind: Kind, program: &Path, behind: Behind, files: &[(&str, String)]) -> Self {
        let fronts = |[http1, h2c, grpc]: [SocketAddr; 3]| Fronts { http1, h2c, grpc };
        let launched = Launched::start(kind.tool, |addresses, directory| {
            for (name, text) in files {
                fs::write(directory.join(name), text).expect("a file is written");
            }
            // Envoy detects the format by this name; the others take any.
            let file = directory.join("proxy.yaml");
            fs::write(&file, (kind.configuration)(behind, fronts(addresses), directory))
                .expect("a file is written");
            (kind.command)(program, directory, &file)
        });
        Self { fronts: fronts(launched.addresses), launched }
    }

    /// Where it keeps what it writes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.launched.directory()
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.launched.process()
    }
}
