//! What is sent: the request, made once, in the form that each protocol wants.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use wire::Fields;

use super::{PlanError, Protocol, Target};
use crate::args::Args;

/// The largest body that is accepted, in bytes.
pub const MAX_BODY: u64 = 256 << 20;

/// Length of a request id: the run's eight hexadecimal digits, a dash, and sixteen of the request's number.
pub const ID_LENGTH: usize = 25;

/// The id of a request, unique within a run and most likely among runs.
pub type Id = [u8; ID_LENGTH];

/// Writes the ids of one run's requests.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    run: u32,
}

impl Ids {
    /// The ids of the run that drew `run`.
    #[must_use]
    pub fn of_run(run: u32) -> Self {
        Self { run }
    }

    /// The id of request `number`.
    #[must_use]
    pub fn of(&self, number: u64) -> Id {
        let mut id = [b'-'; ID_LENGTH];
        id[..8].copy_from_slice(&hexadecimal(self.run));
        id[9..17].copy_from_slice(&hexadecimal((number >> 32) as u32));
        id[17..].copy_from_slice(&hexadecimal(number as u32));
        id
    }
}

/// Eight digits, all computed together: each is a byte of one number.
fn hexadecimal(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let halves = u64::from(value);
    let halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes | bytes << 4) & (0x0f * ONES);
    // A digit from ten on has a fifth bit when six is added.
    let are_letters = ((digits + 6 * ONES) >> 4) & ONES;
    let letters = are_letters * u64::from(b'a' - b'0' - 10);
    (digits + u64::from(b'0') * ONES + letters).to_be_bytes()
}

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
    pub(super) fn new(target: &Target, args: &Args) -> Result<Self, PlanError> {
        let body = body(args)?;
        let method = match &args.method {
            Some(name) => method(name)?,
            None if body.is_empty() => Method::GET,
            None => Method::POST,
        };
        let mut fields = HeaderMap::new();
        for text in args.headers.iter().filter(|text| !text.is_empty()) {
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
        let id_field = id_field(&args.request_id_header, &fields)?;
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
            push_field(&mut head, name.as_str(), &[b'0'; ID_LENGTH]);
            head.len() - 2 - ID_LENGTH..head.len() - 2
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
    pub fn head_text(&self, protocol: Protocol, id: &Id) -> String {
        let mut template = self.http1();
        template.set_id(id);
        let text = String::from_utf8_lossy(template.head()).replace("\r\n", "\n");
        match protocol {
            Protocol::Http1 => text,
            Protocol::H2c => text.replacen(" HTTP/1.1\nhost: ", " HTTP/2\n:authority: ", 1),
        }
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
    pub fn set_id(&mut self, id: &Id) {
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

fn body(args: &Args) -> Result<Bytes, PlanError> {
    let Some(path) = &args.body_file else {
        return Ok(Bytes::from(args.body.clone().unwrap_or_default()));
    };
    let error = |reason: String| PlanError(format!("can't read --body-file {}: {reason}", path.display()));
    let too_long = || {
        error("it has more than 256M; write the path of a file of at most 256M, such as body.json".to_owned())
    };
    let file = File::open(path).map_err(|e| error(e.to_string()))?;
    // What says its length need not be read to know that it is too long.
    let length = file.metadata().map_err(|e| error(e.to_string()))?.len();
    if length > MAX_BODY {
        return Err(too_long());
    }
    let body = read_at_most(MAX_BODY, file).map_err(|e| error(e.to_string()))?;
    body.ok_or_else(too_long)
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

    use super::*;

    fn request(args: &[&str]) -> Result<Request, String> {
        let words = ["loadgen", "http://a:8080/x"].iter().chain(args);
        let args = Args::try_parse_from(words).unwrap();
        let target = Target::parse(args.target.as_deref().unwrap(), args.http2).unwrap();
        Request::new(&target, &args).map_err(|error| error.to_string())
    }

    fn text(template: &Template) -> &str {
        std::str::from_utf8(template.bytes()).unwrap()
    }

    #[test]
    fn the_bytes_of_a_request_differ_in_the_id_alone() {
        let mut template =
            request(&["-b", "hi", "-H", "Accept: */*", "-H", "a:1", "-H", "a:2"]).unwrap().http1();
        template.set_id(&Ids::of_run(0xabc).of(255));
        assert_eq!(
            text(&template),
            concat!(
                "POST /x HTTP/1.1\r\nhost: a:8080\r\naccept: */*\r\na: 1\r\na: 2\r\n",
                "user-agent: loadgen/0.1.0\r\ncontent-length: 2\r\n",
                "x-request-id: 00000abc-00000000000000ff\r\n\r\nhi"
            )
        );
    }

    #[test]
    fn an_id_is_the_run_and_the_number_in_hexadecimal() {
        for run in [0, 9, 10, 0x0123_4567, 0x89ab_cdef, u32::MAX] {
            for number in [0, 15, 16, 0x9a9a_a9a9_0f0f_f0f0, 0x0123_4567_89ab_cdef, u64::MAX] {
                let id = Ids::of_run(run).of(number);
                assert_eq!(String::from_utf8_lossy(&id), format!("{run:08x}-{number:016x}"));
            }
        }
    }

    #[test]
    fn an_empty_name_sends_no_id() {
        let mut template = request(&["--request-id-header", "", "-H", "user-agent: me"]).unwrap().http1();
        template.set_id(&Ids::of_run(1).of(1));
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
