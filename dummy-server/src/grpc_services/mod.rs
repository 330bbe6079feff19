//! gRPC: one service per file, and the dispatch to them.
//!
//! [`echo`] and [`test_service`] read and write messages themselves; all else goes by the [`adapter`] to services that
//! come with tonic.

mod adapter;
mod echo;
mod fields;
mod health;
mod message;
mod metadata;
pub(crate) mod plan;
mod status;
mod test_service;
#[cfg(test)]
mod tests;
mod tokens;
mod web;

use std::rc::Rc;

use grpc::web::Form;
use http::StatusCode;
use tonic::{Status, codec::CompressionEncoding::Gzip};

pub(crate) use self::web::is_asked_by_preflight;
use self::{
    adapter::Served,
    fields::CallFields,
    message::Messages,
    status::{Deadline, trailers_only},
};
use crate::{
    context::ServerContext,
    drain::Shutdown,
    message::{
        Head,
        reply::{Answer, Reply},
        upload::Upload,
    },
    protocol::Protocol,
    settings::Config,
};

/// The services that tonic serves.
#[derive(Debug)]
pub(crate) struct Services(Vec<Served>);

impl Services {
    /// All of them.
    pub(crate) fn new(config: &Config, shutdown: &Shutdown) -> Self {
        let most = config.limits.grpc_max_message;
        let health = tonic_health::pb::health_server::HealthServer::new(health::Health(shutdown.clone()))
            .max_decoding_message_size(most);
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(contract::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let mut list = vec![Served::new(HEALTH, health.accept_compressed(Gzip).send_compressed(Gzip))];
        // The descriptors are compiled in: they are valid or nothing works.
        if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
            list.push(Served::new("grpc.reflection.v1.ServerReflection", v1));
            list.push(Served::new("grpc.reflection.v1alpha.ServerReflection", v1alpha));
        }
        Self(list)
    }
}

const HEALTH: &str = "grpc.health.v1.Health";

/// Whether a content type is that of gRPC or of gRPC-Web, which HTTP/1 can carry, too.
pub(crate) fn is_call(content_type: &[u8], protocol: Protocol) -> bool {
    grpc::is_call(content_type) && protocol == Protocol::Http2 || Form::of(content_type).is_some()
}

/// Calls the service and method that a request names. On the port that is gRPC's alone, it may be no call at all.
pub(crate) fn dispatch_call(
    services: &Services,
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    upload: Upload,
) -> Answer {
    let fields = CallFields::of(head);
    let form = Form::of(fields.content_type);
    if head.protocol != Protocol::Http2 && form.is_none() {
        let error = "gRPC is spoken over HTTP/2";
        return refuse(upload, StatusCode::HTTP_VERSION_NOT_SUPPORTED, error);
    }
    if head.method != b"POST" {
        return refuse(upload, StatusCode::METHOD_NOT_ALLOWED, "a gRPC call is a POST");
    }
    let call = |upload| {
        let answer = call(services, context, head, &fields, upload);
        answer.unwrap_or_else(|status| Answer::Ready(trailers_only(&status)))
    };
    match form {
        Some(form) => web::translate_call(context, head, &fields, upload, form, call),
        None if grpc::is_call(fields.content_type) => call(upload),
        None => {
            let text = String::from_utf8_lossy(fields.content_type);
            let error = format!("invalid content-type '{text}' of a gRPC call");
            refuse(upload, StatusCode::UNSUPPORTED_MEDIA_TYPE, &error)
        }
    }
}

fn refuse(upload: Upload, status: StatusCode, error: &str) -> Answer {
    let accepted =
        "POST with content-type application/grpc over HTTP/2, or application/grpc-web over any version";
    let mut reply = Reply::refusal(status, error, accepted, "grpcurl -plaintext localhost:50051 list");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        reply.fields.push("allow", "POST");
    }
    crate::message::after(upload, reply)
}

/// A call whose fields are understood.
struct Call {
    messages: Messages,
    /// The client takes responses in gzip.
    accepts_gzip: bool,
    deadline: Deadline,
    context: Rc<ServerContext>,
}

fn call(
    services: &Services,
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    fields: &CallFields<'_>,
    upload: Upload,
) -> Result<Answer, Status> {
    let call = Call {
        deadline: Deadline::read(fields.timeout)?,
        messages: Messages::new(context, upload, fields.is_compressed()?),
        accepts_gzip: fields.accepts_gzip,
        context: Rc::clone(context),
    };
    let path = head.target.strip_prefix(b"/").unwrap_or_default();
    let (service, method) = path.split_at(path.iter().rposition(|byte| *byte == b'/').unwrap_or(path.len()));
    let method = method.strip_prefix(b"/").unwrap_or_default();
    let answer = if service == echo::NAME.as_bytes() {
        echo::call_method(call, head, method)
    } else if service == test_service::NAME.as_bytes() {
        test_service::call_method(call, method)
    } else {
        let served = services.0.iter().find(|served| served.name.as_bytes() == service);
        served.map(|served| served.call_method(call, head.target))
    };
    answer.ok_or_else(|| {
        let names = services.0.iter().map(|served| served.name).chain([echo::NAME, test_service::NAME]);
        let names: Vec<&str> = names.collect();
        Status::unimplemented(format!("unknown method; accepted: the methods of {}", names.join(", ")))
    })
}
