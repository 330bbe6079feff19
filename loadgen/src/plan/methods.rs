//! A method and the types of its messages, as descriptors say: JSON to the bytes that are sent, and back.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use command_line::Refusal;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use grpc::message::{Limits, Reader, append};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};
use serde_json::value::RawValue;

use super::{PlanError, call::Encoding};

/// The service of the method that is called where none is given.
pub(super) const ECHO: &str = "echo.EchoService";

/// What is sent to it where no message is given.
const ECHO_MESSAGE: &str = r#"{"message":"hello"}"#;

/// The maximum number of fields, services or methods that a message lists.
const MAX_LISTED: usize = 12;

/// The longest message of a reply that is shown, in bytes, also where it comes compressed.
const MAX_SHOWN: usize = 16 << 20;

/// The same of all messages of a reply.
const MAX_SHOWN_TOGETHER: usize = 64 << 20;

/// The maximum number of messages of a reply that are shown.
const MAX_MESSAGES_SHOWN: usize = 10_000;

/// What kind of method is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodShape {
    /// One message, one response.
    Unary,
    /// A stream of messages, one response.
    ClientStream,
    /// One message, a stream of responses.
    ServerStream,
    /// A stream of messages, a stream of responses.
    BidiStream,
    /// Any: its types are not known.
    Unknown,
}

impl MethodShape {
    /// Whether it may take more than one message.
    pub(crate) fn takes_many(self) -> bool {
        matches!(self, Self::ClientStream | Self::BidiStream | Self::Unknown)
    }

    /// Whether an OK has exactly one message.
    pub(crate) fn gives_one(self) -> bool {
        matches!(self, Self::Unary | Self::ClientStream)
    }

    /// As reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ClientStream => "client stream",
            Self::ServerStream => "server stream",
            Self::BidiStream => "bidi stream",
            Self::Unknown => "raw message",
        }
    }
}

/// A method whose types are known.
#[derive(Clone, Debug)]
pub(super) struct Method(MethodDescriptor);

/// What this program knows without asking: the methods of dummy-server.
pub(crate) fn known() -> DescriptorPool {
    // They are compiled in.
    DescriptorPool::decode(contract::FILE_DESCRIPTOR_SET).unwrap_or_default()
}

impl Method {
    /// In a pool, whose types are those of `source`.
    pub(super) fn find(
        pool: &DescriptorPool,
        service: &str,
        method: &str,
        source: &str,
    ) -> Result<Self, PlanError> {
        let Some(found) = pool.get_service_by_name(service) else {
            let others = pool.services().map(|service| service.full_name().to_owned());
            let first = pool.services().find_map(|service| service.methods().next());
            return Err(no_service(service, source, others, first.as_ref().map(|method| method.name())));
        };
        let named = found.methods().find(|candidate| candidate.name() == method);
        named.map(Self).ok_or_else(|| {
            let names: Vec<_> = found.methods().map(|method| method.name().to_owned()).collect();
            let example = format!("/{service}/{}", names.first().map_or("Method", String::as_str));
            let shown = format!("no method '{method}' of {service} in {source}");
            PlanError(Refusal::new(shown, listed(names.into_iter()), example))
        })
    }

    /// The name with those of its service and package.
    pub(super) fn full_name(&self) -> &str {
        self.0.full_name()
    }

    pub(super) fn shape(&self) -> MethodShape {
        match (self.0.is_client_streaming(), self.0.is_server_streaming()) {
            (false, false) => MethodShape::Unary,
            (true, false) => MethodShape::ClientStream,
            (false, true) => MethodShape::ServerStream,
            (true, true) => MethodShape::BidiStream,
        }
    }

    /// Messages as bytes, and as people read them: one in JSON, or for a stream a list of them. Without any given, one whose
    /// fields have their defaults.
    pub(super) fn messages(&self, given: Option<&[u8]>) -> Result<(Vec<Vec<u8>>, String), PlanError> {
        let default = if self.0.parent_service().full_name() == ECHO { ECHO_MESSAGE } else { "{}" };
        let json = given.unwrap_or(default.as_bytes());
        let messages = self.read_all(json).map_err(|why| self.refused(&why))?;
        let shown = messages.iter().map(|message| in_json(message) + "\n").collect();
        Ok((messages.iter().map(DynamicMessage::encode_to_vec).collect(), shown))
    }

    /// The bytes of messages in JSON.
    pub(super) fn encode(&self, json: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        Ok(self.read_all(json)?.iter().map(DynamicMessage::encode_to_vec).collect())
    }

