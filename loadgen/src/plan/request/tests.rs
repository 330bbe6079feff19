//! What is accepted as a request, and what goes out.

use clap::Parser as _;
use contract::id::Ids;

use super::*;
use crate::{cli::Args, plan::Plan};

fn request(args: &[&str]) -> Result<Request, String> {
    let words = ["loadgen", "http://a:8080/x"].iter().chain(args);
    let plan = Plan::try_from(&Args::try_parse_from(words).unwrap());
    plan.map(|plan| plan.request).map_err(|error| error.to_string())
}

fn text(template: &Template) -> &str {
    std::str::from_utf8(template.bytes()).unwrap()
}

#[test]
fn the_bytes_of_a_request_differ_in_the_id_alone() {
    let mut template = request(&["-b", "hi", "-H", "Accept: */*", "-H", "a:1", "-H", "a:2"]).unwrap().http1();
    template.set_id(&Ids { run: 0xabc, load: 0 }.of(255, 0).text());
    assert_eq!(
        text(&template),
        concat!(
            "POST /x HTTP/1.1\r\nhost: a:8080\r\nAccept: */*\r\na: 1\r\na: 2\r\n",
            "user-agent: loadgen/0.1.0\r\ncontent-length: 2\r\n",
            "x-request-id: 00000abc-00-00000000000000ff-00\r\n\r\nhi"
        )
    );
}

#[test]
fn an_empty_name_sends_no_id() {
    let mut template = request(&["--request-id-header", "", "-H", "user-agent: me"]).unwrap().http1();
    template.set_id(&Ids { run: 1, load: 0 }.of(1, 0).text());
    assert_eq!(text(&template), "GET /x HTTP/1.1\r\nhost: a:8080\r\nuser-agent: me\r\n\r\n");
}

#[test]
fn the_host_field_is_the_authority() {
    let request = request(&["-H", "Host: b.example", "--http2"]).unwrap();
    assert_eq!(request.http2().get(":authority"), Some(&b"b.example"[..]));
    assert_eq!(request.http2().get(":path"), Some(&b"/x"[..]));
    assert!(!request.http2().contains("host"));
}

#[test]
fn fields_go_out_as_typed_over_http1_and_in_lower_case_over_http2() {
    let typed = ["X-B: 1", "a:2", "x-b:  3 ", "HoSt: b.example", "X-b:", "User-Agent: Me", "x-ü: ü"];
    let args: Vec<_> = typed[..6].iter().flat_map(|field| ["-H", field]).collect();
    let args = [&args[..], &["--request-id-header", ""]].concat();
    assert_eq!(
        text(&request(&args).unwrap().http1()),
        concat!(
            "GET /x HTTP/1.1\r\nX-B: 1\r\na: 2\r\nx-b: 3\r\nHoSt: b.example\r\nX-b: \r\n",
            "User-Agent: Me\r\n\r\n"
        )
    );
    let fields = request(&[&args[..], &["--http2"]].concat()).unwrap().http2();
    let shown: Vec<_> =
        fields.iter().map(|(name, value)| [name, value].map(String::from_utf8_lossy).join("=")).collect();
    assert_eq!(
        shown,
        [
            ":method=GET",
            ":scheme=http",
            ":authority=b.example",
            ":path=/x",
            "x-b=1",
            "a=2",
            "x-b=3",
            "x-b=",
            "user-agent=Me",
        ]
    );
    assert!(request(&["-H", typed[6]]).unwrap_err().contains("the name is not a token"));
    let value = request(&["-H", "x: ü"]).unwrap().http1();
    assert!(text(&value).contains("\r\nx: ü\r\n"));
}

