//! gRPC calls on their streams: which message is sent next and when, and what happens to a reply (gRPC over HTTP/2).
//!
//! Messages are made before the run, or where they have placeholders when their call is due; what comes is counted and not kept. Nothing here knows a frame or a socket.

use std::sync::Arc;

use bytes::Bytes;
use contract::id::Ids;
use grpc::{Code, Counter, status};
use http::header::CONTENT_TYPE;

use super::proof::Proof;
use crate::{
    clock::{Nanos, nanos},
    outcome::{Arrival, CallEnd, Cause, Failure},
    plan::{
        MethodShape, StreamMessages, StreamNumbers, VaryingMessages,
        call::{CallMessages, MessagePace, PreparedCall},
        template::Values,
    },
    recorder::OfStream,
};

/// The maximum number that are kept to be used again.
const MAX_SPARE: usize = 1024;

/// What is the same in all calls of each kind, and the memory of those that have ended.
#[derive(Debug)]
pub(super) struct CallTable {
    /// By the index of their request.
    kinds: Vec<CallKind>,
    /// What is due before is in the warm-up.
    counted_from: Nanos,
    #[expect(clippy::vec_box, reason = "they are taken out as they are")]
    spare: Vec<Box<OnCall>>,
    /// What carries tokens, if anything does.
    streams: Option<Box<StreamNotes>>,
}

/// Messages with tokens.
#[derive(Debug)]
struct StreamNotes {
    numbers: StreamNumbers,
    /// What was found out and is not recorded yet.
    notes: Vec<OfStream>,
}

/// What is the same in all calls of a request.
#[derive(Debug)]
struct CallKind {
    shape: MethodShape,
    /// None where they differ from call to call.
    messages: Vec<Bytes>,
    varying: Option<Arc<VaryingMessages>>,
    /// Those that carry tokens.
    tokens: Option<Arc<StreamMessages>>,
    /// How many a call sends; none: each that it has.
    count: Option<u64>,
    pace: MessagePace,
    /// The deadline of a call, which is sent to the server.
    deadline: Option<Nanos>,
    /// Whether each message has to come back.
    echoes: bool,
}

impl From<Option<&PreparedCall>> for CallKind {
    fn from(prepared: Option<&PreparedCall>) -> Self {
        let (messages, varying, tokens) = match prepared.map(|prepared| &prepared.messages) {
            None => (Vec::new(), None, None),
            Some(CallMessages::Same { framed, .. }) => (framed.clone(), None, None),
            Some(CallMessages::Varying(varying)) => (Vec::new(), Some(Arc::clone(varying)), None),
            Some(CallMessages::Tokens { messages, .. }) => (Vec::new(), None, Some(Arc::clone(messages))),
        };
        let count = prepared.and_then(|prepared| prepared.count);
        let given = tokens.as_ref().map_or(messages.len() as u64, |tokens| tokens.len());
        Self {
            shape: prepared.map_or(MethodShape::Unknown, |prepared| prepared.shape),
            count: count.or_else(|| varying.is_none().then_some(given)),
            messages,
            varying,
            tokens,
            pace: prepared.map_or(MessagePace::AtOnce, |prepared| prepared.pace),
            deadline: prepared.and_then(|prepared| prepared.deadline).map(nanos),
            echoes: false,
        }
    }
}

impl CallKind {
    #[inline]
    fn message(&self, call: &OnCall, number: u64) -> Bytes {
        match self.messages.as_slice() {
            [one] => one.clone(),
            [] => call.own_message(number),
            many => many[(number % many.len() as u64) as usize].clone(),
        }
    }

    /// Those of one call are made. It has at least one.
    #[cold]
    fn make(
        &self,
        call: &mut OnCall,
        varying: &VaryingMessages,
        values: &Values<'_>,
    ) -> Result<(), Box<Failure>> {
        let own = varying.render(values).map_err(|why| Box::new(Failure::new(Cause::InvalidMessage, why)))?;
        call.count = self.count.unwrap_or(own.len() as u64);
        call.own = Some(own);
        Ok(())
    }

