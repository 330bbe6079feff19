//! Runs against servers that behave, and that don't.

mod client;
mod compare;
#[cfg(feature = "embedded")]
mod compressed;
mod connections;
mod expect;
mod find_max;
mod follow;
mod frames;
mod generators;
mod grpc;
mod grpc_plans;
mod hints;
mod http1;
mod http10;
mod http2;
mod idle;
mod library;
mod limits;
mod load;
mod loads;
mod mix;
mod once;
mod peer;
mod pipeline;
#[cfg(feature = "embedded")]
mod probe;
mod replay;
mod replies;
mod reports;
mod routes;
mod rules;
#[cfg(feature = "embedded")]
mod server;
mod shapes;
mod slow;
#[cfg(feature = "embedded")]
mod target_tls;
mod targets;
mod upload;
mod websocket;
