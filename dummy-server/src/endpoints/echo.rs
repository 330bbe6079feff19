//! The JSON echo of a request: what `/` and every path that is not an endpoint answer with, what `/status`, `/upload`
//! and `/nousage` change in it, and parts of it: `/headers` and `/ip`.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::prelude;
use crate::{
    budget::Hold,
    context::ServerContext,
    message::{
        Head,
        reply::{Answer, Body, Reply, TEXT_BARE, reading},
        upload::{Upload, UploadError},
    },
    router::NoUsage,
};

/// The echo. Fields that do not apply are left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Echo {
    _myhostname: &'static str,
    uri: String,
    method: String,
    protocol: &'static str,
    /// By canonical name (`X-Request-Id`), the values of duplicates joined.
    headers: BTreeMap<String, String>,
    /// Pairs as they were on the wire: order, case and duplicates kept.
    headers_list: Vec<(String, String)>,
    /// The trailers of the request, likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<(String, String)>,
    content_type: String,
    body: String,
    body_size: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    body_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<prelude::EchoedTls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_protocol: Option<prelude::EchoedProxyHeader>,
    source_addr: String,
    destination_addr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_chunks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total_read_time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_received: Option<u64>,
    /// What was kept of the body, and how much of it is at most.
    #[serde(skip)]
    kept: Vec<u8>,
    #[serde(skip)]
    most: usize,
    /// For what was kept.
    #[serde(skip)]
    hold: Option<Hold>,
}

/// Fixed figures like those of an LLM's reply, for gateways that count tokens.
#[derive(Clone, Copy, Debug, Serialize)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    input_tokens: u32,
    output_tokens: u32,
    total_tokens: u32,
}

const USAGE: Usage = Usage {
    prompt_tokens: 1,
    completion_tokens: 2,
    input_tokens: 100,
    output_tokens: 200,
    total_tokens: 300,
};

impl Echo {
    /// The echo of a request, without its body.
    pub(super) fn of(context: &ServerContext, head: &Head<'_>) -> Self {
        let (source, destination) = head.peer.endpoints().unzip();
        let prelude = head.peer.prelude();
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in head.fields() {
            let (name, value) = (canonical(name), String::from_utf8_lossy(value));
            // HTTP/2 may split cookies into fields, which are one list of their own kind (RFC 9113 section
            // 8.2.3); others are lists with commas (RFC 9110 section 5.3).
            let join = if name == "Cookie" { "; " } else { ", " };
            let values = headers.entry(name).and_modify(|values| values.extend([join, &value]));
            values.or_insert_with(|| value.into_owned());
        }
        Self {
            _myhostname: context.instance,
            uri: head.uri(),
            method: text(head.method),
            protocol: head.protocol.name(),
            headers,
            headers_list: pairs(head.fields()),
            content_type: text(head.fields.get("content-type").unwrap_or_default()),
            usage: Some(USAGE),
            tls: prelude.and_then(|prelude| prelude.tls.as_ref()).map(prelude::EchoedTls::from),
            proxy_protocol: prelude
                .and_then(|prelude| prelude.proxied.as_deref())
                .map(prelude::EchoedProxyHeader::from),
            source_addr: source.unwrap_or_default(),
            destination_addr: destination.unwrap_or_default(),
            most: context.config.limits.max_body_echo,
            hold: Some(Hold::new(&context.budget)),
            ..Self::default()
        }
    }

    /// Takes in a part of the request's body; how large it was.
    pub(super) fn take(&mut self, part: Result<Bytes, UploadError>) -> Result<usize, (u64, UploadError)> {
        let part = part.map_err(|error| (self.body_size, error))?;
        self.body_size += part.len() as u64;
        let room = self.most - self.kept.len();
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
        match &self.hold {
            Some(hold) if !hold.set_at_least(self.kept.len()) => Err((self.body_size, UploadError::TOO_MUCH)),
            _ => Ok(part.len()),
        }
    }

