//! A request in the form that each protocol wants: whole, or as a template that each sending is rendered from. What it is, is
//! known in [`super::request`].

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use contract::id;
use http::Method;
use wire::Fields;

use super::{
    Protocol,
    request::{Request, Varying},
    request_options::HOST,
    template::{Template, Values},
    upload::Upload,
};

impl Request {
    /// Whether it says how long its body is, unless it is a call or sent in chunks: one with a body, and one with a method that is about a body (RFC 9110
    /// section 8.6).
    fn has_length(&self) -> bool {
        self.call().is_none()
            && !self.upload.chunked
            && (self.has_body || matches!(self.method, Method::POST | Method::PUT | Method::PATCH))
    }

    /// The request as HTTP/1.1 has it on the wire, with placeholders as they are.
    #[must_use]
    pub fn http1(&self) -> Http1Request {
        let mut head =
            format!("{} {}{} {}\r\n", self.method, self.before_path, self.path, self.version).into_bytes();
        if !self.fields.contains(HOST) {
            push_field(&mut head, HOST.as_bytes(), self.authority.as_bytes());
        }
        for (name, value) in self.fields.iter() {
            push_field(&mut head, name, value);
        }
        if self.closes && !self.fields.contains("connection") {
            push_field(&mut head, b"connection", b"close");
        }
        if self.has_length() {
            push_field(&mut head, b"content-length", self.body.len().to_string().as_bytes());
        }
        if self.upload.chunked {
            push_field(&mut head, b"transfer-encoding", b"chunked");
        }
        let id_at = self.id_field.as_ref().map(|name| {
            push_field(&mut head, name.as_str().as_bytes(), &[b'0'; id::LENGTH]);
            head.len() - 2 - id::LENGTH..head.len() - 2
        });
        head.extend_from_slice(b"\r\n");
        let head_length = head.len();
        let mut bytes = head;
        self.upload.write(&self.body, &mut bytes);
        Http1Request { bytes, head_length, id_at }
    }

    /// How it is rendered for HTTP/1.1, if it has placeholders.
    pub(crate) fn http1_rendering(&self) -> Option<Http1Rendering> {
        let varying = self.varying.as_ref()?;
        let mut head = Template::default();
        head.push_text(format!("{} {}", self.method, self.before_path).as_bytes());
        head.push(&varying.path);
        head.push_text(format!(" {}\r\n", self.version).as_bytes());
        if !self.fields.contains(HOST) {
            head.push_text(format!("{HOST}: {}\r\n", self.authority).as_bytes());
        }
        for ((name, value), template) in self.fields.iter().zip(&varying.fields) {
            head.push_text(&[name, b": "].concat());
            match template {
                Some(template) => head.push(template),
                None => head.push_text(value),
            }
            head.push_text(b"\r\n");
        }
        if self.closes && !self.fields.contains("connection") {
            head.push_text(b"connection: close\r\n");
        }
        if self.has_length() {
            head.push_text(b"content-length: ");
            head.push_length();
            head.push_text(b"\r\n");
        }
        if self.upload.chunked {
            head.push_text(b"transfer-encoding: chunked\r\n");
        }
        if let Some(name) = &self.id_field {
            head.push_text(format!("{name}: ").as_bytes());
            head.push_id();
            head.push_text(b"\r\n");
        }
        head.push_text(b"\r\n");
        let body = match self.rendered_body(varying) {
            RenderedBody::Same(body) if self.upload.chunked => {
                let mut sent = Vec::new();
                self.upload.write(&body, &mut sent);
                RenderedBody::Same(sent.into())
            }
            body => body,
        };
        Some(Http1Rendering { head, body, upload: self.upload.clone(), announces: self.announces_each() })
    }

    /// Puts all of one sending over HTTP/1.1 into `out`; where its head ends there. For requests that are sent once: the others
    /// are prepared.
    pub(crate) fn write_http1(&self, values: &Values<'_>, out: &mut Vec<u8>) -> usize {
        if let Some(rendering) = self.http1_rendering() {
            let head = rendering.render(values, out);
            out.extend_from_slice(rendering.tail());
            return head;
        }
        let mut request = self.http1();
        if let Some(id) = values.id {
            request.set_id(id);
        }
        out.clear();
        out.extend_from_slice(request.bytes());
        request.head().len()
    }

