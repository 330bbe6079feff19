//! Headers of both versions, whole and byte by byte.

use std::iter;

use super::*;

/// Parses bytes of which more and more come: nothing is said too early, and the same in the end.
fn parse_split(bytes: &[u8]) -> Result<Parsed, Error> {
    let whole = parse(bytes);
    for end in 0..bytes.len() {
        match (parse(&bytes[..end]), &whole) {
            (Ok(Parsed::Incomplete), _) => {}
            // What comes behind a header changes nothing.
            (early @ Ok(Parsed::Header(_, length)), _) => assert!(length <= end && early == whole, "{end}"),
            (early, _) => assert_eq!(early, whole, "after {end} bytes"),
        }
    }
    whole
}

fn header(bytes: &[u8]) -> Header {
    match parse_split(bytes) {
        Ok(Parsed::Header(header, length)) => {
            assert_eq!(length, bytes.len());
            let longer = [bytes, b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse_split(&longer), Ok(Parsed::Header(header.clone(), length)));
            *header
        }
        other => panic!("{other:?}"),
    }
}

fn ip(text: &str) -> Endpoint {
    Endpoint::Ip(text.parse().unwrap())
}

/// A header of version 2, whose command, family and transport are bytes 13 and 14.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [version2::SIGNATURE, &[0x20 | command, family], &length, block].concat()
}

const IPV4: [u8; 12] = [10, 1, 2, 3, 10, 4, 5, 6, 0xdc, 0x04, 0x01, 0xbb];

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

#[test]
fn lines_of_version_1_are_read() {
    // The longest and shortest examples of section 2.1 among them.
    for (line, endpoints) in [
        (
            "TCP4 255.255.255.255 255.255.255.255 65535 65535",
            Some(("255.255.255.255:65535", "255.255.255.255:65535")),
        ),
        ("TCP4 10.0.0.1 10.0.0.2 0 443", Some(("10.0.0.1:0", "10.0.0.2:443"))),
        ("TCP6 ::1 2001:db8::2 56324 8443", Some(("[::1]:56324", "[2001:db8::2]:8443"))),
        ("UNKNOWN", None),
        ("UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", None),
    ] {
        let header = header(format!("PROXY {line}\r\n").as_bytes());
        assert_eq!((header.version, header.command), (HeaderVersion::V1, Command::Proxy));
        assert_eq!(header.endpoints, endpoints.map(|(source, destination)| (ip(source), ip(destination))));
        assert!(header.tlvs.is_empty());
    }
}

#[test]
fn lines_that_break_the_rules_are_refused() {
    for line in [
        "TCP4",
        "TCP4 10.0.0.1 10.0.0.2 1",
        "TCP4 10.0.0.1 10.0.0.2 1 2 3",
        "TCP4 10.0.0.1  10.0.0.2 1 2",
        "TCP4 10.0.0.1 10.0.0.2 1 2 ",
        "TCP4 10.0.0.1 10.0.0.2 01 2",
        "TCP4 10.0.0.1 10.0.0.2 +1 2",
        "TCP4 10.0.0.1 10.0.0.2 65536 2",
        "TCP4 10.0.0.1 10.0.0.2 -1 2",
        "TCP4 10.0.0.1 10.0.0.2  2",
        "TCP4 10.0.0.256 10.0.0.2 1 2",
        "TCP4 010.0.0.1 10.0.0.2 1 2",
        "TCP4 ::1 ::2 1 2",
        "TCP6 10.0.0.1 10.0.0.2 1 2",
        "TCP6 [::1] [::2] 1 2",
        "UDP4 10.0.0.1 10.0.0.2 1 2",
        "tcp4 10.0.0.1 10.0.0.2 1 2",
        "UNKNOWNS",
        " TCP4 10.0.0.1 10.0.0.2 1 2",
    ] {
        let parsed = parse_split(format!("PROXY {line}\r\n").as_bytes());
        assert!(matches!(parsed, Err(Error::Malformed(_))), "{line:?}: {parsed:?}");
    }
    assert!(matches!(parse(b"PROXY \xff\xfe\r\n"), Err(Error::Malformed(_))));
    // A line feed alone ends no line.
    assert_eq!(parse(b"PROXY UNKNOWN\nGET / HTTP/1.1\n"), Ok(Parsed::Incomplete));
    let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 91], b"\r\n".to_vec()].concat();
    assert_eq!(long.len(), version1::MAX_LINE);
    header(&long);
    let longer = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 92], b"\r\n".to_vec()].concat();
    assert_eq!(parse_split(&longer), Err(Error::TooLong));
}

