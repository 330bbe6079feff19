//! What people write who know curl: credentials and `@file` as ways to say header fields and bodies, and a word about
//! letters that mean another thing here.

use std::{ffi::OsString, io::Read as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use command_line::Refusal;

use crate::plan::PlanError;

/// The longest token that is read from a file, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// What `--compressed` asks for.
pub(super) const COMPRESSED: &str = "accept-encoding: gzip, deflate, br, zstd";

/// `--user`: the field with the client's credentials (RFC 7617).
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
    if token.contains('\n') {
        return Err(refused("it has more than one line".to_owned()));
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused("it holds no token".to_owned()));
    }
    Ok(format!("authorization: Bearer {token}"))
}

/// Where a body comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyArgument<'a> {
    Text(&'a str),
    File(&'a Path),
}

/// `--body`: `@file` is the file, `@@text` is `@text`.
pub(super) fn body(text: &str) -> BodyArgument<'_> {
    match text.strip_prefix('@') {
        None => BodyArgument::Text(text),
        Some(rest) if rest.starts_with('@') => BodyArgument::Text(rest),
        Some(path) => BodyArgument::File(Path::new(path)),
    }
}

/// What was typed after a letter.
fn after<'w>(words: &'w [OsString], letter: &str) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(index, word)| match word.to_str()?.strip_prefix(letter)? {
        "" => words.get(index + 1).and_then(|word| word.to_str()),
        joined => Some(joined),
    })
}

/// What a body is that was typed after `-b` and looks like curl's cookies, which the request is sent without.
pub(super) fn curl_cookies(words: &[OsString], is_file: impl Fn(&Path) -> bool) -> Option<String> {
    let text = after(words, "-b")?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_of_value = |c: char| c.is_ascii_graphic() && !"&\"'{}[]<>;,=@".contains(c);
    let is_cookie = |pair: &str| {
        let pair = pair.split_once('=');
        pair.is_some_and(|(name, value)| {
            let value = value.trim_end_matches('=');
            !name.is_empty() && name.chars().all(is_of_name) && value.chars().all(is_of_value)
        })
    };
    if text.split("; ").all(is_cookie) {
        return Some(format!("-b {text} is the request's body; curl's -b is -H 'Cookie: {text}' here"));
    }
    let is_name = !text.is_empty() && !text.starts_with('@') && !text.contains('\n');
    (is_name && is_file(Path::new(text))).then(|| {
        format!(
            "-b {text} is the request's body, and not the file, which is -b @{text}; curl's -b is -H 'Cookie: ...' here"
        )
    })
}

/// Whether `-m` was typed with a whole number, as curl's may be.
pub(super) fn has_whole_m(words: &[OsString]) -> bool {
    after(words, "-m").is_some_and(|value| value.parse::<u64>().is_ok())
}

/// What a letter of curl's is here, if what was typed after it looks like curl's.
pub(super) fn curl_letter(words: &[OsString]) -> Option<&'static str> {
    let after = |letter: &str| after(words, letter);
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
        for token in ["", "\n", "a b", "ü"] {
            assert!(read(token).unwrap_err().contains("it holds no token"), "{token}");
        }
        assert!(read("a\nb\n").unwrap_err().contains("it has more than one line"));
        assert!(bearer(Path::new("/nonexistent")).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn a_body_may_be_that_of_a_file() {
        assert_eq!(body("x@y"), BodyArgument::Text("x@y"));
        assert_eq!(body(""), BodyArgument::Text(""));
        assert_eq!(body("@x"), BodyArgument::File(Path::new("x")));
        assert_eq!(body("@@x"), BodyArgument::Text("@x"));
        assert_eq!(body("@"), BodyArgument::File(Path::new("")));
    }

    #[test]
    fn a_body_that_looks_like_cookies_of_curl_is_reported() {
        let said = |text: &str| {
            let words = ["loadgen", "-b", text, "http://a"].map(OsString::from);
            curl_cookies(&words, |path| path == Path::new("cookies.txt"))
        };
        for text in ["session=abc", "a=1; b=2", "token=aGk=", "a="] {
            let expected = format!("-b {text} is the request's body; curl's -b is -H 'Cookie: {text}' here");
            assert_eq!(said(text), Some(expected));
        }
        assert!(
            said("cookies.txt").unwrap().contains("which is -b @cookies.txt; curl's -b is -H 'Cookie: ...'")
        );
        for text in [
            "",
            "hello",
            "a=1&b=2",
            "{\"a\": 1}",
            "@cookies.txt",
            "other.txt",
            "a b=1",
            "=1",
            "n={{seq}}",
            "a=1;b",
        ] {
            assert_eq!(said(text), None, "{text}");
        }
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(curl_cookies(&words("-ba=1 http://a"), |_| false).is_some());
        assert_eq!(curl_cookies(&words("--body a=1 --bind b=1"), |_| false), None);
        assert!(has_whole_m(&words("-m 30 http://a")) && has_whole_m(&words("-m30")));
        assert!(!has_whole_m(&words("--streams 30 -m 10s")) && !has_whole_m(&words("a:1")));
    }

    #[test]
    fn letters_that_mean_something_else_are_reported_when_their_values_look_like_it() {
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