    /// The request's fields as HTTP/2 has them, without its id: names are in lower case (RFC 9113 section 8.2), and
    /// `Host` is `:authority`. Placeholders are as they are.
    #[must_use]
    pub fn http2(&self) -> Fields {
        let mut fields = Fields::new();
        fields.push(":method", self.method.as_str());
        fields.push(":scheme", self.scheme);
        fields.push(":authority", &self.authority);
        fields.push(":path", &self.path);
        for (name, value) in
            self.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(HOST.as_bytes()))
        {
            fields.push(name.to_ascii_lowercase(), value);
        }
        if self.has_length() {
            fields.push("content-length", self.body.len().to_string());
        }
        fields
    }

    /// How it is rendered for HTTP/2, if it has placeholders.
    pub(crate) fn http2_rendering(&self) -> Option<Http2Rendering> {
        // Of a call, it may be the message alone that varies.
        let varying = self.varying.as_ref().filter(|varying| varying.is_of_request())?;
        let mut path = Some(&varying.path);
        let mut others = (self.fields.iter().zip(&varying.fields))
            .filter(|((name, _), _)| !name.eq_ignore_ascii_case(HOST.as_bytes()))
            .map(|(_, template)| template.as_ref());
        let mut length = Template::default();
        length.push_length();
        let mut fields = Vec::new();
        for (name, value) in self.http2().iter() {
            let template = match name {
                b":path" => path.take(),
                name if name.starts_with(b":") => None,
                // The last one, behind those that were given.
                b"content-length" => varying.body.as_ref().map(|_| &length),
                _ => others.next().flatten(),
            };
            let mut constant = Template::default();
            constant.push_text(value);
            fields.push((name.into(), template.cloned().unwrap_or(constant)));
        }
        Some(Http2Rendering { fields, body: self.rendered_body(varying), announces: self.announces_each() })
    }

    /// Fields, without the id, and body of one sending over HTTP/2. For requests that are sent once.
    pub(crate) fn rendered_http2(&self, values: &Values<'_>, room: &mut BytesMut) -> (Fields, Bytes) {
        let Some(rendering) = self.http2_rendering() else { return (self.http2(), self.body.clone()) };
        let body = rendering.body(values, room);
        let values = rendering.values(values, &body);
        let fields = rendering.fields.iter().map(|(name, template)| {
            let mut value = Vec::new();
            template.render(&values, &mut value);
            (name, value)
        });
        (fields.collect(), body)
    }

    fn rendered_body(&self, varying: &Varying) -> RenderedBody {
        varying.body.clone().map_or_else(|| RenderedBody::Same(self.body.clone()), RenderedBody::Varying)
    }

    /// The body of one sending.
    pub(crate) fn body_of(&self, values: &Values<'_>) -> Bytes {
        match self.varying.as_ref().map(|varying| self.rendered_body(varying)) {
            None => self.body.clone(),
            Some(body) => body.bytes(values, &mut BytesMut::new()),
        }
    }

    /// Whether a field of this name has placeholders.
    pub(crate) fn varies(&self, name: &str) -> bool {
        let Some(varying) = &self.varying else { return false };
        let mut fields = self.fields.iter().zip(&varying.fields);
        fields.any(|((other, _), template)| template.is_some() && other.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Its body, where that is the same each time.
    pub(crate) fn same_body(&self) -> Option<&[u8]> {
        (self.has_body && !self.has_varying_body()).then_some(&self.body[..])
    }

    /// Whether its body has placeholders.
    pub(crate) fn has_varying_body(&self) -> bool {
        self.varying.as_ref().is_some_and(|varying| varying.body.is_some())
    }

    /// Appends the body of one sending.
    pub(crate) fn write_body(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self.varying.as_ref().and_then(|varying| varying.body.as_ref()) {
            None => out.extend_from_slice(&self.body),
            Some(body) => body.render(values, out),
        }
    }

    /// The request's head as people read it, of one sending.
    #[must_use]
    pub(crate) fn head_text(&self, protocol: Protocol, values: &Values<'_>) -> String {
        let no_id = [b'0'; id::LENGTH];
        let id = values.id.unwrap_or(&no_id);
        if protocol == Protocol::Http1 {
            let mut bytes = Vec::new();
            match self.http1_rendering() {
                None => {
                    let mut request = self.http1();
                    request.set_id(id);
                    bytes.extend_from_slice(request.head());
                }
                Some(rendering) => {
                    let length = rendering.render(values, &mut bytes);
                    bytes.truncate(length);
                }
            }
            return String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        }
        let mut text = String::new();
        let mut fields = self.http2();
        if let Some(rendering) = self.http2_rendering() {
            let values = rendering.values(values, &self.body_of(values));
            fields = Fields::new();
            for (name, template) in &rendering.fields {
                let mut value = Vec::new();
                template.render(&values, &mut value);
                fields.push(name, &value);
            }
        }
        let shown = |name: &str| String::from_utf8_lossy(fields.get(name).unwrap_or_default()).into_owned();
        text.push_str(&format!(
            "{} {} HTTP/2\n:authority: {}\n",
            self.method,
            shown(":path"),
            self.authority
        ));
        let id_field = self.id_field.iter().map(|name| (name.as_str().as_bytes(), &id[..]));
        for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")).chain(id_field) {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
        text
    }
}

/// The head of an HTTP/1.1 request with placeholders, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Http1Rendering {
    head: Template,
    /// As it is sent, if it is the same each time.
    body: RenderedBody,
    upload: Upload,
    /// Whether the head says what the body is.
    announces: bool,
}

