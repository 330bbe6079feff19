//! What is sent: the request, made once, in the form that each protocol wants.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::PathBuf,
};

use bytes::Bytes;
use contract::id;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use wire::Fields;

use super::{PlanError, Protocol, Target};

/// The largest body that is accepted, in bytes.
pub const MAX_BODY: u64 = 256 << 20;

/// A request, ready for either protocol.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URI that HTTP/2's pseudo-fields are made of.
    pub uri: Uri,
    /// The fields in the order given, without `Host` and the id.
    pub fields: HeaderMap,
    /// The body, possibly empty.
    pub body: Bytes,
    /// The field that carries the request's id.
    pub id_field: Option<HeaderName>,
    /// What `Host` or `:authority` say.
    pub authority: String,
    path: String,
}

impl Request {
    pub(super) fn new(target: &Target, wanted: Wanted) -> Result<Self, PlanError> {
        let body = wanted.body.read()?;
        let method = match &wanted.method {
            Some(name) => method(name)?,
            None if body.is_empty() => Method::GET,
            None => Method::POST,
        };
        let mut fields = HeaderMap::new();
        for text in wanted.headers.iter().filter(|text| !text.is_empty()) {
            let (name, value) = field(text)?;
            fields.append(name, value);
        }
        let authority = match fields.remove(http::header::HOST) {
            Some(host) => {
                host.to_str().map_err(|_| PlanError("the host field takes text".to_owned()))?.to_owned()
            }
            None => target.authority(),
        };
        refuse_framing(target, &fields)?;
        let id_field = id_field(&wanted.id_header, &fields)?;
        if id_field != Some(http::header::USER_AGENT) {
            fields
                .entry(http::header::USER_AGENT)
                .or_insert(HeaderValue::from_static(concat!("loadgen/", env!("CARGO_PKG_VERSION"))));
        }
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority.as_str())
            .path_and_query(target.path.as_str())
            .build()
            .map_err(|_| PlanError(format!("'{authority}' is no host: write name or name:port")))?;
        Ok(Self { method, uri, fields, body, id_field, authority, path: target.path.clone() })
    }

    /// Whether sending it twice does no more than sending it once (RFC 9110 section 9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The request as HTTP/1.1 has it on the wire.
    #[must_use]
    pub fn http1(&self) -> Template {
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.path, self.authority).into_bytes();
        for (name, value) in &self.fields {
            push_field(&mut head, name.as_str(), value.as_bytes());
        }
        if !self.body.is_empty() || matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            push_field(&mut head, "content-length", self.body.len().to_string().as_bytes());
        }
        let id_at = self.id_field.as_ref().map(|name| {
            push_field(&mut head, name.as_str(), &[b'0'; id::LENGTH]);
            head.len() - 2 - id::LENGTH..head.len() - 2
        });
        head.extend_from_slice(b"\r\n");
        let head_length = head.len();
        let mut bytes = head;
        bytes.extend_from_slice(&self.body);
        Template { bytes, head_length, id_at }
    }

    /// The request's fields as HTTP/2 has them, without its id.
    #[must_use]
    pub fn http2(&self) -> Fields {
        let mut fields = Fields::new();
        fields.push(":method", self.method.as_str());
        fields.push(":scheme", "http");
        fields.push(":authority", &self.authority);
        fields.push(":path", &self.path);
        for (name, value) in &self.fields {
            fields.push(name, value);
        }
        if !self.body.is_empty() {
            fields.push("content-length", self.body.len().to_string());
        }
        fields
    }

    /// The request's head as people read it.
    #[must_use]
    pub fn head_text(&self, protocol: Protocol, id: &id::Text) -> String {
        let mut template = self.http1();
        template.set_id(id);
        let text = String::from_utf8_lossy(template.head()).replace("\r\n", "\n");
        match protocol {
            Protocol::Http1 => text,
            Protocol::H2c => text.replacen(" HTTP/1.1\nhost: ", " HTTP/2\n:authority: ", 1),
        }
    }
}

/// What is wanted, before it is checked.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) method: Option<String>,
    pub(super) headers: Vec<String>,
    pub(super) body: Body,
    pub(super) id_header: String,
}

impl Default for Wanted {
    fn default() -> Self {
        let id_header = contract::field::REQUEST_ID.to_owned();
        Self { method: None, headers: Vec::new(), body: Body::default(), id_header }
    }
}

/// Where the body of a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// These bytes, possibly none.
    Bytes(Bytes),
    /// A file of at most [`MAX_BODY`] bytes.
    File(PathBuf),
}