    /// When message `number` was due, counted from 0.
    fn due(&self, call: &OnCall, number: u64) -> Nanos {
        match self.pace {
            MessagePace::Every(interval) => call.due.saturating_add(nanos(interval).saturating_mul(number)),
            MessagePace::AtOnce => call.due,
            MessagePace::Replies => call.last_due,
        }
    }
}

/// One call.
#[derive(Debug, Default)]
pub(super) struct OnCall {
    /// The index of its request.
    request: u32,
    /// When it was due.
    due: Nanos,
    /// How many messages it sends.
    count: u64,
    /// Those that are its own.
    own: Option<Box<[Bytes]>>,
    /// What is proven of them, if they carry tokens.
    proof: Option<Box<Proof>>,
    /// Messages that were sent.
    sent: u64,
    /// When the last one of them was due, where each follows a response.
    last_due: Nanos,
    /// Responses that have come.
    received: u64,
    counter: Counter,
    /// Whether it was answered by what speaks gRPC.
    is_grpc: bool,
    /// Whether responses may be compressed.
    is_encoded: bool,
    code: Option<Code>,
    message: String,
    /// Why the reply is invalid, as far as it has come.
    invalid: Option<String>,
}

/// Why a reply that has ended is not a valid one to a call.
#[derive(Debug)]
pub(super) struct InvalidReply {
    message: String,
    /// Whether that is not for want of a part of it: it was changed on the way, unless the server is broken.
    pub(super) is_changed: bool,
}

impl InvalidReply {
    fn changed(message: String) -> Self {
        Self { message, is_changed: true }
    }

    fn incomplete(message: String) -> Self {
        Self { message, is_changed: false }
    }
}

impl From<InvalidReply> for Failure {
    fn from(invalid: InvalidReply) -> Self {
        Self::new(Cause::Protocol, invalid.message)
    }
}

/// What follows a message that was sent.
#[derive(Debug)]
pub(super) enum NextMessage {
    /// It was the last.
    End,
    /// Another one, immediately.
    Message(Bytes),
    /// Another one, which is due then.
    At(Nanos),
    /// Another one, when the response has come.
    Wait,
}

