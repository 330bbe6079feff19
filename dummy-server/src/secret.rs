//! A value that is neither shown nor compared faster when it is wrong.

use std::fmt;

use subtle::ConstantTimeEq as _;

/// A value that only authorized parties may know.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Whether a guess is right. How long that takes reveals at most the length of the secret.
    #[must_use]
    pub(crate) fn is(&self, guess: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(guess).into()
    }

    /// Whether it can be sent as a bearer token, and is not an accident such as an empty file.
    pub(crate) fn is_token(&self) -> bool {
        (8..=1024).contains(&self.0.len()) && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_equals_itself_and_is_not_shown() {
        let secret = Secret::from("open sesame".to_owned());
        assert!(secret.is(b"open sesame"));
        for guess in ["", "open", "open sesame!", "Open sesame"] {
            assert!(!secret.is(guess.as_bytes()), "{guess}");
        }
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
