//! Versions of HTTP, and what each of them has.

use std::borrow::Cow;

use crate::{cut::Cut, named::named};

named! {
    /// The version of HTTP that carried a request, with its name as on the wire (RFC 9110 section 2.5).
    pub(crate) enum Protocol {
        Http10 = "HTTP/1.0",
        Http11 = "HTTP/1.1",
        Http2 = "HTTP/2",
    }
}

impl Protocol {
    /// Whether a reply can be cut like that: streams and GOAWAY are HTTP/2's alone.
    pub(crate) fn has(self, cut: Cut) -> bool {
        self == Self::Http2 || !matches!(cut, Cut::ResetStream(_) | Cut::GoAway(_))
    }

    /// Whether clients know of informational replies (RFC 9110 section 15.2).
    pub(crate) fn has_interim(self) -> bool {
        self != Self::Http10
    }

    /// Whether there is a place for trailers: without chunks there is none.
    pub(crate) fn has_trailers(self) -> bool {
        self != Self::Http10
    }

    /// Whether content comes in frames: a length can be announced beside pieces and trailers, unlike with chunks (RFC 9112
    /// section 6.2).
    pub(crate) fn has_frames(self) -> bool {
        self == Self::Http2
    }

    /// A field's name as it is sent: in lower case over HTTP/2 (RFC 9113 section 8.2) and as it is over HTTP/1.
    pub(crate) fn field_name(self, name: &str) -> Cow<'_, str> {
        if self == Self::Http2 { name.to_ascii_lowercase().into() } else { name.into() }
    }
}
