//! Fields that matter to every endpoint, found in one pass over a request's head.

use contract::{
    field::{TOKEN, UPLOAD},
    ledger::Announced,
};

use crate::behaviour;

const TRACEPARENT: &[u8] = b"traceparent";

/// What the pass has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeaderFlags<'a> {
    /// The value of `traceparent`, if it is valid and the only one.
    pub(super) traceparent: Option<&'a [u8]>,
    /// Whether there is a field that asks for a behaviour.
    pub(super) behaviour: bool,
    /// What stands where the token of a verified run does, if anything: it is read where it is needed.
    pub(super) token: Option<&'a [u8]>,
    /// What is announced of its body, if anything is.
    pub(super) upload: Option<Announced>,
}

impl<'a> HeaderFlags<'a> {
    /// Requests without such fields pay for a look at the first byte of each name.
    #[inline]
    pub(super) fn among(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let (mut parents, mut traceparent, mut behaviour, mut token) = (0, None, false, None);
        let mut upload = None;
        for (name, value) in fields {
            match name.first() {
                Some(b't' | b'T') if name.eq_ignore_ascii_case(TRACEPARENT) => {
                    parents += 1;
                    traceparent = Some(value);
                }
                Some(b'x' | b'X') if is(name, TOKEN) => token = Some(value),
                Some(b'x' | b'X') if is(name, UPLOAD) => upload = Announced::read(value),
                Some(b'x' | b'X') => behaviour |= behaviour::is_asked_by(name),
                _ => {}
            }
        }
        let traceparent = traceparent.filter(|value| parents == 1 && is_traceparent(value));
        Self { traceparent, behaviour, token, upload }
    }

    /// The trace-id.
    pub(super) fn trace(&self) -> Option<&'a [u8]> {
        self.traceparent.map(|value| &value[3..35])
    }
}

/// Whether a name is this one, which is in lower case as nearly all are on the wire.
#[inline]
fn is(name: &[u8], known: &str) -> bool {
    name == known.as_bytes() || name.eq_ignore_ascii_case(known.as_bytes())
}

/// Whether a value is one of Trace Context (section 3.2.2): version, trace-id, parent-id and flags. Versions to come
/// may add to it after one more hyphen (section 3.2.3).
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let Some((known, more)) = value.split_at_checked(55) else { return false };
    let (version, trace, parent, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let hyphens = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
    let follows = more.is_empty() || version != b"00" && more[0] == b'-';
    let parts = hex(version) && hex(trace) && hex(parent) && hex(flags);
    hyphens && parts && follows && version != b"ff" && !zero(trace) && !zero(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn valid_traceparents_are_distinguished_from_invalid_ones() {
        for valid in [
            VALID,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
        ] {
            assert!(is_traceparent(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert!(!is_traceparent(invalid.as_bytes()), "{invalid}");
        }
    }

    #[test]
    fn a_trace_is_found_in_any_case_and_only_if_there_is_one() {
        let among = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            HeaderFlags::among(fields)
        };
        let found = among(&[("te", "trailers"), ("TraceParent", VALID), ("tracestate", "a=b")]);
        assert_eq!(found.traceparent, Some(VALID.as_bytes()));
        assert_eq!(found.trace(), Some(&b"4bf92f3577b34da6a3ce929d0e0e4736"[..]));
        assert_eq!(among(&[("traceparent", VALID), ("traceparent", VALID)]), HeaderFlags::default());
        assert_eq!(among(&[("traceparent", "00-x")]), HeaderFlags::default());
        assert_eq!(among(&[("accept", "*/*")]).trace(), None);
        assert!(among(&[("accept", "*/*"), ("X-Dummy-Delay", "1s")]).behaviour);
        assert!(!among(&[("x-dumb", "1s"), ("x-request-id", "1")]).behaviour);
    }
}