impl CallTable {
    /// Those of requests, by their index.
    pub(super) fn of<'p>(all: impl Iterator<Item = Option<&'p PreparedCall>>) -> Self {
        let kinds = all.map(CallKind::from).collect();
        Self { kinds, counted_from: 0, spare: Vec::new(), streams: None }
    }

    /// The same, of which these, by the index of their request, get each message back.
    pub(super) fn echoing(mut self, all: impl Iterator<Item = bool>) -> Self {
        for (kind, echoes) in self.kinds.iter_mut().zip(all) {
            // Where each message is proven, those that are missing are found by their numbers.
            kind.echoes = echoes && kind.tokens.is_none();
        }
        self
    }

    /// The same, with messages that carry tokens and are numbered so, if any do.
    pub(super) fn numbered(mut self, numbers: Option<StreamNumbers>) -> Self {
        self.streams = numbers.map(|numbers| Box::new(StreamNotes { numbers, notes: Vec::new() }));
        self
    }

    /// What was found out about messages with tokens since it was last asked.
    #[inline]
    pub(super) fn take_notes(&mut self) -> Option<impl Iterator<Item = OfStream> + '_> {
        let notes = &mut self.streams.as_mut()?.notes;
        (!notes.is_empty()).then(|| notes.drain(..))
    }

    #[inline]
    fn kind(&self, call: &OnCall) -> &CallKind {
        &self.kinds[call.request as usize]
    }

    /// How a call ended whose stream the server reset with CANCEL, if its deadline had passed by then: servers do that where a
    /// method does not keep it.
    #[cold]
    pub(super) fn cancelled(&self, call: &OnCall, submitted: Nanos, at: Nanos) -> Option<CallEnd> {
        let deadline = self.kind(call).deadline;
        let has_passed = deadline.is_some_and(|deadline| submitted.saturating_add(deadline) <= at);
        let message = "the server reset the stream (CANCEL) after the deadline".to_owned();
        has_passed.then(|| CallEnd::Error(Box::new((Code::DeadlineExceeded, message))))
    }

    /// What is due before then is in the warm-up.
    pub(super) fn count_from(&mut self, at: Nanos) {
        self.counted_from = at;
    }

    /// Whether messages of a call count.
    pub(super) fn counts(&self, arrival: &Arrival) -> bool {
        arrival.due >= self.counted_from
    }

    /// The call of an arrival in the run with these ids, and its first message. Its placeholders have these values.
    ///
    /// # Errors
    /// With them, the message is invalid.
    #[inline]
    pub(super) fn begin<'v>(
        &mut self,
        arrival: &Arrival,
        ids: Ids,
        values: impl FnOnce() -> Values<'v>,
    ) -> Result<(Box<OnCall>, Bytes), Box<Failure>> {
        let &Arrival { request, due, .. } = arrival;
        let kind = &self.kinds[request as usize];
        let mut call = self.spare.pop().unwrap_or_default();
        let count = kind.count.unwrap_or_default();
        *call = OnCall { request, due, count, last_due: due, ..OnCall::default() };
        if let Some(varying) = &kind.varying {
            kind.make(&mut call, varying, &values())?;
        }
        if let (Some(tokens), Some(streams)) = (&kind.tokens, &self.streams) {
            call.proof = Some(Proof::new(tokens, streams.numbers, ids, arrival));
        }
        let first = kind.message(&call, 0);
        Ok((call, first))
    }

    /// A message has been given away.
    #[inline]
    pub(super) fn sent(&mut self, call: &mut OnCall, now: Nanos) -> NextMessage {
        if let (Some(proof), Some(streams)) = (&call.proof, &mut self.streams) {
            proof.sent(call.sent, &mut streams.notes);
        }
        call.sent += 1;
        if call.sent >= call.count {
            return NextMessage::End;
        }
        let kind = self.kind(call);
        match kind.pace {
            MessagePace::AtOnce => NextMessage::Message(kind.message(call, call.sent)),
            MessagePace::Every(_) => match kind.due(call, call.sent) {
                due if due <= now => NextMessage::Message(kind.message(call, call.sent)),
                due => NextMessage::At(due),
            },
            MessagePace::Replies if call.received >= call.sent => {
                call.last_due = now;
                NextMessage::Message(kind.message(call, call.sent))
            }
            MessagePace::Replies => NextMessage::Wait,
        }
    }

    /// The next message of a call, which is due now.
    pub(super) fn next(&self, call: &OnCall) -> Bytes {
        self.kind(call).message(call, call.sent)
    }

    /// A part of a reply's body has come: how many messages it completes, and the next message to be sent, if one has waited
    /// for them; `is_sending`: the one before is not sent yet. `time` is given when each of them was due.
    ///
    /// # Errors
    /// It is invalid, and nothing more can be read.
    #[inline]
    pub(super) fn body(
        &mut self,
        call: &mut OnCall,
        is_sending: bool,
        part: &[u8],
        at: Nanos,
        mut time: impl FnMut(MessageTime),
    ) -> Result<(u64, Option<Bytes>), Failure> {
        if !call.is_grpc {
            return Ok((0, None));
        }
        let messages = call
            .counter
            .take_in(part, call.is_encoded)
            .map_err(|invalid| Failure::new(Cause::Protocol, format!("invalid gRPC message: {invalid}")))?;
        if let (Some(proof), Some(streams)) = (&mut call.proof, &mut self.streams) {
            proof.came(part, call.sent, &mut streams.notes);
        }
        let kind = self.kind(call);
        if kind.shape.gives_one() {
            call.received += messages;
            return Ok((messages, None));
        }
        for _ in 0..messages {
            let number = call.received;
            if number == 0 {
                time(MessageTime::First(at.saturating_sub(call.due)));
            }
            // Those beyond answer none of them, and what has not been sent is not answered.
            if kind.shape == MethodShape::BidiStream && number < call.sent {
                time(MessageTime::Message(at.saturating_sub(kind.due(call, number))));
            }
            call.received += 1;
        }
        let has_waited = kind.pace == MessagePace::Replies && call.received >= call.sent && !call.is_sent();
        if messages == 0 || !has_waited || is_sending || call.sent == 0 {
            return Ok((messages, None));
        }
        call.last_due = at;
        Ok((messages, Some(kind.message(call, call.sent))))
    }

    /// The reply has ended, with this status of HTTP: how the call ended; none where HTTP's status says that. `is_own` says whether
    /// it is known to be the server's reply to this call.
    ///
    /// # Errors
    /// What came is not a valid reply to a call.
    #[inline]
    pub(super) fn end(
        &mut self,
        mut call: Box<OnCall>,
        http: u16,
        is_own: impl FnOnce() -> bool,
    ) -> Result<Option<CallEnd>, InvalidReply> {
        let end = self.judge(&mut call, http);
        if let (Some(proof), Some(streams)) = (call.proof.take(), &mut self.streams)
            && end.is_ok()
        {
            match call.code {
                Some(code) if is_own() => proof.ended(code, call.sent, &mut streams.notes),
                // Whoever said OK in the server's place has not seen the messages.
                Some(Code::Ok) => {}
                _ => proof.refused(call.sent, &mut streams.notes),
            }
        }
        call.own = None;
        if self.spare.len() < MAX_SPARE {
            self.spare.push(call);
        }
        end
    }

    fn judge(&self, call: &mut OnCall, http: u16) -> Result<Option<CallEnd>, InvalidReply> {
        if http != 200 {
            let is_success = (200..300).contains(&http);
            return if is_success {
                Err(InvalidReply::changed(format!("a response with the status {http} is not gRPC")))
            } else {
                Ok(None)
            };
        }
        if let Some(invalid) = call.invalid.take() {
            return Err(InvalidReply::changed(invalid));
        }
        match call.code {
            None => Err(InvalidReply::incomplete("the response ended without grpc-status".to_owned())),
            Some(Code::Ok) if !call.counter.is_between_messages() => {
                let message = "the response ended within a message, with grpc-status 0";
                Err(InvalidReply::changed(message.to_owned()))
            }
            Some(Code::Ok) if self.kind(call).shape.gives_one() && call.received != 1 => {
                let received = call.received;
                let message = format!("{received} messages with grpc-status 0, where there is to be one");
                Err(InvalidReply { message, is_changed: received > 1 })
            }
            Some(Code::Ok) if self.kind(call).echoes && call.received != call.count => {
                let OnCall { received, count, .. } = call;
                let message = format!("{received} messages came back of {count}, with grpc-status 0");
                Err(InvalidReply { message, is_changed: received > count })
            }
            Some(Code::Ok) => Ok(Some(CallEnd::Ok)),
            Some(code) => Ok(Some(CallEnd::Error(Box::new((code, std::mem::take(&mut call.message)))))),
        }
    }
}

