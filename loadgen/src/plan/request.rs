//! What is sent: the request, made once, in the form that each protocol wants.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::PathBuf,
};

use bytes::Bytes;
use command_line::Refusal;
use contract::id;
use http::{HeaderName, HeaderValue, Method, uri::Authority};
use wire::Fields;

use super::{
    PlanError, Protocol, Target,
    accepted::{self, refused, refused_because},
};

/// The largest body that is accepted, in bytes.
pub const MAX_BODY: u64 = 256 << 20;

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
    path: String,
}

impl Request {
    pub(super) fn new(target: &Target, wanted: Wanted) -> Result<Self, PlanError> {
        let has_body = wanted.body.is_some();
        let body = wanted.body.map(Body::read).transpose()?.unwrap_or_default();
        let method = match &wanted.method {
            Some(name) => method(name)?,
            None if has_body => Method::POST,
            None => Method::GET,
        };
        let mut fields = Fields::new();
        for text in wanted.headers.iter().filter(|text| !text.is_empty()) {
            let (name, value) = field(text)?;
            fields.push(name, value.as_bytes());
        }
        let authority = authority(target, &fields)?;
        refuse_framing(target, &fields)?;
        let id_field = id_field(&wanted.id_header, &fields)?;
        if !fields.contains(USER_AGENT) && id_field.as_ref().is_none_or(|name| name != USER_AGENT) {
            fields.push(USER_AGENT, concat!("loadgen/", env!("CARGO_PKG_VERSION")));
        }
        Ok(Self { method, fields, body, has_body, id_field, authority, path: target.path.clone() })
    }

    /// Whether sending it twice does no more than sending it once (RFC 9110 section 9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Whether it says how long its body is: one with a body, and one with a method that is about a body (RFC 9110
    /// section 8.6).
    fn has_length(&self) -> bool {
        self.has_body || matches!(self.method, Method::POST | Method::PUT | Method::PATCH)
    }