impl Default for Body {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
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

/// Fields that say where a message ends.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Fields about the connection.
const CONNECTION: [&str; 4] = ["connection", "keep-alive", "proxy-connection", "upgrade"];

fn push_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

impl Body {
    fn read(self) -> Result<Bytes, PlanError> {
        let path = match self {
            Self::Bytes(bytes) if bytes.len() as u64 <= MAX_BODY => return Ok(bytes),
            Self::Bytes(_) => {
                return Err(PlanError(
                    "the --body is longer than 256M: write one of at most 256M".to_owned(),
                ));
            }
            Self::File(path) => path,
        };
        let error =
            |reason: String| PlanError(format!("can't read --body-file {}: {reason}", path.display()));
        let too_long = || {
            error(
                "it has more than 256M; write the path of a file of at most 256M, such as body.json"
                    .to_owned(),
            )
        };
        let file = File::open(&path).map_err(|e| error(e.to_string()))?;
        // What says its length need not be read to know that it is too long.
        let length = file.metadata().map_err(|e| error(e.to_string()))?.len();
        if length > MAX_BODY {
            return Err(too_long());
        }
        let body = read_at_most(MAX_BODY, file).map_err(|e| error(e.to_string()))?;
        body.ok_or_else(too_long)
    }
}

/// `None` if there is more. What a device or a pipe holds is known only when it has been read.
fn read_at_most(most: u64, from: impl Read) -> io::Result<Option<Bytes>> {
    let mut body = Vec::new();
    from.take(most + 1).read_to_end(&mut body)?;
    Ok((body.len() as u64 <= most).then(|| body.into()))
}

fn method(name: &str) -> Result<Method, PlanError> {
    match name.parse() {
        Ok(Method::CONNECT) | Err(_) => {
            Err(PlanError(format!("--method takes a method like GET, HEAD, POST or DELETE, not '{name}'")))
        }
        Ok(method) => Ok(method),
    }
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), PlanError> {
    let read = || {
        let (name, value) = text.split_once(':')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    read().ok_or_else(|| PlanError(format!("--header takes 'name: value', not '{text}'")))
}

/// The framing is loadgen's own affair: a field that contradicts it would garble the connection, and
/// HTTP/2 forbids the connection's fields altogether (RFC 9113 section 8.2.2).
fn refuse_framing(target: &Target, fields: &HeaderMap) -> Result<(), PlanError> {
    let h2c = target.protocol == Protocol::H2c;
    let mut refused = FRAMING.iter().chain(CONNECTION.iter().filter(|_| h2c));
    if let Some(name) = refused.find(|name| fields.contains_key(**name)) {
        return Err(PlanError(format!(
            "--header can't set {name} with {}: it is set as needed",
            target.protocol
        )));
    }
    let trailers = |te: &HeaderValue| te.as_bytes().eq_ignore_ascii_case(b"trailers");
    if h2c && !fields.get_all(http::header::TE).iter().all(trailers) {
        return Err(PlanError("--header takes no te with h2c but 'te: trailers'".to_owned()));
    }
    Ok(())
}

/// An id in a field that means something to the connection would garble it, and one beside a field of the
/// same name would leave open which of them counts.
fn id_field(name: &str, fields: &HeaderMap) -> Result<Option<HeaderName>, PlanError> {
    if name.is_empty() {
        return Ok(None);
    }
    let taken = |name: &HeaderName| {
        let name = name.as_str();
        FRAMING.contains(&name) || CONNECTION.contains(&name) || ["host", "te"].contains(&name)
    };
    let id_field: HeaderName = name.parse().ok().filter(|name| !taken(name)).ok_or_else(|| {
        PlanError(format!(
            "--request-id-header takes the name of a header field like x-request-id, not '{name}'"
        ))
    })?;
    if fields.contains_key(&id_field) {
        return Err(PlanError(format!(
            "--header can't set {id_field}, which carries the request's id: \
             give --request-id-header another name, or '' for no id"
        )));
    }
    Ok(Some(id_field))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use contract::id::Ids;

    use super::*;
    use crate::{cli::Args, plan::Plan};

    fn request(args: &[&str]) -> Result<Request, String> {
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
                "POST /x HTTP/1.1\r\nhost: a:8080\r\naccept: */*\r\na: 1\r\na: 2\r\n",
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
    fn what_would_garble_the_connection_is_refused() {
        for (args, said) in [
            (vec!["-H", "nonsense"], "name: value"),
            (vec!["-H", "a b: c"], "name: value"),
            (vec!["-H", "Content-Length: 5"], "content-length"),
            (vec!["-H", "Transfer-Encoding: chunked"], "transfer-encoding"),
            (vec!["--http2", "-H", "Connection: close"], "connection"),
            (vec!["--http2", "-H", "TE: gzip"], "te: trailers"),
            (vec!["--http2", "-H", "te: trailers", "-H", "te: gzip"], "te: trailers"),
            (vec!["--request-id-header", "Host"], "like x-request-id"),
            (vec!["--request-id-header", "te"], "like x-request-id"),
            (vec!["--request-id-header", "content-length"], "like x-request-id"),
            (vec!["--request-id-header", "connection"], "like x-request-id"),
            (vec!["--request-id-header", "upgrade"], "like x-request-id"),
            (vec!["--request-id-header", "transfer-encoding"], "like x-request-id"),
            (vec!["-H", "X-Request-ID: mine"], "'' for no id"),
            (vec!["-H", "trace: mine", "--request-id-header", "Trace"], "'' for no id"),
            (vec!["-X", "CONNECT"], "--method takes"),
            (vec!["-X", "a b"], "--method takes"),
            (vec!["--request-id-header", "a b"], "--request-id-header takes"),
            (vec!["--body-file", "/nonexistent/file"], "can't read"),
        ] {
            assert!(request(&args).unwrap_err().contains(said), "{args:?}");
        }
        for args in [
            &["-H", "Connection: close"][..],
            &["-H", "te: gzip"],
            &["--http2", "-H", "TE: Trailers"],
            &["-H", "x-request-id: mine", "--request-id-header", "trace"],
            &["-H", "x-request-id: mine", "--request-id-header", ""],
        ] {
            assert!(request(args).is_ok(), "{args:?}");
        }
    }

    #[test]
    fn no_field_is_beside_the_id_in_its_name() {
        let template = request(&["--request-id-header", "user-agent"]).unwrap().http1();
        assert_eq!(text(&template).matches("user-agent").count(), 1);
    }

    #[test]
    fn an_endless_body_is_read_no_further_than_the_limit() {
        assert_eq!(read_at_most(10, io::repeat(b'a')).unwrap(), None);
        assert_eq!(
            read_at_most(10, io::repeat(b'a').take(10)).unwrap(),
            Some(Bytes::from_static(b"aaaaaaaaaa"))
        );
    }
}
