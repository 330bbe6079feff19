//! `echo.EchoService` by tonic: streams, and calls that [`super::unary`] does not take.

use std::{collections::HashMap, future::poll_fn, pin::Pin};

use contract::echo::{EchoRequest, EchoResponse};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    generated::echo_service_server::EchoService,
    status::{Drained, draining},
    unary::now_ns,
};
use crate::{Config, Shutdown};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    hostname: String,
    shutdown: Shutdown,
}

impl Echo {
    pub(super) fn new(config: &Config, shutdown: &Shutdown) -> Self {
        Self { hostname: config.instance.clone(), shutdown: shutdown.clone() }
    }

    fn respond(
        &self,
        request: EchoRequest,
        metadata: &HashMap<String, String>,
        method: &str,
    ) -> Result<EchoResponse, Status> {
        if request.response_code != 0 {
            let code = Code::from_i32(request.response_code);
            return Err(Status::new(code, format!("requested error: {code:?}")));
        }
        Ok(EchoResponse {
            message: request.message,
            request_timestamp: request.timestamp,
            response_timestamp: now_ns(),
            server_hostname: self.hostname.clone(),
            metadata: metadata.clone(),
            method: method.to_owned(),
            response_code: 0,
        })
    }
}

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let metadata = first_values(request.metadata());
        self.respond(request.into_inner(), &metadata, "Echo").map(Response::new)
    }

    type StreamEchoStream = Pin<Box<dyn Stream<Item = Result<EchoResponse, Status>> + Send>>;

    async fn stream_echo(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Self::StreamEchoStream>, Status> {
        let metadata = first_values(request.metadata());
        let messages = request.into_inner();
        let state = Some((self.clone(), messages, metadata, Drained::new(&self.shutdown)));
        let responses = futures_util::stream::unfold(state, |state| async {
            let (echo, mut messages, metadata, mut drained) = state?;
            let message = tokio::select! {
                biased;
                message = messages.next() => message?,
                () = poll_fn(|cx| drained.poll(cx)) => Err(draining()),
            };
            let response = message.and_then(|request| echo.respond(request, &metadata, "StreamEcho"));
            let state = response.is_ok().then_some((echo, messages, metadata, drained));
            Some((response, state))
        });
        Ok(Response::new(Box::pin(responses)))
    }
}

/// The first value of each key; binary values in base64, as on the wire.
fn first_values(metadata: &MetadataMap) -> HashMap<String, String> {
    let mut values = HashMap::with_capacity(metadata.len());
    for (name, value) in metadata.as_ref() {
        values
            .entry(name.as_str().to_owned())
            .or_insert_with(|| String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    values
}
