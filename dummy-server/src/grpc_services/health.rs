//! `grpc.health.v1.Health`: serving until the drain begins. A watch ends when connections close, so that it
//! does not hold up the drain.

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
};

use super::{echo, test_service};
use crate::drain::{Phase, Shutdown};

/// The service.
#[derive(Debug)]
pub(super) struct Health(pub(super) Shutdown);

/// Whether a check is of a service that there is, or of the whole server.
fn is_known(request: &Request<HealthCheckRequest>) -> bool {
    ["", echo::NAME, test_service::NAME].contains(&request.get_ref().service.as_str())
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn status(is_ready: bool) -> ServingStatus {
    if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request) {
            let known = [echo::NAME, test_service::NAME].join(", ");
            return Err(Status::not_found(format!("unknown service; known are '', {known}")));
        }
        Ok(Response::new(response(status(self.0.is_ready()))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = is_known(&request);
        // The last status that was sent; none before the first.
        let state = (self.0.clone(), None);
        let updates = futures_util::stream::unfold(state, move |(shutdown, told)| async move {
            let next = match told {
                None if !known => ServingStatus::ServiceUnknown,
                None => status(shutdown.is_ready()),
                Some(ServingStatus::ServiceUnknown) => {
                    shutdown.reached(Phase::Closing).await;
                    return None;
                }
                Some(told) => status(shutdown.readiness_after(told == ServingStatus::Serving).await?),
            };
            Some((Ok(response(next)), (shutdown, Some(next))))
        });
        Ok(Response::new(Box::pin(updates)))
    }
}
