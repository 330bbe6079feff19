//! Where the crate h2 says something else, whichever role it has, and why ours holds.

/// A difference: what is odd, what we say and what h2 says, and why ours holds.
pub(crate) type Difference = (&'static str, &'static str, &'static str, &'static str);

// What is said of the odd stream, or of the connection.
pub(crate) const MALFORMED: &str = "stream PROTOCOL_ERROR";
pub(crate) const CLOSED: &str = "stream STREAM_CLOSED";
pub(crate) const CONN_CLOSED: &str = "connection STREAM_CLOSED";
pub(crate) const CONN_COMPRESSION: &str = "connection COMPRESSION_ERROR";
pub(crate) const CONN_FLOW: &str = "connection FLOW_CONTROL_ERROR";
pub(crate) const CONN_PROTOCOL: &str = "connection PROTOCOL_ERROR";
pub(crate) const CONN_SIZE: &str = "connection FRAME_SIZE_ERROR";
pub(crate) const GOES_ON: &str = "goes on";

// Why, where that is the same of several.
pub(crate) const SMALL: &str = "RFC 9113 section 4.2: too small for what it must contain";
pub(crate) const STREAM_ERROR: &str = "RFC 9113 sections 8.1.1 and 8.2.1: malformed, a stream error";
pub(crate) const HALF_CLOSED: &str = "RFC 9113 section 5.1: half-closed (remote), a stream error";

pub(crate) const NO_LENGTH: &str =
    "RFC 9110 section 8.6: a length has digits; RFC 9113 section 8.1.1: malformed";
pub(crate) const WHITE_SPACE: &str = "RFC 9113 section 8.2.1: no white space at either end";
pub(crate) const NO_PSEUDO: &str = "RFC 9113 section 8.1: no pseudo-fields in trailers";

pub(crate) const EITHER: &[Difference] = &[
    ("ACK with a payload", CONN_SIZE, CONN_PROTOCOL, "RFC 9113 section 6.5: FRAME_SIZE_ERROR"),
    ("DATA without room for its padding", CONN_SIZE, CONN_PROTOCOL, SMALL),
    ("HEADERS without room for its priority", CONN_SIZE, CONN_PROTOCOL, SMALL),
    ("GOAWAY of 7 bytes", CONN_SIZE, CONN_PROTOCOL, SMALL),
    ("PING of 7 bytes", CONN_SIZE, CONN_PROTOCOL, "RFC 9113 section 6.7: FRAME_SIZE_ERROR"),
    ("PING of 9 bytes", CONN_SIZE, CONN_PROTOCOL, "RFC 9113 section 6.7: FRAME_SIZE_ERROR"),
    ("PRIORITY of 4 bytes", "stream FRAME_SIZE_ERROR", CONN_PROTOCOL, "RFC 9113 section 6.3: a stream error"),
    ("RST_STREAM of 3 bytes", CONN_SIZE, CONN_PROTOCOL, "RFC 9113 section 6.4: FRAME_SIZE_ERROR"),
    ("SETTINGS of 5 bytes", CONN_SIZE, CONN_PROTOCOL, "RFC 9113 section 6.5: FRAME_SIZE_ERROR"),
    ("WINDOW_UPDATE of 3 bytes", CONN_SIZE, CONN_PROTOCOL, "RFC 9113 section 6.9: FRAME_SIZE_ERROR"),
    ("a name in upper case", MALFORMED, CONN_PROTOCOL, STREAM_ERROR),
    ("a name with a space", MALFORMED, CONN_PROTOCOL, STREAM_ERROR),
    ("a string that breaks off", CONN_COMPRESSION, CONN_PROTOCOL, "RFC 9113 section 4.3: COMPRESSION_ERROR"),
    ("a table above what is allowed", CONN_COMPRESSION, CONN_PROTOCOL, "RFC 7541 section 6.3"),
    ("a table resized at the end of a block", CONN_COMPRESSION, CONN_PROTOCOL, "RFC 7541 section 4.2"),
    ("a value with a line feed", MALFORMED, CONN_PROTOCOL, STREAM_ERROR),
    ("a value with NUL", MALFORMED, CONN_PROTOCOL, STREAM_ERROR),
    ("a window above 2^31 - 1 by SETTINGS", CONN_FLOW, CONN_PROTOCOL, "RFC 9113 section 6.5.2"),
    ("an acknowledgement of nothing", GOES_ON, CONN_PROTOCOL, "RFC 9113 section 6.5.3 does not forbid it"),
    ("an empty name", MALFORMED, CONN_PROTOCOL, STREAM_ERROR),
    ("an index of nothing", CONN_COMPRESSION, CONN_PROTOCOL, "RFC 7541 section 2.3.3"),
    ("an integer without end", CONN_COMPRESSION, CONN_PROTOCOL, "RFC 7541 section 5.1"),
    ("an unknown pseudo-field", MALFORMED, CONN_PROTOCOL, "RFC 9113 sections 8.1.1 and 8.3: a stream error"),
    ("index 0", CONN_COMPRESSION, CONN_PROTOCOL, "RFC 7541 section 6.1"),
    ("no window for a stream", MALFORMED, CONN_PROTOCOL, "RFC 9113 section 6.9: a stream error"),
    ("padding of Huffman code with zeros", CONN_COMPRESSION, CONN_PROTOCOL, "RFC 7541 section 5.2"),
    ("trailers with a name in upper case", MALFORMED, CONN_PROTOCOL, STREAM_ERROR),
];