/// A body of requests with placeholders.
#[derive(Clone, Debug)]
enum RenderedBody {
    /// The same each time.
    Same(Bytes),
    Varying(Template),
}

/// A body that is the same each time and no longer than this is written together with its head.
const WRITTEN_TOGETHER: usize = 16 << 10;

impl Http1Rendering {
    /// Puts one sending into `out`, as far as it is written together; where its head ends there.
    pub(crate) fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) -> usize {
        out.clear();
        match &self.body {
            RenderedBody::Same(body) => {
                self.head.render(&Values { length: body.len(), ..*values }, out);
                let head = out.len();
                if self.tail().is_empty() {
                    out.extend_from_slice(body);
                }
                head
            }
            RenderedBody::Varying(body) => {
                // The head says how long the body is.
                body.render(values, out);
                let length = out.len();
                let values = values.of_body(out, self.announces);
                self.head.render(&values, out);
                let head = out.len() - length;
                self.upload.move_behind(length, out);
                head
            }
        }
    }

    /// What follows.
    pub(crate) fn tail(&self) -> &[u8] {
        match &self.body {
            RenderedBody::Same(body) if body.len() > WRITTEN_TOGETHER => body,
            _ => &[],
        }
    }
}

/// The fields of an HTTP/2 request with placeholders, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Http2Rendering {
    /// In order, without the id.
    pub(crate) fields: Vec<(Box<[u8]>, Template)>,
    body: RenderedBody,
    /// Whether a field says what the body is.
    announces: bool,
}

impl Http2Rendering {
    /// What its fields depend on with this body.
    pub(crate) fn values<'v>(&self, values: &Values<'v>, body: &[u8]) -> Values<'v> {
        values.of_body(body, self.announces)
    }

    /// The body of one sending; `room` is where it is written.
    pub(crate) fn body(&self, values: &Values<'_>, room: &mut BytesMut) -> Bytes {
        self.body.bytes(values, room)
    }
}

impl RenderedBody {
    fn bytes(&self, values: &Values<'_>, room: &mut BytesMut) -> Bytes {
        match self {
            Self::Same(body) => body.clone(),
            Self::Varying(body) => {
                body.render(values, room);
                room.split().freeze()
            }
        }
    }
}

/// The bytes of an HTTP/1.1 request; only the id differs from one request to the next.
#[derive(Clone, Debug)]
pub struct Http1Request {
    bytes: Vec<u8>,
    head_length: usize,
    id_at: Option<Range<usize>>,
}

impl Http1Request {
    /// Puts the id into its place, if the request carries one.
    pub fn set_id(&mut self, id: &id::Text) {
        if let Some(place) = &self.id_at {
            self.bytes[place.clone()].copy_from_slice(id);
        }
    }

    /// Head and body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The head alone, its empty line included.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.head_length]
    }
}

fn push_field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}