    /// Takes in the end of the request's body, of which what was kept is echoed.
    pub(super) fn ended(&mut self, upload: &mut Upload) {
        self.trailers = pairs(upload.take_trailers().iter());
        self.body_truncated = self.body_size > self.kept.len() as u64;
        self.body = String::from_utf8_lossy(&std::mem::take(&mut self.kept)).into_owned();
    }

    /// Reads the request's body: what is echoed, and the count of all of it.
    pub(super) async fn read(&mut self, upload: &mut Upload) -> Result<(), (u64, UploadError)> {
        while let Some(part) = upload.pull(usize::MAX).await {
            self.take(part)?;
        }
        self.ended(upload);
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pairs<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Vec<(String, String)> {
    fields.map(|(name, value)| (text(name), text(value))).collect()
}

/// The name of a field as Go's CanonicalMIMEHeaderKey writes it: capitals at the beginning and after each hyphen.
fn canonical(name: &[u8]) -> String {
    let mut after_hyphen = true;
    let byte = |byte: &u8| {
        let byte = if after_hyphen { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        after_hyphen = byte == b'-';
        char::from(byte)
    };
    // A name is a token, which is ASCII.
    name.iter().map(byte).collect()
}

/// Answers with the echo that `shape` makes into a reply.
pub(super) fn handle(
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    mut upload: Upload,
    shape: impl FnOnce(Echo) -> Reply + 'static,
) -> Answer {
    let mut echo = Echo::of(context, head);
    if upload.is_end() {
        return Answer::Ready(shape(echo));
    }
    reading(async move {
        echo.read(&mut upload).await?;
        Ok(shape(echo))
    })
}

/// The echo as it is.
#[expect(clippy::needless_pass_by_value, reason = "a shape of an echo takes it")]
pub(super) fn full(echo: Echo) -> Reply {
    Reply::json(StatusCode::OK, &echo)
}

/// The echo without `usage`, as `how` wants it.
pub(super) fn no_usage(mut echo: Echo, how: NoUsage) -> Reply {
    echo.usage = None;
    let mut reply = Reply::json(StatusCode::OK, &echo);
    match how {
        NoUsage::Plain => {}
        NoUsage::WrongContentType => {
            reply.fixed = TEXT_BARE;
        }
        NoUsage::BadJson => {
            reply.body = Body::Bytes(Bytes::from_static(b"{\"body\": \"this JSON breaks off"));
        }
        NoUsage::Empty => reply.body = Body::Bytes(Bytes::new()),
    }
    reply
}

/// The echo with the status that `/status/{code}` asks for; the engine takes the body off where there must be none.
pub(super) fn with_status(mut echo: Echo, code: u16) -> Reply {
    // The router lets only 200 to 599 through.
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    echo.status_code = Some(code);
    echo.status_message = Some(status.canonical_reason().unwrap_or("Unknown"));
    Reply::json(status, &echo)
}

/// `/upload`: reads a body of any length in constant memory and counts it.
pub(super) fn count(context: &Rc<ServerContext>, head: &Head<'_>, mut upload: Upload) -> Answer {
    let mut echo = Echo::of(context, head);
    reading(async move {
        let received = upload.discard().await?;
        echo.ended(&mut upload);
        echo.body_size = received;
        echo.bytes_received = Some(received);
        Ok(Reply::json(StatusCode::OK, &echo))
    })
}

/// `/headers`: the fields of the request, for clients that want nothing else of the echo.
pub(super) fn headers(context: &ServerContext, head: &Head<'_>) -> Reply {
    #[derive(Serialize)]
    struct Headers {
        headers: BTreeMap<String, String>,
        headers_list: Vec<(String, String)>,
    }
    let Echo { headers, headers_list, .. } = Echo::of(context, head);
    Reply::json(StatusCode::OK, &Headers { headers, headers_list })
}

/// `/ip`: the address that the connection comes from, as the socket or a PROXY header gives it, whatever fields say.
pub(super) fn ip(head: &Head<'_>) -> Reply {
    let peer = head.peer.address();
    let value = json!({ "origin": peer.map(|peer| peer.ip()), "port": peer.map(|peer| peer.port()) });
    Reply::json(StatusCode::OK, &value)
}
