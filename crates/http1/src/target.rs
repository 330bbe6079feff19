//! The target of a request: its characters and its form (RFC 9112 section 3.2). It is not resolved here.

use crate::{
    error::{Rejection, SCHEME, TARGET, TARGET_FORM, TUNNEL_TARGET},
    facts::is_host,
};

/// Checks a target, which holds no space: a path, a URL, `*` with OPTIONS, or host and port with CONNECT. Which
/// characters a path may hold is read leniently except for those that two readers could take for an end: controls
/// and `#`.
pub(crate) fn check(method: &[u8], target: &[u8]) -> Result<(), Rejection> {
    // Without a branch per byte, so that the compiler can take many at a time.
    let is_bad = |byte: u8| byte <= b' ' || byte == 0x7f || byte == b'#';
    if target.iter().fold(false, |found, byte| found | is_bad(*byte)) {
        return Err(TARGET);
    }
    match target.first() {
        Some(b'/') => Ok(()),
        None => Err(TARGET),
        Some(_) => check_form(method, target),
    }
}

/// A target that is not a path.
#[cold]
fn check_form(method: &[u8], target: &[u8]) -> Result<(), Rejection> {
    if method == b"CONNECT" {
        let has_port = target.last().is_some_and(u8::is_ascii_digit) && target.contains(&b':');
        return if has_port && is_host(target) { Ok(()) } else { Err(TUNNEL_TARGET) };
    }
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(()) } else { Err(TARGET_FORM) };
    }
    let scheme_end = memchr::memmem::find(target, b"://").ok_or(TARGET_FORM)?;
    let (scheme, rest) = (&target[..scheme_end], &target[scheme_end + 3..]);
    // RFC 3986 section 3.1.
    let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(in_scheme) {
        return Err(TARGET_FORM);
    }
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(SCHEME);
    }
    // RFC 9110 section 4.2: an empty host is invalid, and so are a name and password before it.
    let authority = &rest[..memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len())];
    let has_host = authority.first().is_some_and(|byte| *byte != b':');
    if has_host && is_host(authority) { Ok(()) } else { Err(TARGET_FORM) }
}
