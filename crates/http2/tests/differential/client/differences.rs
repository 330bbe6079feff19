//! Where h2's client says something else, and why ours holds.

use crate::differences::{
    CONN_CLOSED, CONN_PROTOCOL, Difference, GOES_ON, HALF_CLOSED, MALFORMED, NO_LENGTH, NO_PSEUDO,
    WHITE_SPACE,
};

const FAILED: &str = "stream failed";
const ANSWERED: &str = "stream 200 end";
const ANSWERED_CLOSED: &str = "stream 200 end STREAM_CLOSED";

/// Both take the response for malformed.
const TELL: &str = "RFC 9113 sections 5.4.2 and 8.1.1: the server is told, even if the stream has ended";
const BAD_STATUS: &str = "RFC 9113 sections 8.1.1 and 8.3.2: malformed, a stream error";
const NO_HEAD: &str = "RFC 9113 sections 8.1 and 8.1.1: a response begins with a head, or else is malformed";
const OF_REQUESTS: &str = "RFC 9113 section 8.3: pseudo-fields of requests make a response malformed";
const MAY_CLOSE: &str = "RFC 9113 section 5.1: closed, which may be an error of the connection";

pub(crate) const DIFFERENCES: &[Difference] = &[
    ("DATA after an informational head alone", MALFORMED, CONN_PROTOCOL, NO_HEAD),
    ("DATA after the end, while content is sent", ANSWERED_CLOSED, CONN_PROTOCOL, HALF_CLOSED),
    ("DATA before the head", MALFORMED, CONN_PROTOCOL, NO_HEAD),
    ("ENABLE_CONNECT_PROTOCOL taken back", CONN_PROTOCOL, GOES_ON, "RFC 8441 section 3: must not be"),
    ("ENABLE_PUSH 1", CONN_PROTOCOL, GOES_ON, "RFC 9113 section 6.5.2: PROTOCOL_ERROR"),
    ("HEADERS after RST_STREAM", CONN_CLOSED, "stream reset by the server: CANCEL STREAM_CLOSED", MAY_CLOSE),
    ("HEADERS after the end", CONN_CLOSED, ANSWERED_CLOSED, MAY_CLOSE),
    ("HEADERS after the end, while content is sent", ANSWERED_CLOSED, CONN_PROTOCOL, HALF_CLOSED),
    (
        "HEADERS on a stream that was disowned",
        "stream unprocessed",
        "stream unprocessed STREAM_CLOSED",
        "RFC 9113 section 6.8: the client is done with it, and nothing has to be said",
    ),
    ("a method in a response", MALFORMED, ANSWERED, OF_REQUESTS),
    ("a path in a response", MALFORMED, ANSWERED, OF_REQUESTS),
    ("a request for a response", MALFORMED, FAILED, TELL),
    ("a status below 100", MALFORMED, CONN_PROTOCOL, BAD_STATUS),
    ("a status of four digits", MALFORMED, CONN_PROTOCOL, BAD_STATUS),
    ("a status of letters", MALFORMED, CONN_PROTOCOL, BAD_STATUS),
    ("a status of two digits", MALFORMED, CONN_PROTOCOL, BAD_STATUS),
    ("a status with a space", MALFORMED, CONN_PROTOCOL, BAD_STATUS),
    ("a value with a space before it", MALFORMED, "stream 200 a: x end", WHITE_SPACE),
    ("an empty content-length", MALFORMED, "stream 200 content-length: end", NO_LENGTH),
    ("an empty status", MALFORMED, CONN_PROTOCOL, BAD_STATUS),
    ("an end before the head", MALFORMED, CONN_PROTOCOL, NO_HEAD),
    (
        "an end in a frame of its own after 304",
        "stream 304 content-length:5 end",
        MALFORMED,
        "RFC 9113 section 8.1.1: 304 may tell the length of what it has not",
    ),
    ("an informational head with an end", MALFORMED, FAILED, TELL),
    ("content after 204", MALFORMED, "stream 204 x end", "RFC 9110 section 15.3.5: it has no content"),
    (
        "content after 304",
        MALFORMED,
        "stream 304 content-length:1 x end",
        "RFC 9110 section 15.4.5: it has no content",
    ),
    ("content-length above 2^64", MALFORMED, FAILED, TELL),
    ("content-length of letters", MALFORMED, FAILED, TELL),
    ("content-length of letters for HEAD", MALFORMED, FAILED, TELL),
    ("content-length without content", MALFORMED, FAILED, TELL),
    ("content-lengths that differ", MALFORMED, FAILED, TELL),
    ("no fields", MALFORMED, FAILED, TELL),
    ("no status", MALFORMED, FAILED, TELL),
    ("status 101", MALFORMED, "stream 101", "RFC 9113 section 8.6: not in HTTP/2"),
    (
        "too much window for a stream",
        "stream FLOW_CONTROL_ERROR",
        "stream 200",
        "RFC 9113 section 6.9.1: the stream or the connection must end",
    ),
    ("trailers before all of the length", MALFORMED, FAILED, TELL),
    ("trailers with a pseudo-field", MALFORMED, "stream 200 trailers end", NO_PSEUDO),
];
