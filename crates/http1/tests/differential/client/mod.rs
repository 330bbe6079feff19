//! Both clients, and what they are given.

mod differences;
mod odd;
mod ours;
mod theirs;

pub(crate) use differences::DIFFERENCES;
use http1::response::Kind;
pub(crate) use odd::ODD;
pub(crate) use ours::ours;
pub(crate) use theirs::theirs;

use crate::{
    script::{Random, body, fields},
    verdict::Parts,
};

/// The requests, and the outcome.
pub(crate) type Exchange = (Kind, Vec<u8>);

pub(crate) fn legal(random: &mut Random) -> (Kind, Vec<u8>) {
    let mut out = Vec::new();
    for _ in 0..random.pick(&[0, 0, 1, 2]) {
        let line = random.pick(&["100 Continue", "103 Early Hints", "102 ", "199"]);
        out.extend_from_slice(format!("HTTP/1.1 {line}\r\n").as_bytes());
        fields(random, &mut out, 2);
        out.extend_from_slice(b"\r\n");
    }
    let kind = random.pick(&[Kind::Usual, Kind::Usual, Kind::Head]);
    let line = random.pick(&["200 OK", "404 Not Found", "500 ", "302", "999 a\tb", "204 x", "304 "]);
    out.extend_from_slice(format!("HTTP/1.1 {line}\r\n").as_bytes());
    fields(random, &mut out, 3);
    if kind == Kind::Head || line.starts_with("204") || line.starts_with("304") {
        out.extend_from_slice(random.pick(&["\r\n", "X: y\r\n\r\n"]).as_bytes());
        if kind == Kind::Head {
            out.splice(out.len() - 2.., *b"Content-Length: 77\r\n\r\n");
        }
    } else {
        body(random, &mut out, true);
    }
    (kind, out)
}

/// What happens to the connection after a response.
fn put_then(message: &mut Parts, lasts: bool) {
    message.insert("then".to_owned(), if lasts { "lasts" } else { "ends" }.to_owned());
}
