//! What is sent: the request, made once, in the form that each protocol wants.

use std::ops::Range;

use bytes::Bytes;
use contract::id;
use http::{HeaderName, Method};
use wire::Fields;

use super::{
    Lifetime, PlanError, Protocol, Route, Target,
    request_options::{self, Body, HOST, Wanted},
};

/// A request, ready for either protocol.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The fields as they were given, in order, with `Host` if it is among them, and without the id.
    pub fields: Fields,
    /// The body, possibly empty.
    pub body: Bytes,
    /// Whether there is a body, be it empty.
    pub has_body: bool,
    /// The field that carries the request's id.
    pub id_field: Option<HeaderName>,
    /// What `Host` or `:authority` say.
    pub authority: String,
    /// What stands before the path in the absolute form that proxies are sent (RFC 9112 section 3.2.2).
    before_path: String,
    path: String,
    /// Whether it is the only one of its connection.
    closes: bool,
    /// Of the target.
    scheme: &'static str,
}

impl Request {
    pub(super) fn new(
        target: &Target,
        wanted: Wanted,
        lifetime: &Lifetime,
        route: &Route,
    ) -> Result<Self, PlanError> {
        let has_body = wanted.body.is_some();
        let body = wanted.body.map(Body::read).transpose()?.unwrap_or_default();
        let method = match &wanted.method {
            Some(name) => request_options::method(name)?,
            None if has_body => Method::POST,
            None => Method::GET,
        };
        let mut fields = Fields::new();
        for text in wanted.headers.iter().filter(|text| !text.is_empty()) {
            let (name, value) = request_options::field(text)?;
            fields.push(name, value.as_bytes());
        }
        let authority = request_options::authority(target, &fields)?;
        request_options::refuse_framing(target, &fields)?;
        let id_field = request_options::id_field(&wanted.id_header, &fields)?;
        if !fields.contains(USER_AGENT) && id_field.as_ref().is_none_or(|name| name != USER_AGENT) {
            fields.push(USER_AGENT, concat!("loadgen/", env!("CARGO_PKG_VERSION")));
        }
        let proxy = route.absolute();
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
            fields.push("proxy-authorization", authorization);
        }
        let before_path = proxy.map_or_else(String::new, |_| format!("http://{}", target.authority()));
        Ok(Self {
            method,
            fields,
            body,
            has_body,
            id_field,
            authority,
            closes: lifetime.is_one_request(),
            before_path,
            path: target.path.clone(),
            scheme: if target.tls { "https" } else { "http" },
        })
    }

    /// Whether it says how long its body is: one with a body, and one with a method that is about a body (RFC 9110
    /// section 8.6).
    fn has_length(&self) -> bool {
        self.has_body || matches!(self.method, Method::POST | Method::PUT | Method::PATCH)
    }

    /// The request as HTTP/1.1 has it on the wire.
    #[must_use]
    pub fn http1(&self) -> Template {
        let mut head = format!("{} {}{} HTTP/1.1\r\n", self.method, self.before_path, self.path).into_bytes();
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
        let id_at = self.id_field.as_ref().map(|name| {
            push_field(&mut head, name.as_str().as_bytes(), &[b'0'; id::LENGTH]);
            head.len() - 2 - id::LENGTH..head.len() - 2
        });
        head.extend_from_slice(b"\r\n");
        let head_length = head.len();
        let mut bytes = head;
        bytes.extend_from_slice(&self.body);
        Template { bytes, head_length, id_at }
    }

    /// The request's fields as HTTP/2 has them, without its id: names are in lower case (RFC 9113 section 8.2), and
    /// `Host` is `:authority`.
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

    /// The request's head as people read it.
    #[must_use]
    pub fn head_text(&self, protocol: Protocol, id: &id::Text) -> String {
        if protocol == Protocol::Http1 {
            let mut template = self.http1();
            template.set_id(id);
            return String::from_utf8_lossy(template.head()).replace("\r\n", "\n");
        }
        let mut text = format!("{} {} HTTP/2\n:authority: {}\n", self.method, self.path, self.authority);
        let fields = self.http2();
        let id_field = self.id_field.iter().map(|name| (name.as_str().as_bytes(), &id[..]));
        for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")).chain(id_field) {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
        text
    }
}

/// The bytes of an HTTP/1.1 request; only the id differs from one request to the next.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    head_length: usize,
    id_at: Option<Range<usize>>,
}

impl Template {
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

const USER_AGENT: &str = "user-agent";

fn push_field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;
    use contract::id::Ids;

    use super::*;
    use crate::{cli::Args, plan::Plan};

