//! Heads of sampled requests of verified runs and of their replies, as they were on the wire. All other requests pay for a look
//! at one flag.

use contract::ledger::{KeptFields, RequestHead, Sample};

use super::FieldWriter;
use crate::message::Head;

/// The head of a request, of which only the number is missing.
#[cold]
pub(super) fn request(run: u32, connection: u64, head: &Head<'_>) -> Sample {
    let mut request = RequestHead::new(run, head.method, head.target);
    if let Some((_, authority)) = head.origin.filter(|(_, authority)| !authority.is_empty()) {
        request.fields.push(run, b":authority", authority);
    }
    for (name, value) in head.fields() {
        request.fields.push(run, name, value);
    }
    Sample {
        connection,
        version: head.protocol.name().to_owned(),
        tls: head.peer.is_tls(),
        request,
        ..Sample::default()
    }
}

/// Fields of a reply, kept as they are written; those that concern its connection alone are not among them.
#[derive(Debug)]
pub(super) struct SentFields {
    pub(super) run: u32,
    pub(super) fields: KeptFields,
}

impl FieldWriter for SentFields {
    fn varying(&mut self, name: &str, value: &[u8]) {
        self.fields.push(self.run, name.as_bytes(), value);
    }
}
