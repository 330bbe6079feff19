//! The grammar of chunk extensions (RFC 9112 section 7.1.1). Their meaning is ignored.

use crate::head::is_token_byte;

/// Whether there is a control character that no line of a chunk may have.
pub(crate) fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// Whether all of `rest` is extensions: each a `;`, a name, and perhaps `=` and a token or a quoted string, with
/// white space before and after the marks.
pub(crate) fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = after_mark(rest, b';').and_then(after_token) else { return false };
        rest = match after_mark(after, b'=') {
            None => after,
            Some([b'"', quoted @ ..]) => match after_quoted(quoted) {
                Some(after) => after,
                None => return false,
            },
            Some(value) => match after_token(value) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    true
}

/// What follows a mark and the white space around it.
fn after_mark(bytes: &[u8], mark: u8) -> Option<&[u8]> {
    let blank = |bytes: &[u8]| bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = bytes[blank(bytes)..].strip_prefix(&[mark])?;
    Some(&rest[blank(rest)..])
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| is_token_byte(**byte)).count();
    (length > 0).then(|| &bytes[length..])
}

/// What follows the end of a quoted string (RFC 9110 section 5.6.4) whose beginning was read.
fn after_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] if !has_control(&[*byte]) => rest,
            _ => return None,
        };
    }
}
