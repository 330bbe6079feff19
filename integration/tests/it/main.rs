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

mod addresses; // where dummy-server listens
mod admin; // what the admin port shows, and to whom
mod attacks; // clients that mean harm
mod behaviour; // faults and shaping on request
mod calls; // gRPC
mod chart; // the Helm chart
mod chunks; // chunks of one byte
mod clients; // clients of other makes
mod compose; // the lab of docker compose
mod conformance; // h2spec
mod cors; // pages of other origins
mod counts; // the generator's accounting against the server's
mod drain; // from SIGTERM to exit
mod endpoints; // each endpoint, over both protocols
mod ends; // flags at the ends of what they accept
mod exits; // exit codes, verdicts and thresholds of loadgen
mod expect; // 100 (Continue)
mod fields; // fields as they were on the wire
mod helps; // the help texts, word for word
mod interrupt; // loadgen as a user meets it
mod invariants; // what the dependency graph proves
mod lasting; // gRPC calls that take their time
mod layers; // what the sources prove of their layers
mod logs; // the access log and the line of figures
mod messages; // gRPC messages and deadlines
mod operation; // dummy-server as an operator meets it
mod origins; // servers of other makes
mod pacing; // when requests arrive
mod parting; // what crosses a drain
mod payload; // bodies, byte for byte
mod planned; // gRPC calls whose replies are asked for
mod probes; // the admin and profile ports, whatever is in their way
mod proxied; // nginx, HAProxy, Envoy
mod proxy_protocol; // PROXY headers
mod readme; // what README.md says to type
mod refused; // what no endpoint gets to see
mod reports; // the forms of a report, and reports that were kept
mod resources; // files, connections, memory, workers
mod rude; // clients that break the rules
mod scraped; // the metrics, in both of their forms
mod settings; // what HTTP/2 clients are allowed
mod sockets; // WebSocket
mod streams; // content that comes bit by bit, and digests
mod targets; // what requests ask for, in every form
mod tls; // TLS, client certificates, their change
mod tls_clients; // TLS with clients of other makes
mod told; // what HAProxy says of its clients' TLS
mod traces; // Trace Context
mod unruly; // servers that break the rules
mod volume; // a gigabyte each way
mod web; // gRPC-Web
mod wire; // HTTP/1 as bytes
mod yaml; // what chart and compose read

use std::process::ExitCode;

tests!();

fn main() -> ExitCode {
    tests().run()
}
