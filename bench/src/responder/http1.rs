//! HTTP/1.1 as the responder knows it: a request ends with an empty line.

/// What ends the head of a request (RFC 9112 section 2.1), and here the request.
const END: &[u8; 4] = b"\r\n\r\n";

/// The one reply, with `body`.
pub(super) fn reply(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Counts the empty lines in `bytes`; `matched` carries a part of one over to the next bytes.
pub(super) fn count_ends(bytes: &[u8], matched: &mut usize) -> usize {
    let mut ends = 0;
    // Nearly always one whole request.
    if *matched == 0 && bytes.ends_with(END) && !bytes[..bytes.len() - 4].contains(&b'\r') {
        return 1;
    }
    for &byte in bytes {
        *matched = match byte {
            b if b == END[*matched] => *matched + 1,
            b'\r' => 1,
            _ => 0,
        };
        if *matched == END.len() {
            ends += 1;
            *matched = 0;
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_are_counted_at_any_split() {
        let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\r\n\r\n";
        for size in 1..=text.len() {
            let mut matched = 0;
            let ends: usize = text.chunks(size).map(|piece| count_ends(piece, &mut matched)).sum();
            assert_eq!((ends, matched), (2, 0), "pieces of {size}");
        }
    }
}
