//! The examples of RFC 7541, appendix C.

use super::{decoded, reason};
use crate::hpack::Decoder;

/// Headers of one kind, in a row, on one connection.
struct Example {
    section: &'static str,
    /// The size of the table, if it is not the initial one.
    size: Option<[u8; 3]>,
    blocks: &'static [(&'static str, &'static [(&'static str, &'static str)])],
}

/// A size of 256 bytes.
const SMALL: Option<[u8; 3]> = Some([0x3f, 0xe1, 0x01]);

type List = &'static [(&'static str, &'static str)];

const REQUEST_1: List =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const REQUEST_2: List = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
    ("cache-control", "no-cache"),
];
const REQUEST_3: List = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];
const RESPONSE_1: List = &[
    (":status", "302"),
    ("cache-control", "private"),
    ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
    ("location", "https://www.example.com"),
];
const RESPONSE_2: List = &[
    (":status", "307"),
    ("cache-control", "private"),
    ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
    ("location", "https://www.example.com"),
];
const RESPONSE_3: List = &[
    (":status", "200"),
    ("cache-control", "private"),
    ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
    ("location", "https://www.example.com"),
    ("content-encoding", "gzip"),
    ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
];

const EXAMPLES: &[Example] = &[
    Example {
        section: "C.2.1",
        size: None,
        blocks: &[(
            "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
            &[("custom-key", "custom-header")],
        )],
    },
    Example {
        section: "C.2.2",
        size: None,
        blocks: &[("040c2f73616d706c652f70617468", &[(":path", "/sample/path")])],
    },
    Example {
        section: "C.2.3",
        size: None,
        blocks: &[("100870617373776f726406736563726574", &[("password", "secret")])],
    },
    Example { section: "C.2.4", size: None, blocks: &[("82", &[(":method", "GET")])] },
    Example {
        section: "C.3",
        size: None,
        blocks: &[
            ("828684410f7777772e6578616d706c652e636f6d", REQUEST_1),
            ("828684be58086e6f2d6361636865", REQUEST_2),
            ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", REQUEST_3),
        ],
    },
    Example {
        section: "C.4",
        size: None,
        blocks: &[
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", REQUEST_1),
            ("828684be5886a8eb10649cbf", REQUEST_2),
            ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", REQUEST_3),
        ],
    },
    Example {
        section: "C.5",
        size: SMALL,
        blocks: &[
            (
                "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e\
                 1768747470733a2f2f7777772e6578616d706c652e636f6d",
                RESPONSE_1,
            ),
            ("4803333037c1c0bf", RESPONSE_2),
            (
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d\
                 4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572\
                 73696f6e3d31",
                RESPONSE_3,
            ),
        ],
    },
    Example {
        section: "C.6",
        size: SMALL,
        blocks: &[
            (
                "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b\
                 97c8e9ae82ae43d3",
                RESPONSE_1,
            ),
            ("4883640effc1c0bf", RESPONSE_2),
            (
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf\
                 cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
                RESPONSE_3,
            ),
        ],
    },
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn rfc_7541_examples_are_decoded() {
    for example in EXAMPLES {
        let mut decoder = Decoder::new(4096);
        if let Some(size) = example.size {
            assert_eq!(reason(&mut decoder, &size), "none");
        }
        for (block, list) in example.blocks {
            let fields = decoded(&mut decoder, &bytes(block)).unwrap();
            let fields: Vec<(String, String)> = fields
                .into_iter()
                .map(|(name, value)| (String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap()))
                .collect();
            let expected: Vec<(String, String)> =
                list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            assert_eq!(fields, expected, "{}", example.section);
        }
    }
}

#[test]
fn the_table_evicts_its_oldest_entries_as_in_rfc_7541() {
    for example in EXAMPLES.iter().filter(|example| example.size.is_some()) {
        let mut decoder = Decoder::new(4096);
        assert_eq!(reason(&mut decoder, &example.size.unwrap()), "none");
        let mut left = Vec::new();
        for (block, _) in example.blocks {
            decoded(&mut decoder, &bytes(block)).unwrap();
            let entries = (62..).take_while(|index| reason(&mut decoder, &[0x80 | index]) == "none");
            left.push(entries.count());
        }
        assert_eq!(left, [4, 4, 3], "{}", example.section);
    }
}
