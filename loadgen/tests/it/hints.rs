//! What the program says of words that are valid, or nearly, and mean another thing than who types them may think.

use crate::mix::loadgen;

#[test]
fn what_looks_like_curls_cookies_or_longest_time_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let cookies = folder.path().join("cookies.txt");
    std::fs::write(&cookies, "x").unwrap();
    let cookies = cookies.to_str().unwrap();
    for (words, said) in [
        (&["-b", "session=abc", "http://a:1"][..], "curl's -b is -H 'Cookie: session=abc' here"),
        (&["-b", cookies, "http://a:1"], "and not the file, which is -b @"),
        (&["-m", "30", "http://a:1"], "no effect over HTTP/1.1; curl's -m is --timeout here"),
        (&["-m30", "--http1.1", "https://a:1"], "curl's -m is --timeout here"),
    ] {
        let (code, out, err) = loadgen(&[&["--check"], words].concat());
        assert!(code == Some(0) && err.contains(said), "{words:?}: {out}{err}");
    }
    for words in [
        &["-b", "a=1&b=2", "http://a:1"][..],
        &["-X", "PUT", "-b", "session=abc", "http://a:1"],
        &["-H", "Content-Type: text/plain", "-b", "session=abc", "http://a:1"],
        &["--body", "session=abc", "http://a:1"],
        &["-m", "30", "a:1"],
        &["-m", "30", "https://a:1"],
        &["--streams", "30", "http://a:1"],
    ] {
        let (code, out, err) = loadgen(&[&["--check"], words].concat());
        assert!(code == Some(0) && err.is_empty(), "{words:?}: {out}{err}");
    }
}
