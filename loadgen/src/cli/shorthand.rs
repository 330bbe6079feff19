//! What people write who come from curl: credentials and `@file` as ways to say header fields and bodies, and a word about
//! letters that mean another thing here.

use std::{ffi::OsString, io::Read as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use command_line::Refusal;

use crate::plan::PlanError;

/// The longest token that is read from a file, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// What `--compressed` asks for.
pub(super) const COMPRESSED: &str = "accept-encoding: gzip, deflate, br, zstd";

/// `--user`: the field that shows who asks (RFC 7617).
pub(super) fn basic(user: &str) -> Result<String, PlanError> {
    let is_printable = !user.contains(char::is_control);
    if !user.contains(':') || !is_printable {
        let refusal = Refusal::new(
            "invalid value for --user",
            "name:password, without control characters",
            "--user=me:secret",
        );
        return Err(PlanError(refusal));
    }
    Ok(format!("authorization: Basic {}", BASE64.encode(user)))
}

/// `--bearer-file`: the field with the token that the file holds (RFC 6750 section 2.1).
pub(super) fn bearer(path: &Path) -> Result<String, PlanError> {
    let refused = |why: String| {
        let accepted = "the path of a readable file with a token of one line and at most 64K";
        PlanError(Refusal::of_value("bearer-file", path.display(), accepted, "token.txt").because(why))
    };
    let mut token = String::new();
    let file = runtime::files::open(path).map_err(|error| refused(error.to_string()))?;
    file.take(MAX_TOKEN + 1).read_to_string(&mut token).map_err(|error| refused(error.to_string()))?;
    let token = token.trim();
    if token.len() as u64 > MAX_TOKEN {
        return Err(refused("it has more than 64K".to_owned()));
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused("it holds no token".to_owned()));
    }
    Ok(format!("authorization: Bearer {token}"))
}

/// Where a body comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Text(&'a str),
    File(&'a Path),
}

/// `--body`: `@file` is the file, `@@text` is `@text`.
pub(super) fn body(text: &str) -> Body<'_> {
    match text.strip_prefix('@') {
        None => Body::Text(text),
        Some(rest) if rest.starts_with('@') => Body::Text(rest),
        Some(path) => Body::File(Path::new(path)),
    }
}

/// What a letter of curl's is here, if what was typed after it looks like curl's.
pub(super) fn curl_letter(words: &[OsString]) -> Option<&'static str> {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let after = |letter: &str| {
        words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(letter)? {
            "" => words.get(index + 1).copied(),
            joined => Some(joined),
        })
    };
    let is_data = |value: &str| value.starts_with(['{', '[', '@', '"']) || value.contains('=');
    let is_time = |value: &str| value.ends_with(|c: char| c.is_ascii_alphabetic()) || value.contains('.');
    let is_user = |value: &str| {
        let port = value.rsplit_once(':').map(|(_, port)| port);
        !value.contains('/') && port.is_some_and(|port| port.parse::<u16>().is_err())
    };
    if after("-d").is_some_and(is_data) {
        Some("curl's -d is --body here")
    } else if after("-m").is_some_and(is_time) {
        Some("curl's -m is --timeout here")
    } else if after("-u").is_some_and(is_user) {
        Some("curl's -u is --user here")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn credentials_become_a_field() {
        assert_eq!(basic("me:secret").unwrap(), "authorization: Basic bWU6c2VjcmV0");
        assert_eq!(basic(":").unwrap(), "authorization: Basic Og==");
        for user in ["", "me", "me:sec\nret"] {
            let said = basic(user).unwrap_err().to_string();
            assert!(said.contains("name:password") && !said.contains("sec\n"), "{said}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |token: &str| {
            fs::write(&path, token).unwrap();
            bearer(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read("abc\n").unwrap(), "authorization: Bearer abc");
        assert!(read(&"x".repeat(64 << 10)).is_ok());
        assert!(read(&"x".repeat((64 << 10) + 1)).unwrap_err().contains("more than 64K"));
        for token in ["", "\n", "a b", "a\nb", "ü"] {
            assert!(read(token).unwrap_err().contains("it holds no token"), "{token}");
        }
        assert!(bearer(Path::new("/nonexistent")).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn a_body_may_be_that_of_a_file() {
        assert_eq!(body("x@y"), Body::Text("x@y"));
        assert_eq!(body(""), Body::Text(""));
        assert_eq!(body("@x"), Body::File(Path::new("x")));
        assert_eq!(body("@@x"), Body::Text("@x"));
        assert_eq!(body("@"), Body::File(Path::new("")));
    }

    #[test]
    fn letters_that_mean_another_thing_are_told_when_their_values_look_like_it() {
        for (line, said) in [
            ("-d {\"a\":1} http://a", Some("curl's -d is --body here")),
            ("-da=1 http://a", Some("curl's -d is --body here")),
            ("-d @file", Some("curl's -d is --body here")),
            ("-d 10s http://a", None),
            ("-m 10s http://a", Some("curl's -m is --timeout here")),
            ("-m 2.5", Some("curl's -m is --timeout here")),
            ("-m 10", None),
            ("-u me:secret http://a", Some("curl's -u is --user here")),
            ("-u http://a:x", None),
            ("-u a:80", None),
            ("a:1", None),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(curl_letter(&words), said, "{line}");
        }
    }
}
