//! PROXY headers: what is said of a header does not depend on how much of what follows has arrived, nor is anything said
//! too early.

use transport::proxy_protocol::{MAX_HEADER, Parsed, parse};

use crate::feedback::met;

/// Words that headers are made of.
pub const WORDS: &[&[u8]] = &[
    b"PROXY ",
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
    b"TCP6 ::1 ::2 65535 0\r\n",
    b"UNKNOWN",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    &[0x21, 0x21, 0, 36],
    &[0x21, 0x31, 0, 216],
    &[3, 0, 4, 0, 0, 0, 0],
    &[0x20, 0, 9, 7, 0, 0, 0, 0, 0x21, 0, 1, b'x'],
    &[4, 0, 0],
    &[5, 0, 2, 0, 255],
];

/// The input is what a connection begins with.
pub fn run(input: &[u8]) {
    let whole = parse(input);
    // Where little is left out the beginnings are many: each of the first, then some.
    for end in (0..input.len()).filter(|end| *end < 300 || end % 101 == 0) {
        let early = parse(&input[..end]);
        assert!(early == Ok(Parsed::Incomplete) || early == whole, "{end}: {early:?} and then {whole:?}");
    }
    match whole {
        Ok(Parsed::Header(header, length)) => {
            assert!(length <= input.len() && length <= MAX_HEADER);
            assert_eq!(parse(&input[..length]), Ok(Parsed::Header(header.clone(), length)));
            assert!(length == 0 || parse(&input[..length - 1]) == Ok(Parsed::Incomplete));
            let names: Vec<_> = header.tlvs.iter().map(|tlv| tlv.name).collect();
            met((header.version as u8, header.command as u8, header.endpoints.is_some(), names));
        }
        Ok(Parsed::Incomplete) => {
            assert!(input.len() < MAX_HEADER);
            met("incomplete");
        }
        Ok(Parsed::Absent) => met("absent"),
        Err(error) => met(error.to_string()),
    }
}
