//! Which statuses are a success.

use grpc::Code;

/// The statuses that count as success: 2xx, of gRPC calls OK, and those that are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedStatus {
    bits: [u64; WORDS],
    /// Of gRPC calls, a bit for each code.
    codes: u32,
    named: Option<String>,
}

const WORDS: usize = 1000_usize.div_ceil(64);

/// What is accepted, for messages.
const ACCEPTED: &str = "a status from 200 to 599, a class or a range, like 404, 3xx or 400-404, or the name of a gRPC status, like NOT_FOUND; several with commas";

impl Default for ExpectedStatus {
    fn default() -> Self {
        let mut expected = Self::none();
        expected.add(200, 299);
        expected.add_code(Code::Ok);
        expected
    }
}

impl ExpectedStatus {
    /// None at all.
    pub(crate) fn none() -> Self {
        Self { bits: [0; WORDS], codes: 0, named: None }
    }

    /// Those of HTTP alone that are named.
    pub(crate) fn of_replies(text: &str) -> Option<Self> {
        Self::none().with(text).ok().filter(|expected| !expected.names_call())
    }

    /// Those of gRPC calls alone that are named.
    pub(crate) fn of_calls(text: &str) -> Option<Self> {
        Self::none().with(text).ok().filter(|expected| !expected.names_reply())
    }

    /// Of messages on a WebSocket, which have none: 0.
    pub(crate) fn of_messages() -> Self {
        let mut expected = Self::none();
        expected.add(0, 0);
        expected
    }

    /// Whether a reply with this status is a success.
    #[inline]
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        let status = usize::from(status);
        self.bits.get(status / 64).is_some_and(|word| word >> (status % 64) & 1 == 1)
    }

    /// Whether a gRPC call that ended so is a success.
    #[inline]
    #[must_use]
    pub fn contains_code(&self, code: Code) -> bool {
        self.codes >> (code as u32) & 1 == 1
    }

    /// With those that `text` names beside 2xx and OK: `404`, `3xx`, `400-404`, `NOT_FOUND`, several with commas.
    ///
    /// # Errors
    /// What is accepted.
    pub fn with(mut self, text: &str) -> Result<Self, String> {
        for item in text.split(',') {
            if let Some(code) = Code::from_name(item.trim()) {
                self.add_code(code);
                continue;
            }
            let (first, last) = range(item.trim())
                .ok_or_else(|| format!("invalid status '{}'; accepted: {ACCEPTED}", item.escape_debug()))?;
            self.add(first, last);
        }
        self.named = Some(match self.named {
            Some(before) => format!("{before},{text}"),
            None => text.to_owned(),
        });
        Ok(self)
    }

    /// Those beside 2xx and OK, as they were named.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        self.named.as_deref()
    }

    /// Whether a status of gRPC calls is named.
    pub(crate) fn names_call(&self) -> bool {
        self.items().any(|item| Code::from_name(item).is_some())
    }

    /// Whether a status of HTTP is named.
    pub(crate) fn names_reply(&self) -> bool {
        self.items().any(|item| Code::from_name(item).is_none())
    }

    fn items(&self) -> impl Iterator<Item = &str> {
        self.named.iter().flat_map(|named| named.split(',')).map(str::trim)
    }

    fn add_code(&mut self, code: Code) {
        self.codes |= 1 << (code as u32);
    }

    fn add(&mut self, first: u16, last: u16) {
        for status in usize::from(first)..=usize::from(last) {
            self.bits[status / 64] |= 1 << (status % 64);
        }
    }
}

fn range(item: &str) -> Option<(u16, u16)> {
    let status = |text: &str| {
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| is_number && (200..600).contains(status))
    };
    if let Some(class) = item.strip_suffix("xx").or_else(|| item.strip_suffix("XX")) {
        let first = status(&format!("{class}00"))?;
        return Some((first, first + 99));
    }
    let (first, last) = match item.split_once('-') {
        Some((first, last)) => (status(first)?, status(last)?),
        None => (status(item)?, status(item)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_2xx_or_what_is_named() {
        let named = ExpectedStatus::default().with("404, 3xx,500-503").unwrap();
        for (status, by_default, with_those) in [
            (0, false, false),
            (199, false, false),
            (200, true, true),
            (299, true, true),
            (300, false, true),
            (399, false, true),
            (404, false, true),
            (405, false, false),
            (503, false, true),
            (504, false, false),
            (999, false, false),
            (u16::MAX, false, false),
        ] {
            assert_eq!(ExpectedStatus::default().contains(status), by_default, "{status}");
            assert_eq!(named.contains(status), with_those, "{status}");
        }
    }

    #[test]
    fn a_call_succeeds_with_ok_or_what_is_named() {
        let named = ExpectedStatus::default().with("NOT_FOUND, 404,UNAUTHENTICATED").unwrap();
        for (code, by_default, with_those) in [
            (Code::Ok, true, true),
            (Code::Cancelled, false, false),
            (Code::NotFound, false, true),
            (Code::Unauthenticated, false, true),
        ] {
            assert_eq!(ExpectedStatus::default().contains_code(code), by_default, "{code:?}");
            assert_eq!(named.contains_code(code), with_those, "{code:?}");
        }
        assert!(named.contains(404) && named.names_call() && named.names_reply());
        let of = |text: &str| {
            (ExpectedStatus::of_replies(text).is_some(), ExpectedStatus::of_calls(text).is_some())
        };
        assert_eq!(of("404"), (true, false));
        assert_eq!(of("OK,NOT_FOUND"), (false, true));
        assert_eq!(of("NOT_FOUND,404"), (false, false));
        assert!(!ExpectedStatus::of_calls("NOT_FOUND").unwrap().contains_code(Code::Ok));
    }

    #[test]
    fn anything_else_is_answered_with_what_is_accepted() {
        for text in [
            "",
            ",",
            "99",
            "199",
            "1xx",
            "600",
            "6xx",
            "xx",
            "4x",
            "+20",
            "404-400",
            "200-",
            "-",
            "ok",
            "\u{1b}",
            "1xxxx",
            "not_found",
            "NOTFOUND",
            "5",
        ] {
            let error = ExpectedStatus::default().with(text).unwrap_err();
            assert!(error.contains("404, 3xx or 400-404") && !error.contains('\u{1b}'), "{text}: {error}");
        }
    }
}
