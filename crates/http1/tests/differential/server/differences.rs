//! Where hyper's server does something else, and why ours holds.

use crate::{
    Difference,
    differences::{
        CONTROLS, EMPTY_MEMBERS, FIELDS, LATER, NEVER_ENDS, NO_TRAILER, REFUSED, SMUGGLING, TAKEN, TWICE,
        WHOLE_LENGTH,
    },
};

const STRICT: &str = "RFC 9112 section 2.2: LF alone may be taken; requests are read strictly";
const RAW: &str = "RFC 9112 section 3.2: 400 is a should; the raw target shows what a proxy let pass";
const FORMS: &str = "RFC 9112 section 3.2: the form of a target depends on the method";

pub(crate) const DIFFERENCES: &[Difference] = &[
    ("101 fields", TAKEN, REFUSED, FIELDS),
    ("HTTP/1.2", TAKEN, REFUSED, LATER),
    ("a chunk size above 2^63", REFUSED, "cut", NEVER_ENDS),
    ("a field that ends with LF", REFUSED, TAKEN, STRICT),
    (
        "a host that is none",
        REFUSED,
        TAKEN,
        "RFC 9112 section 3.2: an invalid host must be answered with 400",
    ),
    ("a request line that ends with LF", REFUSED, TAKEN, STRICT),
    ("a target with < or >", TAKEN, REFUSED, RAW),
    (
        "a target with a fragment",
        REFUSED,
        TAKEN,
        "RFC 9112 section 3.2: no target has a fragment; hyper drops it unseen",
    ),
    (
        "a target of a foreign scheme",
        REFUSED,
        TAKEN,
        "RFC 9110 section 7.4: a server that is not the origin for a URL answers with 421",
    ),
    ("a target of another method's form", REFUSED, TAKEN, FORMS),
    ("a trailer that frames", REFUSED, TAKEN, NO_TRAILER),
    ("a trailer that routes", REFUSED, TAKEN, NO_TRAILER),
    (
        "an absolute target without a path",
        "target http://a",
        "target http://a/",
        "RFC 9112 section 3.2.2: absolute form; it is kept as sent, hyper normalizes it",
    ),
    (
        "an empty line of LF after the chunks",
        REFUSED,
        "cut",
        "RFC 9112 section 7.1: CRLF ends the body; hyper takes LF for the beginning of a trailer",
    ),
    (
        "an empty line of LF after the chunks",
        REFUSED,
        TAKEN,
        "RFC 9112 section 7.1: CRLF ends the body; hyper takes the next request for trailers",
    ),
    ("an empty line of LF after the fields", REFUSED, TAKEN, STRICT),
    (
        "an empty line of LF alone",
        REFUSED,
        TAKEN,
        "RFC 9112 section 2.2: an empty line to be skipped is CRLF",
    ),
    ("an asterisk without OPTIONS", REFUSED, TAKEN, FORMS),
    ("an extension with a control character", REFUSED, TAKEN, CONTROLS),
    ("an extension without a name", REFUSED, TAKEN, "RFC 9112 section 7.1.1: an extension has a name"),
    (
        "an unknown coding, then chunked",
        REFUSED,
        TAKEN,
        "RFC 9112 section 6.1: a coding that is not understood should be answered with 501",
    ),
    ("chunked and an empty member", TAKEN, REFUSED, EMPTY_MEMBERS),
    ("chunked twice", REFUSED, TAKEN, TWICE),
    ("chunked, then content-length", REFUSED, TAKEN, SMUGGLING),
    ("content-length of 2^64 - 1", "cut", REFUSED, WHOLE_LENGTH),
    ("content-length, then chunked", REFUSED, TAKEN, SMUGGLING),
    (
        "content-lengths that are equal",
        "field content-length [2][2]",
        "field content-length [2]",
        "RFC 9110 section 8.6: equal values count as one; the fields are kept as sent",
    ),
    (
        "content-lengths that are equal in a list",
        TAKEN,
        REFUSED,
        "RFC 9112 section 6.3 rule 5: a list of equal numbers counts as one",
    ),
    (
        "five empty lines",
        REFUSED,
        TAKEN,
        "RFC 9112 section 2.2: at least one is to be skipped; ours skips four",
    ),
    ("no host", REFUSED, TAKEN, "RFC 9112 section 3.2: no host in HTTP/1.1 must be answered with 400"),
    (
        "spaces after the chunk size",
        REFUSED,
        TAKEN,
        "RFC 9112 section 7.1.1: only an extension has white space before it",
    ),
    (
        "the expectation of something else",
        REFUSED,
        TAKEN,
        "RFC 9110 section 10.1.1: may be answered with 417",
    ),
    ("two hosts", REFUSED, TAKEN, "RFC 9112 section 3.2: several hosts must be answered with 400"),
];
