//! What is wanted of a request, and the checks that it has to pass: method, fields, `Host`, id and body.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use command_line::{Accepted, Refusal};
use http::{HeaderName, HeaderValue, Method, uri::Authority};
use wire::Fields;

use super::{
    CallOptions, PlanError, Protocol, Target,
    accepted::{self, refused, refused_because},
    contents::Contents,
    expect::Expect,
};

/// The field that names the host.
pub(super) const HOST: &str = "host";

/// The largest body that is accepted, in bytes.
pub const MAX_BODY: u64 = 256 << 20;

/// Fields that say where a message ends.
pub(super) const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Fields about the connection.
pub(super) const CONNECTION: [&str; 4] = ["connection", "keep-alive", "proxy-connection", "upgrade"];

/// What is wanted of one request, before it is checked. What is left out is as for a run of one request alone.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// What it is called in reports: by default, its method and path.
    pub name: Option<String>,
    /// How many of a run's requests it is: a weight of 1 by default.
    pub share: Option<Share>,
    /// The server that it goes to, if that is another than the plan's; with a path that is its own where `path` says nothing.
    pub target: Option<String>,
    /// The method: by default GET, or POST with a body.
    pub method: Option<String>,
    /// Path and query: by default, the target's.
    pub path: Option<String>,
    /// Header fields, as `name: value`.
    pub headers: Vec<String>,
    /// The body.
    pub body: Option<Body>,
    /// Whether the body is sent in chunks over HTTP/1.1, and without its length over HTTP/2.
    pub chunked: Option<bool>,
    /// Fields behind the body, as `name: value`, which is sent in chunks then.
    pub trailers: Vec<String>,
    /// Whether the body waits for `100 Continue`, or for a second.
    pub expect_continue: Option<bool>,
    /// A file of rows that placeholders take values from: `.csv`, or JSON lines in `.jsonl` or `.ndjson`.
    pub rows: Option<PathBuf>,
    /// What is expected of its replies.
    pub expect: Expect,
    /// What is wanted of it as a gRPC call, which it is where the target is one of calls.
    pub call: CallOptions,
}

impl RequestOptions {
    /// With what others have where this says nothing.
    pub(super) fn over(self, defaults: &Self) -> Self {
        let name_of =
            |field: &String| field.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        let own: HashSet<_> = self.headers.iter().map(name_of).collect();
        let body = self.body.or_else(|| defaults.body.clone());
        // What is said of bodies is not of requests that have none.
        let is_of_body = body.is_some();
        let others = defaults.headers.iter().filter(|field| !own.contains(&name_of(field)));
        Self {
            name: self.name,
            share: self.share,
            target: self.target.or_else(|| defaults.target.clone()),
            headers: others.chain(&self.headers).cloned().collect(),
            method: self.method.or_else(|| defaults.method.clone()),
            path: self.path.or_else(|| defaults.path.clone()),
            body,
            chunked: self.chunked.or_else(|| defaults.chunked.filter(|_| is_of_body)),
            expect_continue: self.expect_continue.or_else(|| defaults.expect_continue.filter(|_| is_of_body)),
            trailers: match self.trailers {
                none if none.is_empty() && is_of_body => defaults.trailers.clone(),
                own => own,
            },
            rows: self.rows.or_else(|| defaults.rows.clone()),
            expect: self.expect.over(&defaults.expect),
            call: self.call.over(&defaults.call),
        }
    }
}

/// How many of a run's requests one of several is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// As a share of the sum of all weights.
    Weight(u64),
    /// This number of requests exactly.
    Count(u64),
}

/// Where the body of a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// These bytes, possibly none. They may have placeholders.
    Bytes(Bytes),
    /// A file of at most [`MAX_BODY`] bytes, as it is.
    File(PathBuf),
    /// A file that may have placeholders.
    Template(PathBuf),
}

/// A body that has been read.
#[derive(Debug, Default)]
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    /// Whether braces in it are braces.
    pub(super) is_as_it_is: bool,
}

