//! Texts with placeholders in path, header field and body: what is accepted is rendered, twice the same, or else a mistake is
//! reported in one line.

use clap::Parser as _;
use loadgen::cli::{Args, command};

use super::text;
use crate::feedback::met;

/// Words that texts are made of.
pub const WORDS: &[&[u8]] = &[
    b"{{",
    b"}}",
    b"{{seq}}",
    b"{{uuid}}",
    b"{{random 1 100}}",
    b"{{random -9223372036854775808 9223372036854775807}}",
    b"{{pick a b}}",
    b"{{pick 'a b' c}}",
    b"{{now}}",
    b"{{now ms}}",
    b"{{row.a}}",
    b"{{'{{'}}",
    b"'",
    b" ",
    b"#",
    b"?",
    b"%",
];

/// Reads an input.
pub fn run(input: &[u8]) {
    let text = text(input);
    // What is in variables is not the text's.
    if text.contains("env") || text.contains('\0') {
        return;
    }
    for version in ["--http1.1", "--http2"] {
        let (target, field) = (format!("http://a/{text}"), format!("x: {text}"));
        let words = ["loadgen", "--print", version, "--body", &text, "--header", &field, "--url", &target];
        let Ok(args) = Args::try_parse_from(words) else { return };
        let (mut one, mut other) = (Vec::new(), Vec::new());
        match command(&args, &mut one) {
            Ok(_) => {
                assert!(command(&args, &mut other).is_ok() && one == other, "{text}");
                met(("rendered", one.len() / 8));
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.lines().count() == 1 && said.contains("; accepted: "), "{said}");
                met(said.chars().filter(|c| !c.is_ascii_digit()).take(40).collect::<String>());
            }
        }
    }
}
