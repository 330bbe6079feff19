//! `--once`: one request and everything that came in reply, printed.

use clap::Parser as _;
use loadgen::cli::{Args, Exit, command};

use crate::{
    frames::{DATA, END_STREAM, frame, head, serve_http2},
    peer::serve_http1,
};

/// What `--once` prints before the times, which must be there, and how it exits.
fn printed(line: &str) -> (String, Exit) {
    let mut out = Vec::new();
    let words = ["loadgen", "--once", "--request-id-header", ""].into_iter().chain(line.split_whitespace());
    let exit = command(&Args::try_parse_from(words).unwrap(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let (before, times) = text.rsplit_once("wait ").unwrap_or_else(|| panic!("{text}"));
    assert!(times.contains(", service ") && times.ends_with('\n'), "{text}");
    (before.to_owned(), exit)
}

/// What follows the request, which ends with an empty line.
fn reply(printed: &str) -> &str {
    printed.split_once("\n\n").unwrap().1
}

#[test]
fn informational_replies_and_trailers_of_http1_are_printed_in_their_places() {
    let peer = serve_http1(|_| {
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
          HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
          2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 7\r\nx-more: 8\r\n\r\n"
            .to_vec()
    });
    let (text, exit) = printed(&format!("http://{}", peer.address));
    let expected = "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: </a>\n\n\
                    HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nhello\n\nX-Sum: 7\nx-more: 8\n\n";
    assert_eq!((reply(&text), exit), (expected, Exit::Done));
}

#[test]
fn informational_replies_and_trailers_of_http2_are_printed_in_their_places() {
    let peer = serve_http2(&[], |_, wire| {
        let stream = wire.request()?;
        let frames = [
            head(stream, 0, &[(":status", "103"), ("link", "</a>")]),
            head(stream, 0, &[(":status", "200"), ("x-one", "1")]),
            frame(DATA, 0, stream, b"hel"),
            frame(DATA, 0, stream, b"lo"),
            head(stream, END_STREAM, &[("grpc-status", "0")]),
        ];
        std::io::Write::write_all(&mut wire.0, &frames.concat())?;
        wire.request().map(drop)
    });
    let (text, exit) = printed(&peer.address.to_string());
    let expected = "HTTP/2 103 Early Hints\nlink: </a>\n\nHTTP/2 200 OK\nx-one: 1\n\nhello\n\n\
                    grpc-status: 0\n\n";
    assert_eq!((reply(&text), exit), (expected, Exit::Done));
}

#[test]
fn a_truncated_reply_is_printed_with_the_reason() {
    let peer = serve_http1(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf!close".to_vec());
    let (text, exit) = printed(&format!("http://{}", peer.address));
    let expected = format!(
        "HTTP/1.1 200 OK\nContent-Length: 9\n\nhalf\n\n\
         closed early: the server closed the connection before the reply was complete, from {}\n",
        peer.address
    );
    assert_eq!((reply(&text), exit), (&*expected, Exit::Failed));
}

#[test]
fn informational_replies_without_end_are_counted_and_not_kept() {
    const INTERIM: usize = 2000;
    let peer = serve_http1(|_| {
        let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "a".repeat(500));
        format!("{}HTTP/1.1 204 No Content\r\n\r\n", hint.repeat(INTERIM)).into_bytes()
    });
    let (text, _) = printed(&format!("http://{}", peer.address));
    let shown = text.matches("103 Early Hints").count();
    assert!((1..INTERIM).contains(&shown), "{shown}");
    let more = INTERIM - shown;
    let more = format!("\n[{},{:03} more informational responses]\n\nHTTP/1.1 204", more / 1000, more % 1000);
    assert!(text.contains(&more), "{shown} shown, and then {}", &text[text.len() - 200..]);
}
