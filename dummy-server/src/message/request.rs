//! The head of a request, as an engine has read it.

use std::rc::Rc;

use wire::Fields;

use crate::{lifecycle::orders::Orders, peer::Peer, protocol::Protocol};

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a [u8],
    /// The target as it was on the wire, or HTTP/2's `:path`.
    pub(crate) target: &'a [u8],
    /// HTTP/2's `:scheme` and `:authority`.
    pub(crate) origin: Option<(&'a [u8], &'a [u8])>,
    /// All fields; the first `pseudo` of them are HTTP/2's pseudo-fields.
    pub(crate) fields: &'a Fields,
    pub(crate) pseudo: usize,
    pub(crate) protocol: Protocol,
    /// What is at the other end of its connection.
    pub(crate) peer: &'a Peer,
    /// What its connection was ordered to do, for replies that last until then.
    pub(crate) orders: &'a Rc<Orders>,
}

impl Head<'_> {
    /// Path and query, without what an absolute target has in front of them (RFC 9112 section 3.2.2).
    pub(crate) fn path_and_query(&self) -> &[u8] {
        if self.target.first() == Some(&b'/') {
            return self.target;
        }
        let Some(scheme) = memchr::memmem::find(self.target, b"://") else { return self.target };
        let rest = &self.target[scheme + 3..];
        match memchr::memchr2(b'/', b'?', rest) {
            Some(path) => &rest[path..],
            None => b"/",
        }
    }

    /// Names and values, without pseudo-fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter_from(self.pseudo)
    }

    /// The target with scheme and authority.
    pub(crate) fn uri(&self) -> String {
        let text = String::from_utf8_lossy;
        if self.origin.is_none() && self.target.first() != Some(&b'/') && self.target != b"*" {
            return text(self.target).into_owned();
        }
        let own: (&[u8], &[u8]) = (if self.peer.is_tls() { b"https" } else { b"http" }, b"");
        let (scheme, authority) = self.origin.unwrap_or(own);
        // RFC 9113 section 8.3.1: what has no :authority may have a host, as from HAProxy.
        let host = self.fields.get("host").unwrap_or_default();
        let authority = if authority.is_empty() { host } else { authority };
        // `*` is the server itself (RFC 9110 section 7.1).
        let path: &[u8] = if self.target == b"*" { b"" } else { self.target };
        format!("{}://{}{}", text(scheme), text(authority), text(path))
    }
}