    fn read_all(&self, json: &[u8]) -> Result<Vec<DynamicMessage>, String> {
        let list = if self.shape().takes_many() {
            serde_json::from_slice::<Vec<&RawValue>>(json).ok()
        } else {
            None
        };
        let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(vec![self.read(json)?]) };
        let place =
            |number: usize| if list.len() > 1 { format!("message {number}: ") } else { String::new() };
        let read = |(number, part): (usize, &&RawValue)| {
            self.read(part.get().as_bytes()).map_err(|why| format!("{}{why}", place(number)))
        };
        (1..).zip(&list).map(read).collect()
    }

    fn read(&self, json: &[u8]) -> Result<DynamicMessage, String> {
        let mut from = serde_json::Deserializer::from_slice(json);
        let message = DynamicMessage::deserialize(self.0.input(), &mut from);
        message.and_then(|message| from.end().map(|()| message)).map_err(|error| error.to_string())
    }

    pub(super) fn refused(&self, why: &str) -> PlanError {
        let input = self.0.input();
        let fields = listed(input.fields().map(|field| format!("{} ({})", field.name(), type_of(&field))));
        let accepted = match input.fields().len() {
            0 => "{}, as it has no fields".to_owned(),
            _ => format!("JSON with any of the fields {fields}"),
        };
        let example = format!("--body='{}'", example(&input));
        PlanError(
            Refusal::new(format!("invalid message {}", input.full_name()), accepted, example).because(why),
        )
    }
}

/// `source` has other services; `method` is one of the first of them, if known.
pub(crate) fn no_service(
    service: &str,
    source: &str,
    others: impl Iterator<Item = String>,
    method: Option<&str>,
) -> PlanError {
    let others: Vec<_> = others.collect();
    let example = others.first().map_or("pkg.Service", String::as_str);
    let method = method.unwrap_or("<method>");
    let example = format!("grpc://localhost:8080/{example}/{method}");
    let accepted = if others.is_empty() {
        "nothing: there are no services".to_owned()
    } else {
        listed(others.into_iter())
    };
    PlanError(Refusal::new(format!("no service '{service}' in {source}"), accepted, example))
}

/// Names with commas, not too many.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    let mut text = names.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_LISTED {
        text.push_str(&format!(" and {} more", names.len() - MAX_LISTED));
    }
    text
}

/// A field's type as `.proto` files have it.
fn type_of(field: &FieldDescriptor) -> String {
    let one = |kind: &Kind| match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_ascii_lowercase(),
    };
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            format!("map<{}, {}>", one(&key.kind()), one(&value.kind()))
        }
        kind if field.is_list() => format!("repeated {}", one(&kind)),
        kind => one(&kind),
    }
}

/// A message in JSON, with one field if there is an easy one.
fn example(of: &MessageDescriptor) -> String {
    let easy = of.fields().filter(|field| !field.is_list() && !field.is_map()).find_map(|field| {
        let value = match field.kind() {
            Kind::String => "\"hello\"",
            Kind::Bool => "true",
            Kind::Message(_) | Kind::Enum(_) | Kind::Bytes => return None,
            _ => "1",
        };
        Some(format!("{{\"{}\":{value}}}", field.json_name()))
    });
    easy.unwrap_or_else(|| "{}".to_owned())
}

fn in_json(message: &DynamicMessage) -> String {
    serde_json::to_string(message).unwrap_or_else(|error| format!("[a message that has no JSON: {error}]"))
}

/// A message with its prefix, as it is sent.
pub(super) fn framed(content: &[u8], encoding: Encoding) -> Bytes {
    let mut out = Vec::new();
    append(&mut out, encoding == Encoding::Gzip, |out| match encoding {
        Encoding::Identity => out.extend_from_slice(content),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::default());
            // Into memory: it can't fail.
            let _ = encoder.write_all(content).and_then(|()| encoder.try_finish());
        }
    });
    out.into()
}

/// The messages of a body with their prefixes, as far as they are complete, and not too many.
pub(crate) fn contents(body: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(Limits { message: MAX_SHOWN, compressed: true });
    reader.push(Bytes::copy_from_slice(body));
    let (mut found, mut left) = (Vec::new(), MAX_SHOWN_TOGETHER);
    while found.len() < MAX_MESSAGES_SHOWN
        && left > 0
        && let Ok(Some(message)) = reader.take()
    {
        let mut content = Vec::new();
        if message.compressed {
            let most = left.min(MAX_SHOWN) as u64;
            let read = GzDecoder::new(&message.content[..]).take(most).read_to_end(&mut content);
            if read.is_err() {
                break;
            }
        } else {
            content.extend_from_slice(&message.content);
        }
        left = left.saturating_sub(content.len());
        found.push(content);
    }
    found
}

