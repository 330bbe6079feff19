//! How a figure is held against a value: `<`, `<=`, `>` or `>=`. What a figure is, is known elsewhere.

/// One of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Comparator {
    /// What stands before the first sign, which sign it is, and what stands behind it, both without spaces around.
    pub(crate) fn split(text: &str) -> Option<(&str, Self, &str)> {
        let (figure, rest) = text.split_at(text.find(['<', '>'])?);
        [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Below), (">", Self::Above)]
            .into_iter()
            .find_map(|(sign, comparison)| Some((figure.trim(), comparison, rest.strip_prefix(sign)?.trim())))
    }

    /// Whether the value is an upper bound.
    pub(crate) fn is_upper(self) -> bool {
        matches!(self, Self::Below | Self::AtMost)
    }

    pub(crate) fn holds(self, found: f64, value: f64) -> bool {
        match self {
            Self::Below => found < value,
            Self::AtMost => found <= value,
            Self::Above => found > value,
            Self::AtLeast => found >= value,
        }
    }
}
