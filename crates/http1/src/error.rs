//! What can be wrong with a message: one list for both roles, each with the status that a server answers with.

use std::fmt;

/// Why a request is refused. The connection must be closed after the reply: where the next request would begin
/// is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status to answer with.
    pub status: u16,
    /// What is wrong, in a few words: not the reason phrase of the status.
    pub reason: &'static str,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.reason)
    }
}

impl std::error::Error for Rejection {}

/// What a server did against the protocol. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

impl From<Rejection> for Broken {
    fn from(rejection: Rejection) -> Self {
        Self(rejection.reason)
    }
}

const fn bad(reason: &'static str) -> Rejection {
    Rejection { status: 400, reason }
}

const fn large(reason: &'static str) -> Rejection {
    Rejection { status: 431, reason }
}

// Lines: RFC 9112 section 2.2.
pub(crate) const BARE_CR: Rejection = bad("a CR without LF");
pub(crate) const BARE_LF: Rejection = bad("a line ends with LF alone");
pub(crate) const EMPTY_LINES: Rejection = bad("too many empty lines before the request line");
pub(crate) const INDENTED_FIRST: Rejection = bad("whitespace before the first field");

// The request line: RFC 9112 section 3, RFC 9110 sections 15.5.15 and 15.6.6.
pub(crate) const METHOD: Rejection = bad("the method is not a token");
pub(crate) const TARGET: Rejection = bad("invalid request target: empty, or with a control character or '#'");
pub(crate) const TARGET_FORM: Rejection =
    bad("invalid request target: not a path, an http or https URL, or '*' with OPTIONS");
pub(crate) const TUNNEL_TARGET: Rejection = bad("invalid request target: CONNECT takes host:port");
/// RFC 9110 section 7.4.
pub(crate) const SCHEME: Rejection =
    Rejection { status: 421, reason: "the scheme of the request target is neither http nor https" };
pub(crate) const REQUEST_LINE: Rejection = bad("the request line is not method, target and version");
pub(crate) const LONG_TARGET: Rejection = Rejection { status: 414, reason: "the request line is too long" };
pub(crate) const VERSION: Rejection =
    Rejection { status: 505, reason: "the version is neither HTTP/1.0 nor HTTP/1.1 to HTTP/1.9" };

// Fields: RFC 9112 section 5, RFC 6585 section 5.
pub(crate) const FOLD: Rejection = bad("a field is folded over lines");
pub(crate) const NO_COLON: Rejection = bad("a field line has no colon");
pub(crate) const SPACE_BEFORE_COLON: Rejection = bad("whitespace before the colon of a field");
pub(crate) const FIELD_NAME: Rejection = bad("a field name is not a token");
pub(crate) const FIELD_VALUE: Rejection = bad("a field value has control characters");
pub(crate) const LARGE_HEAD: Rejection = large("the head is too large");
pub(crate) const MANY_FIELDS: Rejection = large("too many fields");

// Host: RFC 9112 section 3.2.
pub(crate) const NO_HOST: Rejection = bad("a request of HTTP/1.1 without host");
pub(crate) const MANY_HOSTS: Rejection = bad("more than one host");
pub(crate) const HOST: Rejection = bad("the host is neither a name nor an address");

// Expect: RFC 9110 section 10.1.1.
pub(crate) const EXPECTATION: Rejection =
    Rejection { status: 417, reason: "an expectation other than 100-continue" };

// Framing: RFC 9112 sections 6.1 to 6.3.
pub(crate) const LENGTH: Rejection = bad("the content-length is not a valid number");
pub(crate) const LENGTHS: Rejection = bad("several content-lengths that differ");
pub(crate) const CODING_AND_LENGTH: Rejection = bad("both transfer-encoding and content-length");
pub(crate) const CODING_IN_HTTP10: Rejection = bad("transfer-encoding in HTTP/1.0");
pub(crate) const NOT_CHUNKED: Rejection = bad("the last transfer coding is not chunked");
pub(crate) const CHUNKED_TWICE: Rejection = bad("chunked more than once");
pub(crate) const CODING: Rejection =
    Rejection { status: 501, reason: "a transfer coding other than chunked" };

// Chunks: RFC 9112 section 7.1.
pub(crate) const CHUNK_SIZE: Rejection = bad("a chunk size is not a valid hexadecimal number");
pub(crate) const LARGE_CHUNK: Rejection = bad("a chunk size is too large");
pub(crate) const CHUNK_EXTENSION: Rejection = bad("invalid chunk extension");
pub(crate) const LONG_EXTENSIONS: Rejection = bad("the chunk extensions of a body are too long together");
pub(crate) const LONG_CHUNK_LINE: Rejection = bad("the line that begins a chunk is too long");
pub(crate) const CHUNK_END: Rejection = bad("a chunk is longer than its size");
pub(crate) const LARGE_TRAILERS: Rejection = large("the trailers are too large");
pub(crate) const TRAILER: Rejection = bad("a field that frames or routes a message among the trailers");
