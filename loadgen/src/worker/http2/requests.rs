//! What is the same each time a request of a pool is sent, prepared from the plan.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http2::Config;
use wire::Fields;

use super::{
    calls::CallTable,
    rare::{config, trailers},
};
use crate::{
    clock::{Nanos, nanos},
    outcome::Watch,
    plan::{Call, ECHO_STREAM, Plan, Request, Site, Target, Texts, rendering::Http2Rendering},
    worker::rates::Rates,
};

/// What is the same in all requests of a pool, and what is read of all replies.
#[derive(Debug)]
pub(crate) struct Http2Requests {
    /// By their index in the plan.
    pub(super) all: Vec<PreparedHttp2>,
    pub(super) texts: Texts,
    /// Where values of fields and bodies are written that differ each time.
    pub(super) value: Vec<u8>,
    pub(super) bodies: BytesMut,
    /// Whether what the server has not processed is retried.
    pub(super) resends: bool,
    /// What connections begin with.
    pub(super) config: Box<Config>,
    /// How fast they read and write, if they are slow.
    pub(super) rates: Option<Box<Rates>>,
    /// What is the same in all gRPC calls, if requests are such.
    pub(super) calls: Option<CallTable>,
    /// Whom they are sent to.
    pub(super) target: Target,
    pub(super) head: http2::Head,
}

/// What is the same each time a request is sent.
#[derive(Debug)]
pub(super) struct PreparedHttp2 {
    pub(super) fields: Fields,
    pub(super) body: Bytes,
    pub(super) is_head: bool,
    /// What comes behind the body.
    pub(super) trailers: Option<Arc<Fields>>,
    /// How long the body waits for the server to ask for it.
    pub(super) patience: Option<Nanos>,
    /// What is looked at in its replies.
    pub(super) watch: Option<Box<Watch>>,
    /// What differs.
    pub(super) rendering: Option<Http2Rendering>,
    /// As it is in the plan.
    pub(super) request: Request,
}

impl PreparedHttp2 {
    fn of(request: &Request, plan: &Plan) -> Self {
        Self {
            fields: request.http2(),
            body: request.body.clone(),
            is_head: request.method == http::Method::HEAD,
            trailers: trailers(&request.upload().trailers),
            patience: request.upload().patience.map(nanos),
            watch: Watch::of(request.expectations(), plan.client().follow > 0),
            rendering: request.http2_rendering(),
            request: request.clone(),
        }
    }
}

/// Those of a plan, for a server of it.
impl From<(&Plan, &Site, Texts)> for Http2Requests {
    fn from((plan, site, texts): (&Plan, &Site, Texts)) -> Self {
        Self {
            target: site.target().clone(),
            all: plan.requests().iter().map(|request| PreparedHttp2::of(request, plan)).collect(),
            texts,
            value: Vec::new(),
            bodies: BytesMut::new(),
            resends: plan.lifetime().retry.unprocessed(),
            config: Box::new(config(&plan.client().http2)),
            rates: Rates::of(plan.client()).map(Box::new),
            calls: site.target().grpc.then(|| {
                let calls = plan.requests().iter().map(|request| request.call().and_then(Call::prepared));
                CallTable::of(calls)
                    .echoing(
                        plan.requests()
                            .iter()
                            .map(|request| plan.verify().is_some() && request.path() == ECHO_STREAM),
                    )
                    .numbered(plan.stream_numbers())
            }),
            head: http2::Head::new(),
        }
    }
}