#[test]
fn every_family_of_version_2_is_read() {
    let read = header(&binary(1, 0x11, &IPV4));
    assert_eq!((read.version, read.command), (HeaderVersion::V2, Command::Proxy));
    assert_eq!(read.endpoints, Some((ip("10.1.2.3:56324"), ip("10.4.5.6:443"))));
    let ipv6: Vec<u8> = (0..36).collect();
    let both =
        (ip("[1:203:405:607:809:a0b:c0d:e0f]:8225"), ip("[1011:1213:1415:1617:1819:1a1b:1c1d:1e1f]:8739"));
    assert_eq!(header(&binary(1, 0x21, &ipv6)).endpoints, Some(both));
    let mut unix = [0; 216];
    unix[..8].copy_from_slice(b"/tmp/sun");
    unix[109..113].copy_from_slice(b"abst");
    let both = (Endpoint::Unix("/tmp/sun".into()), Endpoint::Unix("@abst".into()));
    assert_eq!(header(&binary(1, 0x31, &unix)).endpoints, Some(both));
    // A path may fill its field, and may be none.
    let full = [[b'x'; 108], [0; 108]].concat();
    let both = (Endpoint::Unix("x".repeat(108).into()), Endpoint::Unix("".into()));
    assert_eq!(header(&binary(1, 0x31, &full)).endpoints, Some(both));
    // Nobody knows; and a datagram's addresses are addresses too.
    assert_eq!(header(&binary(1, 0x00, &[])).endpoints, None);
    assert!(header(&binary(1, 0x12, &IPV4)).endpoints.is_some());
}

#[test]
fn a_local_header_is_skipped_whatever_it_holds() {
    let wrong_sum = [&IPV4[..], &tlv(0x03, &[1, 2, 3, 4])].concat();
    for (family, block) in [
        (0x00, &b""[..]),
        (0x11, &IPV4),
        (0x11, &IPV4[..5]),
        (0x11, &wrong_sum),
        (0x00, b"no TLV"),
        (0xf0, b"an address of a family that is not known"),
        (0x1f, b"a transport that is not known"),
        (0x31, &[b'x'; 1000]),
    ] {
        let local = header(&binary(0, family, block));
        assert_eq!((local.command, local.endpoints, local.tlvs), (Command::Local, None, Vec::new()));
    }
    let longest = binary(0, 0xff, &vec![0; MAX_HEADER - 16]);
    assert!(matches!(parse(&longest), Ok(Parsed::Header(_, MAX_HEADER))));
    assert_eq!(parse(&binary(0, 0xff, &vec![0; MAX_HEADER - 15])), Err(Error::TooLong));
}

#[test]
fn unsupported_families_and_transports_are_refused_early() {
    for (byte, expected) in [
        (0x41, Error::Unsupported("address family", 4)),
        (0xf0, Error::Unsupported("address family", 15)),
        (0x13, Error::Unsupported("transport", 3)),
        (0x0f, Error::Unsupported("transport", 15)),
    ] {
        let bytes = binary(1, byte, &IPV4);
        assert_eq!(parse_split(&bytes), Err(expected));
        assert_eq!(parse(&bytes[..16]), Err(expected));
    }
}

#[test]
fn mapped_addresses_are_read_as_ipv4() {
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3];
    let block = [&mapped[..], &mapped, &IPV4[8..]].concat();
    let expected = Some((ip("10.1.2.3:56324"), ip("10.1.2.3:443")));
    assert_eq!(header(&binary(1, 0x21, &block)).endpoints, expected);
    let line = b"PROXY TCP6 ::ffff:10.1.2.3 ::ffff:10.1.2.3 56324 443\r\n";
    assert_eq!(header(line).endpoints, expected);
}

#[test]
fn tlvs_are_read_in_order_and_by_name() {
    let inner = [tlv(0x21, b"TLSv1.3"), tlv(0x22, b"client"), tlv(0x99, b"?")].concat();
    let ssl = [&[0b111][..], &7u32.to_be_bytes(), &inner].concat();
    let tlvs = [
        tlv(0x01, b"h2"),
        tlv(0x02, b"dummy.test"),
        tlv(NOOP, b"padding"),
        tlv(0x20, &ssl),
        tlv(0x30, b"blue"),
        tlv(0xea, b"\x01vpce-1"),
        tlv(0x77, b""),
        tlv(0x05, &[0, 255]),
    ]
    .concat();
    let read = header(&binary(1, 0x11, &[&IPV4[..], &tlvs].concat())).tlvs;
    let bytes = |value: &[u8]| Value::Bytes(value.into());
    let inner = [
        (0x21, Some("SSL_VERSION"), bytes(b"TLSv1.3")),
        (0x22, Some("SSL_CN"), bytes(b"client")),
        (0x99, None, bytes(b"?")),
    ];
    let ssl = Ssl {
        tls: true,
        certificate_on_connection: true,
        certificate_in_session: true,
        verify: 7,
        tlvs: inner.map(|(kind, name, value)| Tlv { kind, name, value }).to_vec(),
    };
    let expected = [
        (0x01, Some("ALPN"), bytes(b"h2")),
        (0x02, Some("AUTHORITY"), bytes(b"dummy.test")),
        (0x20, Some("SSL"), Value::Ssl(Box::new(ssl))),
        (0x30, Some("NETNS"), bytes(b"blue")),
        (0xea, Some("AWS"), bytes(b"\x01vpce-1")),
        (0x77, None, bytes(b"")),
        (0x05, Some("UNIQUE_ID"), bytes(&[0, 255])),
    ];
    assert_eq!(read, expected.map(|(kind, name, value)| Tlv { kind, name, value }));
}

