//! The JSON echo of a request: what `/` and every path that is not an endpoint answer with, and the frame of
//! what other endpoints say.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    rc::Rc,
};

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::prelude;
use crate::{
    budget::Hold,
    context::ServerContext,
    message::{
        Head,
        reply::{Answer, Body, Reply, TEXT_BARE},
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
    pub(super) body: String,
    pub(super) body_size: u64,
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
    pub(super) status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_chunks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total_read_time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes_received: Option<u64>,
    /// For the body.
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
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (source, destination) = head.peer.endpoints().unzip();
        let prelude = head.peer.prelude();
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in head.fields() {
            let value = String::from_utf8_lossy(value);
            match headers.entry(canonical(name)) {
                Entry::Vacant(place) => {
                    place.insert(value.into_owned());
                }
                Entry::Occupied(place) => {
                    // HTTP/2 may split cookies into fields, which are one list of their own kind (RFC 9113 section
                    // 8.2.3); others are lists with commas (RFC 9110 section 5.3).
                    let join = if place.key() == "Cookie" { "; " } else { ", " };
                    let values = place.into_mut();
                    values.push_str(join);
                    values.push_str(&value);
                }
            }
        }
        Self {
            _myhostname: context.instance,
            uri: head.uri(),
            method: text(head.method),
            protocol: head.protocol.name(),
            headers,
            headers_list: head.fields().map(|(name, value)| (text(name), text(value))).collect(),
            content_type: text(head.fields.get("content-type").unwrap_or_default()),
            usage: Some(USAGE),
            tls: prelude.and_then(|prelude| prelude.tls.as_ref()).map(prelude::EchoedTls::from),
            proxy_protocol: prelude
                .and_then(|prelude| prelude.proxied.as_deref())
                .map(prelude::EchoedProxyHeader::from),
            source_addr: source.unwrap_or_default(),
            destination_addr: destination.unwrap_or_default(),
            hold: Some(Hold::new(&context.budget)),
            ..Self::default()
        }
    }

    /// The fields, and nothing else.
    pub(super) fn only_headers(self) -> impl Serialize {
        #[derive(Serialize)]
        struct Headers {
            headers: BTreeMap<String, String>,
            headers_list: Vec<(String, String)>,
        }
        Headers { headers: self.headers, headers_list: self.headers_list }
    }

    /// Takes in a part of the request's body, of which at most `most` bytes are echoed.
    pub(super) fn take(
        &mut self,
        part: &[u8],
        kept: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), (u64, UploadError)> {
        self.body_size += part.len() as u64;
        let room = most - kept.len();
        kept.extend_from_slice(&part[..part.len().min(room)]);
        match &self.hold {
            Some(hold) if !hold.set_at_least(kept.len()) => Err((self.body_size, UploadError::TOO_MUCH)),
            _ => Ok(()),
        }
    }

    /// Takes in what was kept of the request's body, which has ended.
    pub(super) fn repeat(&mut self, kept: &[u8]) {
        self.body_truncated = self.body_size > kept.len() as u64;
        self.body = String::from_utf8_lossy(kept).into_owned();
    }

    /// Takes in what followed the request's body, which was read.
    pub(super) fn ended(&mut self, upload: &mut Upload) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let trailers = upload.take_trailers();
        self.trailers = trailers.iter().map(|(name, value)| (text(name), text(value))).collect();
    }

    /// Reads the request's body: what is echoed, and the count of all of it.
    pub(super) async fn read(&mut self, upload: &mut Upload, most: usize) -> Result<(), (u64, UploadError)> {
        let mut kept = Vec::new();
        while let Some(part) = upload.pull(usize::MAX).await {
            let part = part.map_err(|error| (self.body_size, error))?;
            self.take(&part, &mut kept, most)?;
        }
        self.ended(upload);
        self.repeat(&kept);
        Ok(())
    }
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
    let most = context.config.limits.max_body_echo;
    Answer::Waiting(Box::pin(async move {
        match echo.read(&mut upload, most).await {
            Ok(()) => shape(echo),
            Err((received, error)) => crate::message::broken(received, &error),
        }
    }))
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
