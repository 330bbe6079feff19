//! Statuses as they are written and read here and by tonic.

use grpc::{Code, status};
use http::HeaderMap;
use wire::Fields;

const MESSAGES: [&str; 6] =
    ["", "no more", "100% \"#<>`?{}~'", "line\nline\r\t\0\x7f", "grün \u{10ffff}", "%20"];

fn theirs(status: &tonic::Status) -> Vec<(String, Vec<u8>)> {
    let mut headers = HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn ours(code: Code, message: &str, details: &[u8]) -> Fields {
    let mut fields = Fields::new();
    status::write(&mut fields, code, message, details);
    fields
}

#[test]
fn statuses_are_written_as_tonic_writes_them() {
    for code in Code::ALL {
        for message in MESSAGES {
            for details in [&b""[..], b"\0", b"\xff\xfe", b"\x01\x02\x03"] {
                let tonic = tonic::Status::with_details(
                    tonic::Code::from_i32(*code as i32),
                    message,
                    details.to_vec().into(),
                );
                let ours = ours(*code, message, details);
                let ours = ours
                    .iter()
                    .map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec()));
                assert_eq!(ours.collect::<Vec<_>>(), theirs(&tonic));
            }
        }
    }
}

#[test]
fn our_statuses_are_read_by_tonic_and_by_us() {
    for message in MESSAGES {
        let fields = ours(Code::Aborted, message, b"");
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter() {
            headers.append(http::HeaderName::from_bytes(name).unwrap(), value.try_into().unwrap());
        }
        let tonic = tonic::Status::from_header_map(&headers).unwrap();
        let value = fields.get(status::MESSAGE).unwrap_or_default();
        assert_eq!((tonic.code(), tonic.message()), (tonic::Code::Aborted, message));
        assert_eq!(status::decode_message(value), message);
        assert_eq!(fields.get(status::STATUS).and_then(Code::read), Some(Code::Aborted));
    }
}