#[test]
fn an_empty_body_is_a_body() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = empty.path().to_str().unwrap();
    for (args, method, length) in [
        (&[][..], "GET", None),
        (&["-b", ""], "POST", Some("0")),
        (&["--body-file", path], "POST", Some("0")),
        (&["-X", "GET", "-b", ""], "GET", Some("0")),
        (&["-X", "POST"], "POST", Some("0")),
        (&["-X", "DELETE"], "DELETE", None),
        (&["-b", "hi"], "POST", Some("2")),
    ] {
        let request = request(args).unwrap();
        assert_eq!(request.method, method, "{args:?}");
        let line = length.map(|length| format!("\r\ncontent-length: {length}\r\n"));
        let template = request.http1();
        assert_eq!(text(&template).contains("content-length"), length.is_some(), "{args:?}");
        assert!(line.is_none_or(|line| text(&template).contains(&line)), "{args:?}");
        assert_eq!(request.http2().get("content-length"), length.map(str::as_bytes), "{args:?}");
    }
}

#[test]
fn fields_that_would_make_the_connection_unreadable_are_refused() {
    for (args, said) in [
        (vec!["-H", "nonsense"], "in the form 'name: value'"),
        (vec!["-H", "a b: c"], "in the form 'name: value'"),
        (vec!["-H", "Content-Length: 5"], "content-length' for --header: with HTTP/1.1 it is set as needed"),
        (vec!["-H", "Transfer-Encoding: chunked"], "transfer-encoding"),
        (vec!["--http2", "-H", "Connection: close"], "connection"),
        (vec!["--http2", "-H", "TE: gzip"], "te: trailers"),
        (vec!["--http2", "-H", "te: trailers", "-H", "te: gzip"], "te: trailers"),
        (vec!["--request-id-header", "Host"], "example: --request-id-header=x-request-id"),
        (vec!["--request-id-header", "te"], "example: --request-id-header=x-request-id"),
        (vec!["--request-id-header", "content-length"], "example: --request-id-header=x-request-id"),
        (vec!["--request-id-header", "connection"], "example: --request-id-header=x-request-id"),
        (vec!["--request-id-header", "upgrade"], "example: --request-id-header=x-request-id"),
        (vec!["--request-id-header", "transfer-encoding"], "example: --request-id-header=x-request-id"),
        (vec!["-H", "Host: a", "-H", "host: a"], "'Host: a' for --header: there is another Host field"),
        (vec!["-H", "Host: a", "-H", "HOST: b", "--http2"], "there is another Host field"),
        (vec!["-H", "Host: me@a"], "a user name is not part of it"),
        (vec!["--http2", "-H", "Host: me:secret@a"], "a user name is not part of it"),
        (vec!["-H", "Host: a:99999"], "its port is not a number from 1 to 65535"),
        (vec!["-H", "Host: a:0"], "its port is not a number from 1 to 65535"),
        (vec!["-H", "Host: a b"], "'Host: a b' for --header: it is not a host"),
        (vec!["-H", "X-Request-ID: mine"], "'' for no id"),
        (vec!["-H", "trace: mine", "--request-id-header", "Trace"], "'' for no id"),
        (vec!["-X", "CONNECT"], "for --method; accepted: a method"),
        (vec!["-X", "a b"], "for --method; accepted: a method"),
        (vec!["--request-id-header", "a b"], "for --request-id-header; accepted: the name"),
        (vec!["--body-file", "/nonexistent/file"], "'/nonexistent/file' for --body-file: No such file"),
    ] {
        assert!(request(&args).unwrap_err().contains(said), "{args:?}");
    }
    for args in [
        &["-H", "Connection: close"][..],
        &["-H", "te: gzip"],
        &["--http2", "-H", "TE: Trailers"],
        &["-H", "x-request-id: mine", "--request-id-header", "trace"],
        &["-H", "x-request-id: mine", "--request-id-header", ""],
    ] {
        assert!(request(args).is_ok(), "{args:?}");
    }
}

#[test]
fn no_field_is_beside_the_id_in_its_name() {
    let template = request(&["--request-id-header", "user-agent"]).unwrap().http1();
    assert_eq!(text(&template).matches("user-agent").count(), 1);
}

#[test]
fn an_endless_body_is_read_no_further_than_the_limit() {
    assert_eq!(read_at_most(10, io::repeat(b'a')).unwrap(), None);
    assert_eq!(read_at_most(10, io::repeat(b'a').take(10)).unwrap(), Some(Bytes::from_static(b"aaaaaaaaaa")));
}
