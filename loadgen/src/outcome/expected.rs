//! Which statuses are a success.

/// The statuses that count as success: 2xx, and those that are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedStatus {
    bits: [u64; WORDS],
    named: Option<String>,
}

const WORDS: usize = 1000_usize.div_ceil(64);

/// What is accepted, for messages.
const ACCEPTED: &str =
    "a status from 200 to 599, a class or a range, like 404, 3xx or 400-404; several with commas";

impl Default for ExpectedStatus {
    fn default() -> Self {
        let mut expected = Self::none();
        expected.add(200, 299);
        expected
    }
}

impl ExpectedStatus {
    /// None at all.
    pub(crate) fn none() -> Self {
        Self { bits: [0; WORDS], named: None }
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

    /// With those that `text` names beside 2xx: `404`, `3xx`, `400-404`, several with commas.
    ///
    /// # Errors
    /// What is accepted.
    pub fn with(mut self, text: &str) -> Result<Self, String> {
        for item in text.split(',') {
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

    /// Those beside 2xx, as they were named.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        self.named.as_deref()
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
    fn anything_else_is_answered_with_what_is_accepted() {
        for text in [
            "", ",", "99", "199", "1xx", "600", "6xx", "xx", "4x", "+20", "404-400", "200-", "-", "ok",
            "\u{1b}", "1xxxx",
        ] {
            let error = ExpectedStatus::default().with(text).unwrap_err();
            assert!(error.contains("404, 3xx or 400-404") && !error.contains('\u{1b}'), "{text}: {error}");
        }
    }
}