    pub(in crate::plan) fn request(args: &[&str]) -> Result<Request, String> {
        let words = ["loadgen", "http://a:8080/x"].iter().chain(args);
        let plan = Plan::try_from(&Args::try_parse_from(words).unwrap());
        plan.map(|plan| plan.request).map_err(|error| error.to_string())
    }

    fn text(template: &Template) -> &str {
        std::str::from_utf8(template.bytes()).unwrap()
    }

    #[test]
    fn the_bytes_of_a_request_differ_in_the_id_alone() {
        let mut template =
            request(&["-b", "hi", "-H", "Accept: */*", "-H", "a:1", "-H", "a:2"]).unwrap().http1();
        template.set_id(&Ids { run: 0xabc, load: 0 }.of(255, 0).text());
        assert_eq!(
            text(&template),
            concat!(
                "POST /x HTTP/1.1\r\nhost: a:8080\r\nAccept: */*\r\na: 1\r\na: 2\r\n",
                "user-agent: loadgen/0.1.0\r\ncontent-length: 2\r\n",
                "x-request-id: 00000abc-00-00000000000000ff-00\r\n\r\nhi"
            )
        );
    }

    #[test]
    fn an_empty_name_sends_no_id() {
        let mut template = request(&["--request-id-header", "", "-H", "user-agent: me"]).unwrap().http1();
        template.set_id(&Ids { run: 1, load: 0 }.of(1, 0).text());
        assert_eq!(text(&template), "GET /x HTTP/1.1\r\nhost: a:8080\r\nuser-agent: me\r\n\r\n");
    }

    #[test]
    fn the_host_field_is_the_authority() {
        let request = request(&["-H", "Host: b.example", "--http2"]).unwrap();
        assert_eq!(request.http2().get(":authority"), Some(&b"b.example"[..]));
        assert_eq!(request.http2().get(":path"), Some(&b"/x"[..]));
        assert!(!request.http2().contains("host"));
    }

    #[test]
    fn fields_go_out_as_typed_over_http1_and_in_lower_case_over_http2() {
        let typed = ["X-B: 1", "a:2", "x-b:  3 ", "HoSt: b.example", "X-b:", "User-Agent: Me", "x-ü: ü"];
        let args: Vec<_> = typed[..6].iter().flat_map(|field| ["-H", field]).collect();
        let args = [&args[..], &["--request-id-header", ""]].concat();
        assert_eq!(
            text(&request(&args).unwrap().http1()),
            concat!(
                "GET /x HTTP/1.1\r\nX-B: 1\r\na: 2\r\nx-b: 3\r\nHoSt: b.example\r\nX-b: \r\n",
                "User-Agent: Me\r\n\r\n"
            )
        );
        let fields = request(&[&args[..], &["--http2"]].concat()).unwrap().http2();
        let shown: Vec<_> =
            fields.iter().map(|(name, value)| [name, value].map(String::from_utf8_lossy).join("=")).collect();
        assert_eq!(
            shown,
            [
                ":method=GET",
                ":scheme=http",
                ":authority=b.example",
                ":path=/x",
                "x-b=1",
                "a=2",
                "x-b=3",
                "x-b=",
                "user-agent=Me",
            ]
        );
        assert!(request(&["-H", typed[6]]).unwrap_err().contains("the name is not a token"));
        let value = request(&["-H", "x: ü"]).unwrap().http1();
        assert!(text(&value).contains("\r\nx: ü\r\n"));
    }

    #[test]
    fn an_empty_body_is_a_body() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let path = empty.path().to_str().unwrap();
        for (args, method, length) in [
            (&[][..], "GET", None),
            (&["-b", ""], "POST", Some("0")),
            (&["--body-file", path], "POST", Some("0")),
            (&["-X", "GET", "-b", ""], "GET", Some("0")),
            (&["-X", "POST"], "POST", Some("0")),
            (&["-X", "DELETE"], "DELETE", None),
            (&["-b", "hi"], "POST", Some("2")),
        ] {
            let request = request(args).unwrap();
            assert_eq!(request.method, method, "{args:?}");
            let line = length.map(|length| format!("\r\ncontent-length: {length}\r\n"));
            let template = request.http1();
            assert_eq!(text(&template).contains("content-length"), length.is_some(), "{args:?}");
            assert!(line.is_none_or(|line| text(&template).contains(&line)), "{args:?}");
            assert_eq!(request.http2().get("content-length"), length.map(str::as_bytes), "{args:?}");
        }
    }

    #[test]
    fn no_field_is_beside_the_id_in_its_name() {
        let template = request(&["--request-id-header", "user-agent"]).unwrap().http1();
        assert_eq!(text(&template).matches("user-agent").count(), 1);
    }
}
