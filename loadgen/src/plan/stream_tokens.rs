//! Messages of streams in verified runs: each carries its token in the field that dummy-server sends back or reads, where that
//! field is left to loadgen.
//!
//! Nothing here knows a call, a stream or a reply.

use bytes::Bytes;
use contract::{
    echo::EchoRequest,
    id::{Id, Ids},
    ledger::{FIRST_OF_STREAMS, STREAM_MESSAGE, stream_message},
    test::TestRequest,
};
use grpc::message::PREFIX;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

use super::{call::Encoding, methods};

/// The maximum number of replies of one call that are numbered.
const MAX_REPLIES: u64 = 1 << 24;

/// The field with the token: `message` of the one service, `payload` of the other.
const FIELD: u32 = 1;

/// The ids of messages of streams of a load.
pub(crate) fn of_streams(ids: Ids) -> Ids {
    Ids { load: ids.load.saturating_add(FIRST_OF_STREAMS), ..ids }
}

/// What replies say of the messages that they answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Each message comes back.
    Echoes,
    /// Each message has a reply with its token.
    Each,
    /// One reply answers all of them.
    Together,
    /// One message is answered by this number of replies, which are numbered.
    Several(u64),
}

/// How messages of streams are numbered: each call has as many numbers as the call with the most messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamNumbers(u64);

impl StreamNumbers {
    /// Of calls with at most this number of messages.
    pub(crate) fn of(most: u64) -> Self {
        Self(most.max(1))
    }

    /// The number of a message by that of its call and its place there, from 0. Beyond all numbers it is the last one.
    pub(crate) fn number(self, call: u64, place: u64) -> u64 {
        call.saturating_mul(self.0).saturating_add(place)
    }

    /// The number of its call, and its place there.
    pub(crate) fn place(self, number: u64) -> (u64, u64) {
        (number / self.0, number % self.0)
    }
}

/// What is sent beside the tokens.
#[derive(Clone, Debug)]
pub(crate) struct StreamMessages {
    /// One for each message, in turn; at least one.
    rests: Vec<Vec<u8>>,
    encoding: Encoding,
    answers: Answers,
}

impl StreamMessages {
    /// Those of this method, by its full name; none where it is not one of the streams that dummy-server has, where the field
    /// for the token is given, or where it is asked for a reply that does not answer each message.
    pub(crate) fn of(path: &str, contents: &[Vec<u8>], encoding: Encoding) -> Option<Self> {
        let is_free = match path {
            "echo.EchoService.StreamEcho" => is_free_echo,
            "dummy.v1.TestService.ClientStream"
            | "dummy.v1.TestService.BidiStream"
            | "dummy.v1.TestService.ServerStream" => is_free_test,
            _ => return None,
        };
        if !contents.iter().all(|content| is_free(content)) {
            return None;
        }
        let replies = contents.first().and_then(|content| replies(content));
        let answers = match path.rsplit('.').next()? {
            "StreamEcho" => Answers::Echoes,
            "ClientStream" => Answers::Together,
            "ServerStream" if replies.is_none_or(|replies| replies <= MAX_REPLIES) => {
                Answers::Several(replies.unwrap_or(1))
            }
            "ServerStream" => return None,
            _ if replies.unwrap_or(1) == 1 => Answers::Each,
            _ => return None,
        };
        Some(Self { rests: contents.to_vec(), encoding, answers })
    }

    /// How many there are before they begin again.
    pub(crate) fn len(&self) -> u64 {
        self.rests.len() as u64
    }

    /// What their replies say.
    pub(crate) fn answers(&self) -> Answers {
        self.answers
    }

