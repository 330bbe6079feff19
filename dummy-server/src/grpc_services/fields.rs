//! The fields of a call that say how it is carried, read in one pass.

use grpc::timeout::TIMEOUT;
use tonic::Status;

use super::status::unknown_coding;
use crate::message::Head;

const CONTENT_TYPE: &str = "content-type";
const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The fields that say how a call is carried: the first value of each name, as received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallFields<'h> {
    /// Empty where there is none.
    pub(super) content_type: &'h [u8],
    pub(super) timeout: Option<&'h [u8]>,
    /// How the messages of the request are compressed.
    encoding: Option<&'h [u8]>,
    /// The client takes responses in gzip.
    pub(super) accepts_gzip: bool,
}

impl<'h> CallFields<'h> {
    /// Reads those of a request.
    pub(super) fn of(head: &Head<'h>) -> Self {
        let (mut found, mut content_type) = (Self::default(), None);
        for (name, value) in head.fields.iter_from(head.pseudo) {
            // Few names are that long, and most of those are these.
            let place = match name.len() {
                12 if name.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()) => &mut content_type,
                12 if name.eq_ignore_ascii_case(TIMEOUT.as_bytes()) => &mut found.timeout,
                13 if name.eq_ignore_ascii_case(ENCODING.as_bytes()) => &mut found.encoding,
                20 if name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_bytes()) => {
                    found.accepts_gzip |= lists_gzip(value);
                    continue;
                }
                _ => continue,
            };
            place.get_or_insert(value);
        }
        found.content_type = content_type.unwrap_or_default();
        found
    }

    /// Whether messages may be compressed with gzip; the status of a call whose messages nobody here can read.
    pub(super) fn is_compressed(&self) -> Result<bool, Status> {
        match self.encoding {
            None | Some(b"identity") => Ok(false),
            Some(b"gzip") => Ok(true),
            Some(other) => Err(unknown_coding(other)),
        }
    }
}

fn lists_gzip(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"gzip"))
}
