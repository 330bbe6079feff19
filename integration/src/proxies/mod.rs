//! The proxies that the programs are tested through.

mod envoy;
mod haproxy;
mod nginx;

pub use self::{
    envoy::{ENVOY, ENVOY_H2_BEHIND, ENVOY_TLS},
    haproxy::{HAPROXY, HAPROXY_TCP_V2, HAPROXY_TLS_V2, HAPROXY_V1, HAPROXY_V2},
    nginx::{NGINX, NGINX_TLS, nginx_balancing, nginx_configuration},
};