    /// The message at this place of its call, which has this id, with its prefix.
    pub(crate) fn framed(&self, index: u64, id: Id) -> Bytes {
        let rest = &self.rests[(index % self.rests.len() as u64) as usize];
        let mut content = Vec::with_capacity(PREFIX + STREAM_MESSAGE + rest.len());
        encode_key(FIELD, WireType::LengthDelimited, &mut content);
        encode_varint(STREAM_MESSAGE as u64, &mut content);
        content.extend_from_slice(&stream_message(id));
        content.extend_from_slice(rest);
        methods::framed(&content, self.encoding)
    }
}

fn is_free_echo(content: &[u8]) -> bool {
    EchoRequest::decode(content).is_ok_and(|request| request.message.is_empty() && request.response_code == 0)
}

fn is_free_test(content: &[u8]) -> bool {
    TestRequest::decode(content).is_ok_and(|request| {
        let plan = request.plan.unwrap_or_default();
        request.payload.is_empty() && !plan.never && plan.status.is_none()
    })
}

/// How many replies a message asks for, if it says so.
fn replies(content: &[u8]) -> Option<u64> {
    TestRequest::decode(content).ok()?.plan?.count
}

#[cfg(test)]
mod tests {
    use contract::ledger::stream_message_id;

    use super::*;

    const ECHO: &str = "echo.EchoService.StreamEcho";
    const TEST: &str = "dummy.v1.TestService";

    fn answers(path: &str, contents: &[&[u8]]) -> Option<Answers> {
        let contents: Vec<_> = contents.iter().map(|content| content.to_vec()).collect();
        StreamMessages::of(path, &contents, Encoding::Identity).map(|messages| messages.answers())
    }

    #[test]
    fn a_message_is_named_by_its_call_and_its_place_there_whatever_their_numbers() {
        for (most, call, place) in
            [(0, 7, 0), (1, u64::MAX, 0), (5, 7, 4), (1_000_000_000, 1 << 34, 999_999_999)]
        {
            let numbers = StreamNumbers::of(most);
            assert_eq!(numbers.place(numbers.number(call, place)), (call, place));
        }
        assert_eq!(StreamNumbers::of(2).number(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn what_leaves_the_field_to_loadgen_gets_a_token_in_it() {
        let id = Id { run: 7, load: 64, number: 5, attempt: 0 };
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            let messages = StreamMessages::of(ECHO, &[vec![0x10, 7], Vec::new()], encoding).unwrap();
            for (index, timestamp) in [(0, 7), (1, 0), (2, 7)] {
                let content = &methods::contents(&messages.framed(index, id))[0];
                let request = EchoRequest::decode(&content[..]).unwrap();
                assert_eq!(stream_message_id(request.message.as_bytes()), Some(id));
                assert_eq!((request.timestamp, request.response_code), (timestamp, 0), "{index}");
            }
        }
    }

    #[test]
    fn what_is_answered_otherwise_or_given_by_the_user_gets_none() {
        assert_eq!(answers(ECHO, &[b""]), Some(Answers::Echoes));
        assert_eq!(answers(ECHO, &[b"", b"\x0a\x01x"]), None, "a message of the user");
        assert_eq!(answers(ECHO, &[b"\x18\x0e"]), None, "a status");
        assert_eq!(answers("echo.EchoService.Echo", &[b""]), None, "one message, proven with its call");
        assert_eq!(answers("a.B.StreamEcho", &[b""]), None);
        let of = |name: &str, contents: &[&[u8]]| answers(&format!("{TEST}.{name}"), contents);
        assert_eq!(of("ClientStream", &[b""]), Some(Answers::Together));
        assert_eq!(of("ServerStream", &[b"\x12\x02\x08\x05"]), Some(Answers::Several(5)));
        assert_eq!(of("BidiStream", &[b"\x12\x02\x10\x05"]), Some(Answers::Each));
        assert_eq!(of("BidiStream", &[b"\x12\x02\x08\x05"]), None, "several replies to each");
        assert_eq!(of("ClientStream", &[b"\x12\x02\x28\x01"]), None, "it never ends");
        assert_eq!(of("Unary", &[b""]), None);
    }
}
