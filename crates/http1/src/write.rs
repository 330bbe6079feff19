//! Writes messages: everything is added to the end of a buffer. Nothing is checked, because a caller may break any
//! rule on purpose; what comes from outside has to be checked before.

use wire::Fields;

use crate::Version;

/// What has a client send the body that it holds back (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What follows the data of a chunk (RFC 9112 section 7.1).
pub const CHUNK_END: &[u8] = b"\r\n";

/// The first line of a request (RFC 9112 section 3).
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], version: Version) {
    out.reserve(method.len() + target.len() + 12);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.push(b' ');
    out.extend_from_slice(version.bytes());
    out.extend_from_slice(b"\r\n");
}

/// The first line of a response (RFC 9112 section 4). [`reason`] knows the usual phrases; it may be empty.
pub fn status_line(out: &mut Vec<u8>, version: Version, status: u16, reason: &[u8]) {
    out.reserve(reason.len() + 17);
    out.extend_from_slice(version.bytes());
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// A field (RFC 9112 section 5).
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A field whose value is a decimal number, such as Content-Length.
pub fn number_field(out: &mut Vec<u8>, name: &[u8], value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// The empty line that ends a head.
pub fn end_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The line that begins a chunk of `len` bytes; after them comes [`CHUNK_END`]. A chunk of no bytes ends the body,
/// see [`last_chunk`].
pub fn chunk_head(out: &mut Vec<u8>, len: u64) {
    let digits = (u64::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (len >> (4 * place)) & 15;
        out.push(b"0123456789abcdef"[digit as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body, with its trailers (RFC 9112 section 7.1.2).
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter() {
        field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// The phrase that the registry has for a status; empty if it has none.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300..=399 => redirection(status),
        400..=499 => client_error(status),
        500..=599 => server_error(status),
        _ => "",
    }
}

fn redirection(status: u16) -> &'static str {
    match status {
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        _ => "",
    }
}

fn client_error(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

fn server_error(status: u16) -> &'static str {
    match status {
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"|".to_vec();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn start_lines_are_written_as_given() {
        let line = written(|out| request_line(out, b"GET", b"/a?b", Version::Http10));
        assert_eq!(line, "|GET /a?b HTTP/1.0\r\n");
        let line = written(|out| status_line(out, Version::Http11, 200, b"OK"));
        assert_eq!(line, "|HTTP/1.1 200 OK\r\n");
        assert_eq!(written(|out| status_line(out, Version::Http11, 7, b"")), "|HTTP/1.1 7 \r\n");
    }

    #[test]
    fn fields_are_written_verbatim() {
        let wire = written(|out| {
            field(out, b"X-Odd", b"a\nb");
            number_field(out, b"content-LENGTH", u64::MAX);
            end_head(out);
        });
        assert_eq!(wire, "|X-Odd: a\nb\r\ncontent-LENGTH: 18446744073709551615\r\n\r\n");
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for len in [0, 1, 9, 10, 15, 16, 255, 256, 4096, 0xdead_beef, u64::MAX >> 1, u64::MAX] {
            assert_eq!(written(|out| chunk_head(out, len)), format!("|{len:x}\r\n"));
        }
    }

    #[test]
    fn the_last_chunk_carries_the_trailers() {
        assert_eq!(written(|out| last_chunk(out, &Fields::new())), "|0\r\n\r\n");
        let trailers: Fields = [("A", "b"), ("c", "")].into_iter().collect();
        assert_eq!(written(|out| last_chunk(out, &trailers)), "|0\r\nA: b\r\nc: \r\n\r\n");
    }

    #[test]
    fn reasons_are_known_for_the_registered_statuses_alone() {
        let known = (0..1000).filter(|status| !reason(*status).is_empty()).count();
        assert_eq!(known, 61);
        assert_eq!((reason(200), reason(404), reason(503)), ("OK", "Not Found", "Service Unavailable"));
        assert_eq!((reason(306), reason(499), reason(599), reason(99)), ("", "", "", ""));
    }
}