impl Body {
    pub(super) fn read(self, contents: &Contents) -> Result<ReadBody, PlanError> {
        let (path, is_as_it_is) = match self {
            Self::Bytes(bytes) if bytes.len() as u64 <= MAX_BODY => {
                return Ok(ReadBody { bytes, is_as_it_is: false });
            }
            Self::Bytes(bytes) => {
                let size = format!("{} bytes", bytes.len());
                return Err(PlanError(Refusal::new(
                    format!("invalid --body of {size}"),
                    accepted::BODY.values,
                    format!("--body={}", accepted::BODY.example),
                )));
            }
            Self::File(path) => (path, true),
            Self::Template(path) => (path, false),
        };
        let bytes = contents.file(&path, MAX_BODY, &accepted::BODY_FILE)?;
        Ok(ReadBody { bytes, is_as_it_is })
    }
}

/// All of a file of at most `most` bytes.
pub(super) fn read_file(path: &Path, most: u64, option: &Accepted) -> Result<Bytes, PlanError> {
    let error = |why: String| refused_because(option, path.display(), why);
    let content = runtime::files::read(path, most).map_err(|e| match e.kind() {
        io::ErrorKind::FileTooLarge => {
            error(format!("it has more than {}", contract::quantity::canonical_size(most)))
        }
        _ => error(e.to_string()),
    })?;
    Ok(content.into())
}

pub(super) fn method(name: &str) -> Result<Method, PlanError> {
    match name.parse() {
        Ok(Method::CONNECT) | Err(_) => Err(refused(&accepted::METHOD, name)),
        Ok(method) => Ok(method),
    }
}

/// Name and value of a field as it is typed, without the space around them.
pub(super) fn field(text: &str) -> Result<(&str, HeaderValue), PlanError> {
    field_of(&accepted::HEADER, text)
}

/// The same of another option.
pub(super) fn field_of<'t>(option: &Accepted, text: &'t str) -> Result<(&'t str, HeaderValue), PlanError> {
    let refused = |why| refused_because(option, text, why);
    let (name, value) = text.split_once(':').ok_or_else(|| refused("a colon is missing"))?;
    let (name, value) = (name.trim(), value.trim());
    name.parse::<HeaderName>().map_err(|_| refused("the name is not a token"))?;
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| refused("the value has a control character"))?;
    Ok((name, value))
}

/// What `Host` says if it is given, and otherwise the target.
pub(super) fn authority(target: &Target, fields: &Fields) -> Result<String, PlanError> {
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
pub(super) fn refuse_framing(target: &Target, fields: &Fields) -> Result<(), PlanError> {
    let is_http2 = target.protocol == Protocol::Http2;
    let mut refused = FRAMING.iter().chain(CONNECTION.iter().filter(|_| is_http2));
    if let Some(name) = refused.find(|name| fields.contains(name)) {
        let chosen = target.negotiated && CONNECTION.contains(name);
        let hint = if chosen { ", and --http1.1 takes it" } else { "" };
        let why = format!("with {} it is set as needed{hint}", target.protocol_name());
        return Err(refused_because(&accepted::HEADER, name, why));
    }
    let mut encodings = fields.get_all("te");
    if is_http2 && let Some(te) = encodings.find(|te| !te.eq_ignore_ascii_case(b"trailers")) {
        let te = format!("te: {}", String::from_utf8_lossy(te));
        let accepted = "no te with HTTP/2 other than 'te: trailers'";
        return Err(PlanError(Refusal::of_value("header", te, accepted, "te: trailers")));
    }
    Ok(())
}

/// An id in a field that means something to the connection would make it unreadable, and one beside a field of the same
/// name would leave open which of them counts.
pub(super) fn id_field(name: &str, fields: &Fields) -> Result<Option<HeaderName>, PlanError> {
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
    use super::*;
    use crate::plan::request::tests::request;

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
    fn an_endless_body_is_read_no_further_than_the_limit() {
        let read = |path: &str, most| read_file(Path::new(path), most, &accepted::BODY_FILE);
        let said = read("/dev/zero", 1 << 20).unwrap_err().to_string();
        assert!(said.contains("'/dev/zero' for --body-file: it has more than 1M; accepted: "), "{said}");
        assert_eq!(read("/dev/null", 1).unwrap(), Bytes::new());
    }
}