/// A time that is measured of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageTime {
    /// From when a call was due to its first response.
    First(Nanos),
    /// From when a message was due to its response.
    Message(Nanos),
}

impl OnCall {
    /// Whether it has sent all of its messages.
    pub(super) fn is_sent(&self) -> bool {
        self.sent >= self.count
    }

    #[cold]
    fn own_message(&self, number: u64) -> Bytes {
        if let Some(proof) = &self.proof {
            return proof.message(number);
        }
        let own = self.own.as_deref().unwrap_or_default();
        own.get((number % own.len().max(1) as u64) as usize).cloned().unwrap_or_default()
    }

    /// The head of the reply has come; `end`: it is all there is, and has the status.
    #[inline]
    pub(super) fn head(&mut self, head: &http2::Head, end: bool) {
        if head.status() != 200 {
            return;
        }
        let fields = head.fields();
        let content_type = fields.get(CONTENT_TYPE.as_str()).unwrap_or_default();
        self.is_grpc = grpc::is_call(content_type);
        if !self.is_grpc {
            let shown = String::from_utf8_lossy(content_type).escape_debug().to_string();
            self.invalid = Some(format!("the response is not gRPC: its content-type is '{shown}'"));
        }
        self.is_encoded = fields.get("grpc-encoding").is_some_and(|encoding| encoding != b"identity");
        if end {
            self.status(head.regular());
        }
    }

