//! The words for true and false, in whichever case: one reader for flags, queries and fields.

/// What to write.
pub(crate) const ACCEPTED: &str = "true or false";

/// Reads a word.
pub(crate) fn read(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&["true", "1", "yes", "on", "t"]) {
        Some(true)
    } else if is_one_of(&["false", "0", "no", "off", "f"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_a_word_does_not_matter() {
        for text in ["true", "TRUE", "True", "1", "yes", "YES", "on", "On", "t", "T"] {
            assert_eq!(read(text), Some(true), "{text}");
        }
        for text in ["false", "FALSE", "False", "0", "no", "No", "off", "OFF", "f", "F"] {
            assert_eq!(read(text), Some(false), "{text}");
        }
        for text in ["", "maybe", "2", "truee", " true"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
