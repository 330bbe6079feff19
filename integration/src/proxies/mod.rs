//! The proxies that the programs are tested through.

mod envoy;
mod haproxy;
mod nginx;

pub use self::{envoy::ENVOY, haproxy::HAPROXY, nginx::NGINX};