    /// The fields with the status have come.
    #[inline]
    pub(super) fn status<'f>(&mut self, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
        for (name, value) in fields {
            if name == status::STATUS.as_bytes() {
                if self.code.is_some() {
                    self.invalid = Some("more than one grpc-status".to_owned());
                }
                self.code = Code::read(value);
                if self.code.is_none() {
                    self.unknown_status(value);
                }
            } else if name == status::MESSAGE.as_bytes() && !value.is_empty() {
                self.message = status::decode_message(value).into_owned();
            }
        }
    }

    /// A number that is not a code this program knows is UNKNOWN, as in other implementations.
    #[cold]
    fn unknown_status(&mut self, value: &[u8]) {
        let shown = String::from_utf8_lossy(value).escape_debug().to_string();
        if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
            self.code = Some(Code::Unknown);
            self.message = format!("grpc-status {shown}");
        } else {
            self.invalid = Some(format!("invalid grpc-status '{shown}'"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn calls(shape: MethodShape, count: u64, pace: MessagePace) -> CallTable {
        let messages = [b"a", b"b"].map(|text| Bytes::from_static(text)).to_vec();
        let count = Some(count);
        let kind = CallKind {
            shape,
            messages,
            varying: None,
            tokens: None,
            count,
            pace,
            deadline: None,
            echoes: false,
        };
        CallTable { kinds: vec![kind], counted_from: 0, spare: Vec::new(), streams: None }
    }

    const IDS: Ids = Ids { run: 7, load: 0 };

    fn begin(calls: &mut CallTable, due: Nanos) -> (Box<OnCall>, Bytes) {
        calls.begin(&Arrival::new(0, due, due), IDS, || unreachable!("it has no placeholders")).unwrap()
    }

    const MESSAGE: &[u8] = b"\0\0\0\0\x01x";

    fn answered(
        calls: &mut CallTable,
        body: &[u8],
        fields: &[(&[u8], &[u8])],
    ) -> Result<Option<CallEnd>, String> {
        let (mut call, _) = begin(calls, 0);
        call.is_grpc = true;
        calls.body(&mut call, false, body, 0, |_| {}).map_err(|failure| failure.message)?;
        call.status(fields.iter().copied());
        calls.end(call, 200, || true).map_err(|failure| failure.message)
    }

    #[test]
    fn a_unary_call_succeeds_with_one_message_and_ok() {
        let mut calls = calls(MethodShape::Unary, 1, MessagePace::AtOnce);
        let ok = &[(&b"grpc-status"[..], &b"0"[..])];
        assert_eq!(answered(&mut calls, MESSAGE, ok), Ok(Some(CallEnd::Ok)));
        for (body, fields, why) in [
            (MESSAGE, &[][..], "without grpc-status"),
            (&MESSAGE[..5], ok, "within a message"),
            (b"", ok, "0 messages with grpc-status 0"),
            (&[MESSAGE, MESSAGE].concat(), ok, "2 messages with grpc-status 0"),
            (MESSAGE, &[(b"grpc-status", b"fine")], "invalid grpc-status 'fine'"),
            (b"\x01\0\0\0\x01x", ok, "a compressed message without grpc-encoding"),
            (b"HTTP/", ok, "invalid flag 72"),
        ] {
            let error = answered(&mut calls, body, fields).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let said = |fields: &[(&[u8], &[u8])], calls: &mut CallTable| match answered(calls, b"", fields) {
            Ok(Some(CallEnd::Error(error))) => (error.0, error.1),
            other => panic!("{other:?}"),
        };
        let unavailable = [(&b"grpc-status"[..], &b"14"[..]), (b"grpc-message", b"no%20room")];
        assert_eq!(said(&unavailable, &mut calls), (Code::Unavailable, "no room".to_owned()));
        assert_eq!(
            said(&[(b"grpc-status", b"99")], &mut calls),
            (Code::Unknown, "grpc-status 99".to_owned())
        );
        assert_eq!(calls.spare.len(), 1, "memory is used again");
    }

    #[test]
    fn a_stream_whose_messages_have_to_come_back_is_incomplete_without_one() {
        let ok = &[(&b"grpc-status"[..], &b"0"[..])];
        for (count, echoes, is_complete) in
            [(2, true, true), (1, true, false), (3, true, false), (1, false, true)]
        {
            let mut calls =
                calls(MethodShape::BidiStream, 2, MessagePace::AtOnce).echoing([echoes].into_iter());
            let said = answered(&mut calls, &MESSAGE.repeat(count), ok);
            assert_eq!(said == Ok(Some(CallEnd::Ok)), is_complete, "{said:?}");
            assert!(is_complete || said.unwrap_err().contains(&format!("{count} messages came back of 2")));
        }
    }

    #[test]
    fn http_statuses_other_than_200_say_how_a_call_ended() {
        let mut calls = calls(MethodShape::Unary, 1, MessagePace::AtOnce);
        for (status, expected) in [(503, Ok(None)), (302, Ok(None)), (204, Err(()))] {
            let (call, _) = begin(&mut calls, 0);
            assert_eq!(calls.end(call, status, || true).map_err(drop), expected, "{status}");
        }
    }

    #[test]
    fn messages_are_due_by_their_interval_and_timed_from_then() {
        let calls = &mut calls(MethodShape::BidiStream, 3, MessagePace::Every(Duration::from_nanos(100)));
        let (mut call, first) = begin(calls, 1000);
        call.is_grpc = true;
        assert_eq!(first, "a");
        assert!(matches!(calls.sent(&mut call, 1005), NextMessage::At(1100)));
        assert_eq!(calls.next(&call), "b");
        // Late by more than one: the next follows immediately.
        assert!(matches!(calls.sent(&mut call, 1250), NextMessage::Message(message) if message == "a"));
        let mut times = Vec::new();
        let body = [MESSAGE, MESSAGE].concat();
        let (messages, next) = calls.body(&mut call, false, &body, 1260, |time| times.push(time)).unwrap();
        assert_eq!((messages, next), (2, None));
        assert_eq!(times, [MessageTime::First(260), MessageTime::Message(260), MessageTime::Message(160)]);
        assert!(matches!(calls.sent(&mut call, 1270), NextMessage::End) && call.is_sent());
    }

    #[test]
    fn without_an_interval_each_message_follows_the_response_to_the_one_before() {
        let calls = &mut calls(MethodShape::BidiStream, 3, MessagePace::Replies);
        let (mut call, _) = begin(calls, 0);
        call.is_grpc = true;
        assert!(matches!(calls.sent(&mut call, 5), NextMessage::Wait));
        let mut times = Vec::new();
        let next = calls.body(&mut call, false, MESSAGE, 50, |time| times.push(time)).unwrap().1;
        assert_eq!(next.unwrap(), "b");
        assert!(matches!(calls.sent(&mut call, 55), NextMessage::Wait));
        // A server may say more than it was asked.
        let body = [MESSAGE, MESSAGE].concat();
        assert_eq!(calls.body(&mut call, false, &body, 80, |time| times.push(time)).unwrap().1.unwrap(), "a");
        assert_eq!(times, [MessageTime::First(50), MessageTime::Message(50), MessageTime::Message(30)]);
        assert!(matches!(calls.sent(&mut call, 85), NextMessage::End));
        assert_eq!(calls.body(&mut call, false, MESSAGE, 99, |_| {}).unwrap().1, None);
    }
}
