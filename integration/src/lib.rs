//! The harness of the integration tests: everything a test needs around the two programs.
//!
//! - [`cases`]: how tests are listed, run with a time limit, and summed up
//! - [`tools`]: optional programs, and the table of tests that were skipped for want of one
//! - [`server`]: dummy-server inside the test's process; [`binaries`]: both programs as real processes
//! - [`client`]: exchanges over both protocols, gRPC and WebSocket, plain and over TLS, with every byte in view
//! - [`authority`] makes certificates for tests of TLS
//! - [`metrics`]: what the server counted; [`report`]: what loadgen counted
//! - [`peers`]: servers that behave badly, on purpose
//! - [`planted`]: a proxy that does to requests what real ones should not, [`planted_messages`] to messages on WebSockets,
//!   [`planted_calls`] to messages of gRPC streams
//! - [`rewrite`]: what it does to heads of requests and replies
//! - [`relay`]: one that passes everything on while it comes, with a bad habit or without
//! - [`proxy`]: real proxies in between, [`proxies`]: what is particular to each
//! - [`gateways`]: reverse proxies of nine makes, of which tests ask all the same; [`ledgers`]: what servers have seen of a run
//! - [`foreign`]: third-party peers: programs in other languages, servers for loadgen
//! - [`launch`]: programs whose ports to listen on are given to them
//!
//! Everything listens on loopback and on a port that the system picks.

mod announce;
pub mod authority;
pub mod binaries;
pub mod cases;
pub mod client;
mod ending;
pub mod foreign;
pub mod gateways;
pub mod launch;
pub mod ledgers;
pub mod metrics;
pub mod peers;
pub mod planted;
pub mod planted_calls;
pub mod planted_messages;
pub mod process;
pub mod proxies;
pub mod proxy;
pub mod relay;
pub mod report;
pub mod rewrite;
pub mod server;
pub mod tools;

use std::time::Duration;

/// How long anything may take that normally takes milliseconds, before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);
