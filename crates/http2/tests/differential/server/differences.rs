//! Where h2's server says something else, and why ours holds.

use crate::differences::{
    CLOSED, CONN_CLOSED, CONN_PROTOCOL, Difference, HALF_CLOSED, MALFORMED, NO_LENGTH, NO_PSEUDO, WHITE_SPACE,
};

const SERVED: &str = "stream served";
const PATHS: &str = "RFC 9113 section 8.3.1: a path begins with a slash, has no fragment, and is an asterisk with OPTIONS alone";

pub(crate) const DIFFERENCES: &[Difference] = &[
    ("DATA after the end", CLOSED, CONN_PROTOCOL, HALF_CLOSED),
    ("END_STREAM twice", CLOSED, CONN_PROTOCOL, HALF_CLOSED),
    ("HEADERS after RST_STREAM", CONN_CLOSED, CONN_PROTOCOL, "RFC 9113 section 5.1: closed"),
    ("HEADERS after the end", CLOSED, CONN_PROTOCOL, HALF_CLOSED),
    ("a path with a fragment", MALFORMED, SERVED, PATHS),
    ("a value with a space before it", MALFORMED, SERVED, WHITE_SPACE),
    ("an asterisk without OPTIONS", MALFORMED, SERVED, PATHS),
    ("an empty content-length", MALFORMED, SERVED, NO_LENGTH),
    ("no path", MALFORMED, SERVED, "RFC 9113 section 8.3.1: a request has a path"),
    ("trailers with a pseudo-field", MALFORMED, SERVED, NO_PSEUDO),
];
