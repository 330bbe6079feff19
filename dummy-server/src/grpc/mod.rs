//! gRPC: one service per file, and the way to them.

mod adapter;
mod echo;
mod health;

pub(crate) use adapter::answer;

use tonic::service::Routes;

use crate::{Config, Shutdown};

/// The generated server of `proto/echo.proto`.
#[expect(unreachable_pub, unused_qualifications, reason = "generated")]
pub(crate) mod generated {
    tonic::include_proto!("echo");
}

/// All services.
pub(crate) fn routes(config: &Config, shutdown: &Shutdown) -> Routes {
    let most = config.limits.grpc_max_message;
    let echo = generated::echo_service_server::EchoServiceServer::new(echo::Echo::new(config, shutdown))
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let health = tonic_health::pb::health_server::HealthServer::new(health::Health::new(shutdown));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(contract::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(echo).add_service(health);
    // The descriptors are compiled in: they are valid or nothing works.
    let (v1, v1alpha) = (reflection().build_v1(), reflection().build_v1alpha());
    match (v1, v1alpha) {
        (Ok(v1), Ok(v1alpha)) => routes.add_service(v1).add_service(v1alpha),
        _ => routes,
    }
    .prepare()
}
