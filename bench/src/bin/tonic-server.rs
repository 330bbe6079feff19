//! The peer of the gRPC rows: the same services on tonic's own server, on one thread, with the allocator that
//! dummy-server has. Its one argument is the address, or `--version`.

use std::{
    collections::HashMap,
    error::Error,
    io::Write,
    net::SocketAddr,
    pin::Pin,
    time::{SystemTime, UNIX_EPOCH},
};

use contract::echo::{EchoRequest, EchoResponse};
use generated::echo_service_server::{EchoService, EchoServiceServer};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming, transport::Server};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The generated server of `proto/echo.proto`.
#[expect(unused_qualifications, unreachable_pub, reason = "generated")]
mod generated {
    tonic::include_proto!("echo");
}

/// A reply that no row asks for.
type NoStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Services;

#[tonic::async_trait]
impl EchoService for Services {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let mut metadata = HashMap::with_capacity(request.metadata().len());
        for (name, value) in request.metadata().as_ref() {
            metadata
                .entry(name.as_str().to_owned())
                .or_insert_with(|| String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        let request = request.into_inner();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Response::new(EchoResponse {
            message: request.message,
            request_timestamp: request.timestamp,
            response_timestamp: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            server_hostname: "bench".to_owned(),
            metadata,
            method: "/echo.EchoService/Echo".to_owned(),
            response_code: 0,
            number: 0,
        }))
    }

    type StreamEchoStream = NoStream<EchoResponse>;

    async fn stream_echo(
        &self,
        _: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Self::StreamEchoStream>, Status> {
        Err(Status::unimplemented("no row asks for it"))
    }
}

#[tonic::async_trait]
impl Health for Services {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    type WatchStream = NoStream<HealthCheckResponse>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("no row asks for it"))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).ok_or("the argument is an address")?;
    if argument == "--version" {
        return Ok(writeln!(std::io::stdout(), "tonic {}", env!("TONIC_VERSION"))?);
    }
    let address: SocketAddr = argument.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Server::builder()
        .add_service(EchoServiceServer::new(Services))
        .add_service(HealthServer::new(Services));
    Ok(runtime.block_on(server.serve(address))?)
}
