//! `echo.EchoService` by tonic: streams, and calls that [`super::unary`] does not take.

use std::{collections::HashMap, future::poll_fn, pin::Pin};

use contract::echo::{EchoRequest, EchoResponse};
use prost::Message as _;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    adapter::Authority,
    generated::echo_service_server::EchoService,
    message,
    metadata::{self, AUTHORITY},
    status::{Drained, draining},
    unary::now_ns,
};
use crate::{drain::Shutdown, settings::Config};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    hostname: String,
    /// Of the largest response, in bytes.
    most: usize,
    shutdown: Shutdown,
}

impl Echo {
    pub(super) fn new(config: &Config, shutdown: &Shutdown) -> Self {
        let most = config.limits.grpc_max_message;
        Self { hostname: config.instance.clone(), most, shutdown: shutdown.clone() }
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
        let response = EchoResponse {
            message: request.message,
            request_timestamp: request.timestamp,
            response_timestamp: now_ns(),
            server_hostname: self.hostname.clone(),
            metadata: metadata.clone(),
            method: method.to_owned(),
            response_code: 0,
        };
        message::check_length(response.encoded_len(), self.most)?;
        Ok(response)
    }
}

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let metadata = metadata_of(&request);
        self.respond(request.into_inner(), &metadata, "/echo.EchoService/Echo").map(Response::new)
    }

    type StreamEchoStream = Pin<Box<dyn Stream<Item = Result<EchoResponse, Status>> + Send>>;

    async fn stream_echo(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Self::StreamEchoStream>, Status> {
        let metadata = metadata_of(&request);
        let messages = request.into_inner();
        let state = Some((self.clone(), messages, metadata, Drained::new(&self.shutdown)));
        let responses = futures_util::stream::unfold(state, |state| async {
            let (echo, mut messages, metadata, mut drained) = state?;
            let message = tokio::select! {
                biased;
                message = messages.next() => message?,
                () = poll_fn(|cx| drained.poll(cx)) => Err(draining()),
            };
            let response =
                message.and_then(|request| echo.respond(request, &metadata, "/echo.EchoService/StreamEcho"));
            let state = response.is_ok().then_some((echo, messages, metadata, drained));
            Some((response, state))
        });
        Ok(Response::new(Box::pin(responses)))
    }
}

/// The metadata of a call; see [`metadata`].
fn metadata_of<T>(request: &Request<T>) -> HashMap<String, String> {
    let map = request.metadata();
    let mut values = HashMap::with_capacity(map.len() + 1);
    if let Some(Authority(authority)) = request.extensions().get() {
        values.insert(AUTHORITY.to_owned(), String::from_utf8_lossy(authority).into_owned());
    }
    for (name, value) in map.as_ref().iter().filter(|(name, _)| !metadata::is_host(name.as_str().as_bytes()))
    {
        let text = || {
            let text = metadata::text(name.as_str().as_bytes(), value.as_bytes());
            String::from_utf8_lossy(&text).into_owned()
        };
        values.entry(name.as_str().to_owned()).or_insert_with(text);
    }
    values
}
