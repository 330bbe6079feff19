//! Both programs together, and real proxies between them.
//!
//! One binary with its own `main` (see `integration::cases`). A function is a test by its signature: `build.rs` finds
//! those of each module, and `tests!()` stands for the function `tests() -> Cases` that lists them.

/// The list that the build step has made of this module's tests and those of the modules in it; with `alone`, each of
/// them runs while no other does.
macro_rules! tests {
    ($(alone)?) => {
        include!(concat!(env!("OUT_DIR"), "/", module_path!(), ".rs"));
    };
}

mod accounting; // identities, and the server's counts, whatever is spoken and goes wrong
mod addresses; // where dummy-server listens
mod admin; // the admin port: what it shows, and to whom
mod attacks; // abusive clients
mod behaviour; // faults and shaping on request
mod call_timing; // delays, deadlines and drains of gRPC calls
mod canaries; // what loadgen finds out before a verified run
mod chart; // the Helm chart
mod chunks; // chunks of one byte
mod clients; // third-party clients
mod compose; // the docker compose lab
mod conformance; // h2spec
mod cors; // cross-origin requests
mod counts; // loadgen's counts against the server's
mod drain; // from SIGTERM to exit
mod drain_races; // requests in flight when a drain begins
mod encodings; // compressed content, through a proxy
mod endpoints; // each endpoint, over both protocols
mod exits; // exit codes, verdicts and thresholds of loadgen
mod expect; // 100 (Continue)
mod extremes; // flags at the limits of what they accept
mod faulty_servers; // loadgen against servers that violate the protocol
mod fields; // header fields as they were on the wire
mod gateways; // through reverse proxies of nine makes
mod grpc_calls; // gRPC
mod grpc_load; // gRPC calls of loadgen
mod grpc_messages; // gRPC messages and deadlines
mod grpc_web; // gRPC-Web
mod haproxy_tls; // TLS details of clients, as HAProxy passes them on
mod heads; // what a proxy changes in heads
mod helps; // the help texts, word for word
mod http_bytes; // HTTP/1 and HTTP/2 byte by byte
mod instances; // several servers in one process
mod invariants; // rules checked on the dependency graph
mod layers; // rules checked on the sources' modules
mod loadgen_cli; // loadgen's command line
mod logs; // the access log and the periodic figures
mod misbehaving_clients; // clients that vanish, stall or flood
mod names; // rules checked on the names of types and modules
mod operation; // dummy-server's command line
mod origins; // loadgen against third-party servers
mod pacing; // when requests arrive
mod payload; // bodies, byte for byte
mod planned_calls; // gRPC calls with a response plan
mod probed; // loadgen probe through proxies with known habits
mod probed_columns; // columns of loadgen probe that can't be asked
mod probed_faults; // loadgen probe when something goes wrong with it or its proxy
mod probed_messages; // the cases of loadgen probe about messages
mod probed_repeats; // POSTs that are repeated wherever and whenever, and caches
mod probes; // the admin and profile ports under adverse conditions
mod proxied; // through nginx, HAProxy and Envoy
mod proxied_tls; // through nginx and Envoy, which end TLS
mod proxy_protocol; // PROXY headers
mod pushed; // ledgers of servers that have gone
mod readme; // the commands in README.md
mod recipes; // the commands in docs/recipes.md, through nginx
mod refused; // requests that are refused before they reach an endpoint
mod repeated; // requests that real proxies retry
mod reports; // formats of a report, and kept reports
mod resources; // files, connections, memory, workers
mod scraped; // the metrics, in both exposition formats
mod settings; // what HTTP/2 clients are allowed
mod split; // service times, by where the time was spent
mod streams; // streamed content, and digests
mod targets; // request targets, in every form
mod tls; // TLS, client certificates, reloads
mod tls_clients; // TLS with third-party clients
mod traces; // Trace Context
mod uploaded; // bodies of requests, checked by the server
mod verified; // what loadgen proves of each request
mod verified_messages; // what loadgen proves of each message on a WebSocket
mod verified_streams; // the same of messages of gRPC streams
mod volume; // a gigabyte each way
mod websocket_load; // WebSockets of loadgen
mod websockets; // WebSocket
mod yaml; // reading the YAML of chart and compose

use std::process::ExitCode;

tests!();

fn main() -> ExitCode {
    tests().run()
}
