//! Runs against servers that behave, and that don't.

mod connections;
mod find_max;
mod frames;
mod generators;
mod grpc;
mod http1;
mod http2;
mod library;
mod load;
mod mix;
mod once;
mod peer;
mod replies;
mod reports;
mod routes;
mod rules;
mod shapes;
mod websocket;