const NOOP: u8 = 0x04;

#[test]
fn the_checksum_is_that_of_the_whole_header() {
    let block = [&IPV4[..], &tlv(0x02, b"dummy.test"), &tlv(0x03, &[0; 4]), &tlv(0x01, b"h2")].concat();
    let mut bytes = binary(1, 0x11, &block);
    let place = 16 + 12 + 13 + 3;
    let sum = crc32c_by_bits(&bytes);
    bytes[place..place + 4].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(header(&bytes).tlvs.len(), 3);
    // Without the type of the checksum there is none.
    for index in (16..bytes.len()).filter(|index| *index != place - 3) {
        let mut broken = bytes.clone();
        broken[index] ^= 0x10;
        assert!(parse(&broken).is_err() || parse(&broken) == Ok(Parsed::Incomplete), "byte {index}");
    }
    bytes[place] ^= 1;
    assert_eq!(parse_split(&bytes), Err(Error::Checksum));
}

/// RFC 3720 appendix B.4, bit by bit.
fn crc32c_by_bits(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    let byte =
        |sum: u32, byte: &u8| iter::successors(Some(sum ^ u32::from(*byte)), |sum| Some(step(*sum))).nth(8);
    !bytes.iter().fold(!0, |sum, next| byte(sum, next).unwrap())
}

#[test]
fn binary_headers_that_break_the_rules_are_refused() {
    for (what, bytes) in [
        ("version 1", [version2::SIGNATURE, &[0x11, 0x11, 0, 0]].concat()),
        ("version 3", [version2::SIGNATURE, &[0x31, 0x11, 0, 0]].concat()),
        ("command 2", binary(2, 0x11, &IPV4)),
        ("too short for IPv4", binary(1, 0x11, &IPV4[..11])),
        ("too short for IPv6", binary(1, 0x21, &IPV4)),
        ("too short for paths", binary(1, 0x31, &[b'/'; 215])),
        ("a TLV without a length", binary(1, 0x11, &[&IPV4[..], &[1, 0]].concat())),
        ("a TLV beyond the end", binary(1, 0x11, &[&IPV4[..], &[1, 0, 3, b'h', b'2']].concat())),
        ("a short SSL", binary(1, 0x11, &[&IPV4[..], &tlv(0x20, &[1, 0, 0, 0])].concat())),
        ("a broken TLV in SSL", binary(1, 0x11, &[&IPV4[..], &tlv(0x20, &[1, 0, 0, 0, 0, 9])].concat())),
        ("a short checksum", binary(1, 0x11, &[&IPV4[..], &tlv(0x03, &[0; 3])].concat())),
    ] {
        let parsed = parse_split(&bytes);
        assert!(matches!(parsed, Err(Error::Malformed(_))), "{what}: {parsed:?}");
    }
}

#[test]
fn a_header_over_the_limit_is_refused_by_its_announced_length() {
    let most = MAX_HEADER - 16 - 12 - 3;
    let longest = binary(1, 0x11, &[&IPV4[..], &tlv(0x77, &vec![0; most])].concat());
    assert_eq!(longest.len(), MAX_HEADER);
    assert!(matches!(parse(&longest), Ok(Parsed::Header(_, MAX_HEADER))));
    let longer = binary(1, 0x11, &[&IPV4[..], &tlv(0x77, &vec![0; most + 1])].concat());
    assert_eq!(parse(&longer[..16]), Err(Error::TooLong));
}

#[test]
fn other_first_bytes_mean_no_proxy_header() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PRI * HTTP/2.0\r\n",
        b"PUT / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"proxy ",
        b"\r\n\r\nGET",
    ] {
        assert_eq!(parse_split(bytes), Ok(Parsed::Absent), "{bytes:?}");
    }
    assert_eq!(parse(b""), Ok(Parsed::Incomplete));
}
