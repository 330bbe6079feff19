//! Where hyper's client does something else, and why ours holds.

use crate::{
    Difference,
    differences::{
        CONTROLS, EMPTY_MEMBERS, FIELDS, LATER, NEVER_ENDS, NO_TRAILER, REFUSED, TAKEN, TWICE, WHOLE_LENGTH,
    },
};

const UNFOLD: &str = "RFC 9112 section 5.2: a user agent must unfold it";

pub(crate) const DIFFERENCES: &[Difference] = &[
    ("101 fields", TAKEN, REFUSED, FIELDS),
    ("101 unasked", REFUSED, TAKEN, "RFC 9110 section 7.8: a server must not switch to what was not offered"),
    ("HTTP/1.2", TAKEN, REFUSED, LATER),
    ("a chunk size above 2^63", REFUSED, "cut", NEVER_ENDS),
    ("a folded field", TAKEN, REFUSED, UNFOLD),
    ("a trailer that frames", REFUSED, TAKEN, NO_TRAILER),
    ("a trailer that is folded", TAKEN, REFUSED, UNFOLD),
    (
        "an empty line before the status line",
        REFUSED,
        TAKEN,
        "RFC 9112 section 2.2: only a server skips empty lines",
    ),
    (
        "an empty line of LF after the chunks",
        REFUSED,
        "cut",
        "RFC 9112 section 7.1: CRLF ends the body; hyper takes LF for the beginning of a trailer",
    ),
    ("an extension with a control character", REFUSED, TAKEN, CONTROLS),
    ("chunked and an empty member", "body , then lasts", "body 0\\r\\n\\r\\n, then ends", EMPTY_MEMBERS),
    (
        "chunked in HTTP/1.0",
        TAKEN,
        REFUSED,
        "RFC 9112 section 6.1: the message is processed, and the connection closed after it",
    ),
    ("chunked twice", REFUSED, TAKEN, TWICE),
    (
        "content-length and chunked",
        REFUSED,
        TAKEN,
        "RFC 9112 section 6.3 rule 3: perhaps response splitting, which ought to be handled as an error",
    ),
    ("content-length of 2^64 - 1", "cut", REFUSED, WHOLE_LENGTH),
    (
        "trailers that end with LF",
        TAKEN,
        REFUSED,
        "RFC 9112 section 2.2: LF alone may end the lines of fields, and trailers are fields",
    ),
];