    /// The request as HTTP/1.1 has it on the wire.
    #[must_use]
    pub fn http1(&self) -> Template {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        if !self.fields.contains(HOST) {
            push_field(&mut head, HOST.as_bytes(), self.authority.as_bytes());
        }
        for (name, value) in self.fields.iter() {
            push_field(&mut head, name, value);
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
        fields.push(":scheme", "http");
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

/// What is wanted, before it is checked.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) method: Option<String>,
    pub(super) headers: Vec<String>,
    pub(super) body: Option<Body>,
    pub(super) id_header: String,
}

impl Default for Wanted {
    fn default() -> Self {
        let id_header = contract::field::REQUEST_ID.to_owned();
        Self { method: None, headers: Vec::new(), body: None, id_header }
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

const HOST: &str = "host";
const USER_AGENT: &str = "user-agent";

fn push_field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

impl Body {
    fn read(self) -> Result<Bytes, PlanError> {
        let path = match self {
            Self::Bytes(bytes) if bytes.len() as u64 <= MAX_BODY => return Ok(bytes),
            Self::Bytes(bytes) => {
                let size = format!("{} bytes", bytes.len());
                return Err(PlanError(Refusal::new(
                    format!("invalid --body of {size}"),
                    accepted::BODY.values,
                    format!("--body={}", accepted::BODY.example),
                )));
            }
            Self::File(path) => path,
        };
        let error = |why: String| refused_because(&accepted::BODY_FILE, path.display(), why);
        let too_long = || error("it has more than 256M".to_owned());
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
        Ok(Method::CONNECT) | Err(_) => Err(refused(&accepted::METHOD, name)),
        Ok(method) => Ok(method),
    }
}

/// Name and value of a field as it is typed, without the space around them.
fn field(text: &str) -> Result<(&str, HeaderValue), PlanError> {
    let refused = |why| refused_because(&accepted::HEADER, text, why);
    let (name, value) = text.split_once(':').ok_or_else(|| refused("there is no colon"))?;
    let (name, value) = (name.trim(), value.trim());
    name.parse::<HeaderName>().map_err(|_| refused("the name is not a token"))?;
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| refused("the value has a control character"))?;
    Ok((name, value))
}

/// What `Host` says if it is given, and otherwise the target.
fn authority(target: &Target, fields: &Fields) -> Result<String, PlanError> {
    let mut hosts = fields.get_all(HOST);
    let Some(host) = hosts.next() else { return Ok(target.authority()) };
    let host = String::from_utf8_lossy(host).into_owned();
    let refused = |why| {
        let accepted = "at most one Host field with name or name:port";
        PlanError(
            Refusal::of_value("header", format!("Host: {host}"), accepted, "Host: example.org").because(why),
        )
    };
    // A server has to refuse such a request (RFC 9112 section 3.2).
    if hosts.next().is_some() {
        return Err(refused("there is another Host field"));
    }
    if host.contains('@') {
        return Err(refused("a user name is not part of it"));
    }
    let authority = host.parse::<Authority>().map_err(|_| refused("it is not a host"))?;
    let port = authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
    if port.is_some_and(|port| !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0)) {
        return Err(refused("its port is not a number from 1 to 65535"));
    }
    Ok(host)
}

/// loadgen sets the framing: a field that contradicts it would make the connection unreadable, and HTTP/2 forbids the
/// connection's fields altogether (RFC 9113 section 8.2.2).
fn refuse_framing(target: &Target, fields: &Fields) -> Result<(), PlanError> {
    let h2c = target.protocol == Protocol::H2c;
    let mut refused = FRAMING.iter().chain(CONNECTION.iter().filter(|_| h2c));
    if let Some(name) = refused.find(|name| fields.contains(name)) {
        let why = format!("with {} it is set as needed", target.protocol);
        return Err(refused_because(&accepted::HEADER, name, why));
    }
    let mut encodings = fields.get_all("te");
    if h2c && let Some(te) = encodings.find(|te| !te.eq_ignore_ascii_case(b"trailers")) {
        let te = format!("te: {}", String::from_utf8_lossy(te));
        let accepted = "no te with h2c other than 'te: trailers'";
        return Err(PlanError(Refusal::of_value("header", te, accepted, "te: trailers")));
    }
    Ok(())
}

/// An id in a field that means something to the connection would make it unreadable, and one beside a field of the same
/// name would leave open which of them counts.
fn id_field(name: &str, fields: &Fields) -> Result<Option<HeaderName>, PlanError> {
    if name.is_empty() {
        return Ok(None);
    }
    let taken = |name: &HeaderName| {
        let name = name.as_str();
        FRAMING.contains(&name) || CONNECTION.contains(&name) || [HOST, "te"].contains(&name)
    };
    let id_field: HeaderName = name
        .parse()
        .ok()
        .filter(|name| !taken(name))
        .ok_or_else(|| refused(&accepted::REQUEST_ID_HEADER, name))?;
    if fields.contains(id_field.as_str()) {
        let accepted = "another name with --request-id-header, or '' for no id";
        let refused = Refusal::of_value("header", &id_field, accepted, "x-tenant: a");
        return Err(PlanError(refused.because("this field carries the request's id")));
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
    fn fields_that_would_make_the_connection_unreadable_are_refused() {
        for (args, said) in [
            (vec!["-H", "nonsense"], "in the form 'name: value'"),
            (vec!["-H", "a b: c"], "in the form 'name: value'"),
            (
                vec!["-H", "Content-Length: 5"],
                "content-length' for --header: with HTTP/1.1 it is set as needed",
            ),
            (vec!["-H", "Transfer-Encoding: chunked"], "transfer-encoding"),
            (vec!["--http2", "-H", "Connection: close"], "connection"),
            (vec!["--http2", "-H", "TE: gzip"], "te: trailers"),
            (vec!["--http2", "-H", "te: trailers", "-H", "te: gzip"], "te: trailers"),
            (vec!["--request-id-header", "Host"], "example: --request-id-header=x-request-id"),
            (vec!["--request-id-header", "te"], "example: --request-id-header=x-request-id"),
            (vec!["--request-id-header", "content-length"], "example: --request-id-header=x-request-id"),
            (vec!["--request-id-header", "connection"], "example: --request-id-header=x-request-id"),
            (vec!["--request-id-header", "upgrade"], "example: --request-id-header=x-request-id"),
            (vec!["--request-id-header", "transfer-encoding"], "example: --request-id-header=x-request-id"),
            (vec!["-H", "Host: a", "-H", "host: a"], "'Host: a' for --header: there is another Host field"),
            (vec!["-H", "Host: a", "-H", "HOST: b", "--http2"], "there is another Host field"),
            (vec!["-H", "Host: me@a"], "a user name is not part of it"),
            (vec!["--http2", "-H", "Host: me:secret@a"], "a user name is not part of it"),
            (vec!["-H", "Host: a:99999"], "its port is not a number from 1 to 65535"),
            (vec!["-H", "Host: a:0"], "its port is not a number from 1 to 65535"),
            (vec!["-H", "Host: a b"], "'Host: a b' for --header: it is not a host"),
            (vec!["-H", "X-Request-ID: mine"], "'' for no id"),
            (vec!["-H", "trace: mine", "--request-id-header", "Trace"], "'' for no id"),
            (vec!["-X", "CONNECT"], "for --method; accepted: a method"),
            (vec!["-X", "a b"], "for --method; accepted: a method"),
            (vec!["--request-id-header", "a b"], "for --request-id-header; accepted: the name"),
            (vec!["--body-file", "/nonexistent/file"], "'/nonexistent/file' for --body-file: No such file"),
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