/// The same as people read them.
pub(super) fn shown(method: Option<&Method>, body: &[u8]) -> Vec<String> {
    let shown = |content: Vec<u8>| {
        let bytes = format!("[a message of {} bytes]", content.len());
        let Some(method) = method else { return bytes };
        DynamicMessage::decode(method.0.output(), &content[..]).map_or(bytes, |message| in_json(&message))
    };
    contents(body).into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(service: &str, name: &str) -> Method {
        Method::find(&known(), service, name, "this program").unwrap()
    }

    const TEST: &str = "dummy.v1.TestService";

    #[test]
    fn json_becomes_the_message() {
        let (messages, shown) = method(ECHO, "Echo").messages(None).unwrap();
        assert_eq!(messages, [b"\x0a\x05hello"]);
        assert_eq!(shown, "{\"message\":\"hello\"}\n");
        let given = br#" {"message": "hi", "timestamp": "7", "responseCode": 14} "#;
        assert_eq!(method(ECHO, "Echo").messages(Some(given)).unwrap().0, [b"\x0a\x02hi\x10\x07\x18\x0e"]);
        assert_eq!(method(TEST, "Unary").messages(None).unwrap().0, [b""]);
        let (messages, _) =
            method(TEST, "BidiStream").messages(Some(b"[{\"payload\":\"AAE=\"},{}]")).unwrap();
        assert_eq!(messages, [&b"\x0a\x02\0\x01"[..], b""]);
    }

    #[test]
    fn json_of_another_form_is_refused_with_the_place_and_what_is_accepted() {
        for (name, json, said) in [
            ("Unary", "{\"x\":1}", "unrecognized field name 'x' at line 1 column 4"),
            ("Unary", "{\"payload\":1}", "line 1 column 12"),
            ("Unary", "hello", "expected value at line 1 column 1"),
            ("Unary", "{} {}", "trailing characters at line 1 column 4"),
            ("Unary", "[{}]", "line 1 column"),
            ("Unary", "", "EOF"),
            ("ClientStream", "[{},{\"x\":1}]", "message 2: unrecognized field name 'x'"),
        ] {
            let error = method(TEST, name).messages(Some(json.as_bytes())).unwrap_err().to_string();
            assert!(error.starts_with("invalid message dummy.v1.TestRequest: "), "{error}");
            assert!(error.contains(said), "{name} {json}: {error}");
            let accepted = "; accepted: JSON with any of the fields payload (bytes), plan (dummy.v1.Plan); example: --body='{}'";
            assert!(error.ends_with(accepted), "{error}");
        }
        let error = method(ECHO, "Echo").messages(Some(b"{")).unwrap_err().to_string();
        assert!(
            error.contains("message (string), timestamp (int64)")
                && error.ends_with("--body='{\"message\":\"hello\"}'"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let find = |service, name| Method::find(&known(), service, name, "x").unwrap_err().to_string();
        let error = find(TEST, "unary");
        assert!(
            error.contains("no method 'unary' of dummy.v1.TestService in x; accepted: Unary, ClientStream"),
            "{error}"
        );
        let error = find("echo.Echo", "Echo");
        assert!(error.contains("no service 'echo.Echo' in x; accepted: ") && error.contains(ECHO), "{error}");
    }

    #[test]
    fn messages_are_read_back_also_compressed_ones() {
        let method = method(ECHO, "Echo");
        let content = b"\x0a\x02hi";
        let body = [framed(content, Encoding::Identity), framed(content, Encoding::Gzip)].concat();
        assert_eq!(shown(Some(&method), &body), ["{\"message\":\"hi\"}"; 2]);
        assert_eq!(shown(Some(&method), &body[..12]), ["{\"message\":\"hi\"}"], "the second one is cut");
        assert_eq!(shown(None, &body[..9]), ["[a message of 4 bytes]"]);
        assert_eq!(body[9], 1, "announced as compressed");
        assert_eq!(shown(Some(&method), b"\0\0\0\0\x01\xff"), ["[a message of 1 bytes]"]);
    }
}
