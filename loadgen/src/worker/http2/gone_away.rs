//! What a server says when it takes no more streams.

use http2::Code;

use crate::outcome::{Cause, Failure};

/// How many bytes are kept of what a server says.
const MOST_SAID: usize = 200;

/// A GOAWAY of a server (RFC 9113 section 6.8).
#[derive(Clone, Debug)]
pub(crate) struct GoneAway {
    code: Code,
    /// Its debug data, which has no prescribed form: mostly a few words.
    said: Box<[u8]>,
}

impl GoneAway {
    /// Of what has come.
    pub(crate) fn new(code: Code, debug: &[u8]) -> Self {
        Self { code, said: debug[..debug.len().min(MOST_SAID)].into() }
    }

    /// Whether it is for an error, rather than because the server ends.
    pub(crate) fn is_error(&self) -> bool {
        self.code != Code::NO_ERROR
    }

    /// What happens to a request because of it.
    pub(crate) fn failure(&self) -> Failure {
        let Self { code, said } = self;
        let said = match &**said {
            [] => String::new(),
            said => format!(", \"{}\"", said.escape_ascii()),
        };
        Failure::new(Cause::GoAway(code.0), format!("the server went away: {code}{said}"))
    }
}

impl Default for GoneAway {
    /// None has come: the connection has ended without.
    fn default() -> Self {
        Self::new(Code::NO_ERROR, b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_shown_as_far_as_a_line_can_show_it() {
        for (code, debug, expected) in [
            (Code::NO_ERROR, &b""[..], "the server went away: NO_ERROR"),
            (
                Code::ENHANCE_YOUR_CALM,
                b"too_many_pings",
                "the server went away: ENHANCE_YOUR_CALM, \"too_many_pings\"",
            ),
            (Code(0x77), b"a\r\n\"\xff", "the server went away: 0x77, \"a\\r\\n\\\"\\xff\""),
        ] {
            let gone = GoneAway::new(code, debug);
            assert_eq!(gone.failure().message, expected);
            assert_eq!(gone.is_error(), code != Code::NO_ERROR);
        }
        let long = GoneAway::new(Code::NO_ERROR, &[b'z'; 9000]).failure().message;
        assert_eq!(long.matches('z').count(), MOST_SAID);
    }
}
