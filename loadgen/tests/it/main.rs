//! Runs against servers that behave, and that don't.

mod client;
mod connections;
mod expect;
mod find_max;
mod frames;
mod generators;
mod grpc;
mod http1;
mod http10;
mod http2;
mod idle;
mod library;
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
mod targets;
mod upload;
mod websocket;
