//! What the fields of a head say about its body and its connection. The roles decide whether that is acceptable.

use crate::{Version, head::is_token_byte};

/// Gathered field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) length: Length,
    pub(crate) codings: Codings,
    pub(crate) host: Host,
    pub(crate) expect: Expect,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_field: bool,
}

/// Content-Length (RFC 9110 section 8.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Length {
    #[default]
    Absent,
    Is(u64),
    /// Some value is not a number, or one that is too large.
    Invalid,
    /// There are several values, which are not the same.
    Differ,
}

/// Transfer-Encoding (RFC 9112 section 6.1): all codings of all its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Codings {
    /// There is such a field, though it may list nothing.
    pub(crate) present: bool,
    pub(crate) chunked_last: bool,
    pub(crate) chunked_twice: bool,
    /// One that is not chunked.
    pub(crate) other: bool,
    chunked: bool,
}

/// Host (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Host {
    #[default]
    Absent,
    Valid,
    Invalid,
    Several,
}

/// Expect (RFC 9110 section 10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expect {
    #[default]
    Nothing,
    Continue,
    Other,
}

impl Facts {
    /// Takes in a field. The length of its name sorts out nearly all fields before a comparison.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.host = match self.host {
                    Host::Absent if is_host(value) => Host::Valid,
                    Host::Absent => Host::Invalid,
                    _ => Host::Several,
                };
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.add_expectations(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade_field = true,
            10 if name.eq_ignore_ascii_case(b"connection") => self.add_options(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.length = self.length.and(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.codings.add(value),
            _ => {}
        }
    }

    /// Whether a field of this name may say anything here.
    pub(crate) fn looks_at(name: &[u8]) -> bool {
        matches!(name.len(), 4 | 6 | 7 | 10 | 14 | 17)
            && [&b"host"[..], b"expect", b"upgrade", b"connection", b"content-length", b"transfer-encoding"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
    }

    fn add_options(&mut self, value: &[u8]) {
        for option in members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade_option |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn add_expectations(&mut self, value: &[u8]) {
        for expectation in members(value) {
            self.expect = match self.expect {
                Expect::Other => Expect::Other,
                _ if expectation.eq_ignore_ascii_case(b"100-continue") => Expect::Continue,
                _ => Expect::Other,
            };
        }
    }

    /// Whether the connection is to last (RFC 9112 section 9.3): close wins over everything.
    pub(crate) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// Whether an upgrade to another protocol is requested. HTTP/1.0 cannot (RFC 9110 section 7.8).
    pub(crate) fn upgrades(&self, version: Version) -> bool {
        version == Version::Http11 && self.upgrade_option && self.upgrade_field
    }
}

impl Length {
    /// What it is when another field says `value`. A list of equal numbers counts as one (RFC 9110 section 8.6),
    /// for that is what a recipient may have made of duplicates on the way.
    fn and(self, value: &[u8]) -> Self {
        value.split(|byte| *byte == b',').fold(self, |length, member| match (length, decimal(member)) {
            (Self::Absent, Some(number)) => Self::Is(number),
            (Self::Is(known), Some(number)) if known == number => length,
            (Self::Is(_), Some(_)) => Self::Differ,
            (Self::Absent | Self::Is(_), None) => Self::Invalid,
            (Self::Invalid | Self::Differ, _) => length,
        })
    }
}

impl Codings {
    fn add(&mut self, value: &[u8]) {
        self.present = true;
        for coding in members(value) {
            // Section 7.1: chunked has no parameters, so this is all it can be.
            self.chunked_last = coding.eq_ignore_ascii_case(b"chunked");
            self.chunked_twice |= self.chunked && self.chunked_last;
            self.chunked |= self.chunked_last;
            self.other |= !self.chunked_last;
        }
    }
}

/// The members of a list (RFC 9110 section 5.6.1), without the empty ones.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

fn decimal(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether it is a host and perhaps a port (RFC 9110 section 7.2, RFC 3986 section 3.2). It may be empty: a
/// client whose target has no authority sends it so.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (host_is_good, port) = if let [b'[', rest @ ..] = value {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
        let (address, port) = rest.split_at(end);
        let good = address.iter().all(|byte| is_name_byte(*byte) || *byte == b':');
        (good && !address.is_empty(), &port[1..])
    } else {
        let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
        let (name, port) = value.split_at(end);
        (name.iter().all(|byte| is_name_byte(*byte)), port)
    };
    let port_is_good = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_good && port_is_good
}

/// Whether a byte may be in a registered name, escapes included (RFC 3986 section 3.2.2).
fn is_name_byte(byte: u8) -> bool {
    match byte {
        b'(' | b')' | b',' | b';' | b'=' => true,
        b'#' | b'^' | b'`' | b'|' => false,
        _ => is_token_byte(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(fields: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (name, value) in fields {
            facts.add(name.as_bytes(), value.as_bytes());
        }
        facts
    }

    #[test]
    fn equal_content_lengths_count_as_one() {
        for (values, expected) in [
            (&["5"][..], Length::Is(5)),
            (&["5", "5"], Length::Is(5)),
            (&["5, 5 ,5"], Length::Is(5)),
            (&["18446744073709551615"], Length::Is(u64::MAX)),
            (&["0005"], Length::Is(5)),
            (&["5", "6"], Length::Differ),
            (&["5,6"], Length::Differ),
            (&["5", "6", "x"], Length::Differ),
            (&["18446744073709551616"], Length::Invalid),
            (&["99999999999999999999999"], Length::Invalid),
            (&[""], Length::Invalid),
            (&["5,"], Length::Invalid),
            (&["+5"], Length::Invalid),
            (&["-5"], Length::Invalid),
            (&["5 5"], Length::Invalid),
            (&["0x5"], Length::Invalid),
            (&["5.0"], Length::Invalid),
            (&["x", "5"], Length::Invalid),
            (&[], Length::Absent),
        ] {
            let fields: Vec<_> = values.iter().map(|value| ("Content-Length", *value)).collect();
            assert_eq!(facts(&fields).length, expected, "{values:?}");
        }
    }

    #[test]
    fn transfer_codings_are_combined_over_all_fields() {
        for (values, last, twice, other) in [
            (&["chunked"][..], true, false, false),
            (&["Chunked"], true, false, false),
            (&[", chunked ,"], true, false, false),
            (&["gzip, chunked"], true, false, true),
            (&["gzip", "chunked"], true, false, true),
            (&["chunked", "gzip"], false, false, true),
            (&["chunked, chunked"], true, true, false),
            (&["chunked", "x", "chunked"], true, true, true),
            (&["chunked;a=b"], false, false, true),
            (&["x;a=\",chunked\""], false, false, true),
            (&["xchunked"], false, false, true),
            (&["chunke"], false, false, true),
            (&["chunked \x0b"], false, false, true),
            (&[""], false, false, false),
        ] {
            let fields: Vec<_> = values.iter().map(|value| ("transfer-ENCODING", *value)).collect();
            let codings = facts(&fields).codings;
            let seen = (codings.present, codings.chunked_last, codings.chunked_twice, codings.other);
            assert_eq!(seen, (true, last, twice, other), "{values:?}");
        }
        assert!(!facts(&[("TE", "chunked")]).codings.present);
    }

    #[test]
    fn close_wins_and_http10_needs_keep_alive() {
        for (values, persists_10, persists_11) in [
            (&[][..], false, true),
            (&["keep-alive"], true, true),
            (&["Keep-Alive, x"], true, true),
            (&["x", "CLOSE"], false, false),
            (&["close, keep-alive"], false, false),
            (&["keep-alive", "close"], false, false),
            (&["closed"], false, true),
        ] {
            let fields: Vec<_> = values.iter().map(|value| ("Connection", *value)).collect();
            let facts = facts(&fields);
            let seen = (facts.persists(Version::Http10), facts.persists(Version::Http11));
            assert_eq!(seen, (persists_10, persists_11), "{values:?}");
        }
    }

    #[test]
    fn an_upgrade_needs_both_fields_and_http11() {
        let both = facts(&[("Connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert!(both.upgrades(Version::Http11) && !both.upgrades(Version::Http10));
        assert!(!facts(&[("Connection", "upgrade")]).upgrades(Version::Http11));
        assert!(!facts(&[("Upgrade", "websocket")]).upgrades(Version::Http11));
    }

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_port() {
        for host in
            ["", "a", "a.b:80", "a:", "127.0.0.1:1", "[::1]", "[::1]:80", "[v1.a:b]", "a_b%20~", "a,b"]
        {
            assert_eq!(facts(&[("Host", host)]).host, Host::Valid, "{host}");
        }
        for host in [
            "a b", "a/b", "a@b", "a?b", "a#b", "a:80x", "a:b:80", "[::1", "[]", "[::1]x", "::1", "a\\b", "é",
            "<a>", "a|b", "\"a\"", "[a/b]", "a]", "{a}", "a^b", "a`b",
        ] {
            assert_eq!(facts(&[("Host", host)]).host, Host::Invalid, "{host}");
        }
        assert_eq!(facts(&[("Host", "a"), ("host", "a")]).host, Host::Several);
        assert_eq!(facts(&[("x-host", "a")]).host, Host::Absent);
    }

    #[test]
    fn any_unknown_expectation_makes_expect_other() {
        assert_eq!(facts(&[("Expect", "100-Continue")]).expect, Expect::Continue);
        assert_eq!(facts(&[("Expect", "")]).expect, Expect::Nothing);
        assert_eq!(facts(&[("Expect", "x, 100-continue")]).expect, Expect::Other);
        assert_eq!(facts(&[("Expect", "100-continue"), ("expect", "x")]).expect, Expect::Other);
    }
}
