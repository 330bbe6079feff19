//! What is proven of one call's messages in a verified run: which token each of them carries, and what its replies say.
//!
//! What is found out is noted, for the recorder. Nothing here knows a frame or a socket; calls without tokens have none of this.

use std::{io::Read as _, sync::Arc};

use bytes::Bytes;
use contract::{
    id::{Id, Ids},
    ledger::{
        CHECKED_TOKEN, STREAM_MESSAGE, checked_token, checked_token_id, stream_message, stream_message_id,
    },
};
use flate2::read::GzDecoder;
use grpc::{
    Code,
    message::{Limits, Message as Framed, Reader},
};
use prost::Message;

use crate::{
    outcome::{Arrival, Damage},
    plan::{Answers, StreamMessages, StreamNumbers, of_streams},
    recorder::{OfStream, OutOfOrder},
};

/// The largest reply that is looked at, in bytes, also where it comes compressed: as large as those that gRPC takes by default.
const MAX_REPLY: usize = 4 << 20;
/// How many numbers a reply may list that were reordered, and that have changed.
const MAX_LISTED: usize = 1000;

/// `echo.EchoResponse`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct EchoResponse {
    #[prost(bytes = "bytes", tag = "1")]
    message: Bytes,
    #[prost(uint64, tag = "8")]
    number: u64,
}

/// `dummy.v1.TestResponse`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct TestResponse {
    #[prost(uint64, tag = "2")]
    number: u64,
    #[prost(bytes = "bytes", tag = "6")]
    token: Bytes,
    #[prost(uint64, repeated, tag = "7")]
    reordered: Vec<u64>,
    #[prost(uint64, repeated, tag = "8")]
    changed: Vec<u64>,
    #[prost(uint64, tag = "9")]
    more_reordered: u64,
    #[prost(uint64, tag = "10")]
    more_changed: u64,
}

/// What is known of one call's messages.
#[derive(Debug)]
pub(super) struct Proof {
    messages: Arc<StreamMessages>,
    /// Those of messages of streams.
    ids: Ids,
    attempt: u8,
    /// The number of its first message.
    first: u64,
    /// None once a reply could not be read.
    reader: Option<Reader>,
    /// The highest place at the server of what has come, and the number behind the highest that has come.
    place: u64,
    next: u64,
}

impl Proof {
    /// Of a call of the run with these ids.
    pub(super) fn new(
        messages: &Arc<StreamMessages>,
        numbers: StreamNumbers,
        ids: Ids,
        arrival: &Arrival,
    ) -> Box<Self> {
        let first = numbers.number(arrival.number, 0);
        let reader = Some(Reader::new(Limits { message: MAX_REPLY, compressed: true }));
        let messages = Arc::clone(messages);
        let ids = of_streams(ids);
        Box::new(Self { messages, ids, attempt: arrival.resends, first, reader, place: 0, next: first })
    }

    fn id(&self, number: u64) -> Id {
        self.ids.of(number, self.attempt)
    }

    /// The message at this place.
    pub(super) fn message(&self, place: u64) -> Bytes {
        self.messages.framed(place, self.id(self.first.saturating_add(place)))
    }

    /// The message at this place has been given away.
    pub(super) fn sent(&self, place: u64, notes: &mut Vec<OfStream>) {
        // The one message that several replies answer is proven with its call.
        if !matches!(self.messages.answers(), Answers::Several(_)) {
            notes.push(OfStream::Sent(self.first.saturating_add(place)));
        }
    }

    /// A part of the replies has come, `sent` messages having been given away. What can't be read is left to others to refuse, and
    /// nothing is kept of it and of what follows.
    pub(super) fn came(&mut self, part: &[u8], sent: u64, notes: &mut Vec<OfStream>) {
        let Some(mut reader) = self.reader.take() else { return };
        reader.push(Bytes::copy_from_slice(part));
        loop {
            let content = match reader.take() {
                Ok(None) => break,
                Ok(Some(framed)) => content(framed),
                Err(_) => Content::TooLarge,
            };
            match (content, self.messages.answers()) {
                (Content::TooLarge, _) => return notes.push(OfStream::Unread),
                (Content::Undecodable, _) => self.undecodable(&[], sent, notes),
                (Content::Plain(content), Answers::Echoes) => self.echoed(&content, sent, notes),
                (Content::Plain(content), answers) => self.answered(answers, &content, sent, notes),
            }
        }
        self.reader = Some(reader);
    }

    fn echoed(&mut self, content: &Bytes, sent: u64, notes: &mut Vec<OfStream>) {
        let Ok(EchoResponse { message, number: place }) = EchoResponse::decode(content.clone()) else {
            return self.undecodable(content, sent, notes);
        };
        let id = stream_message_id(&message);
        let Some(id) = id.filter(|id| self.is_own(id)) else {
            let number = self.token_within(content);
            let damage = |proof: &Self, of: u64| match number {
                Some(_) if message.is_empty() => Damage::Undecodable,
                _ => damage(&stream_message(proof.id(of)), &message).unwrap_or(Damage::Undecodable),
            };
            return self.damaged(number, None, damage, sent, notes);
        };
        if !self.has_sent(id.number, sent) {
            return notes.push(OfStream::Strayed(id.number));
        }
        let out_of_order = self.order(id.number, place);
        let damage = damage(&stream_message(id), &message);
        notes.push(OfStream::Answered { number: id.number, out_of_order, damage });
    }

    fn answered(&mut self, answers: Answers, content: &Bytes, sent: u64, notes: &mut Vec<OfStream>) {
        let Ok(answer) = TestResponse::decode(content.clone()) else {
            return self.undecodable(content, sent, notes);
        };
        if answer.token.is_empty() && self.token_within(content).is_some() {
            return self.undecodable(content, sent, notes);
        }
        let TestResponse { number: place, token, reordered, changed, more_reordered, more_changed } = answer;
        let is_own = |number: &u64| self.has_sent(*number, sent);
        let listed = |numbers: Vec<u64>| numbers.into_iter().filter(is_own).take(MAX_LISTED);
        notes.extend(listed(reordered).map(OfStream::ReorderedThere));
        notes.extend(listed(changed).map(OfStream::ChangedThere));
        // No more than were sent, whatever it says.
        notes.extend((more_reordered > 0).then(|| OfStream::MoreReorderedThere(more_reordered.min(sent))));
        notes.extend((more_changed > 0).then(|| OfStream::MoreChangedThere(more_changed.min(sent))));
        if token.is_empty() {
            return;
        }
        let Some(id) = checked_token_id(&token) else {
            let damage = |proof: &Self, of: u64| {
                let sent = checked_token(proof.id(of));
                let same = sent.iter().zip(&token).take_while(|(sent, came)| sent == came).count();
                Damage::Corrupted(same as u64)
            };
            return self.damaged(None, Some(place), damage, sent, notes);
        };
        if !self.is_own(&id) {
            return;
        }
        match answers {
            Answers::Each if !self.has_sent(id.number, sent) => notes.push(OfStream::Strayed(id.number)),
            Answers::Several(count) if id.number == self.first && (1..=count).contains(&place) => {
                let number = self.first.saturating_add(place - 1);
                let out_of_order = self.order(number, place).is_some();
                notes.push(OfStream::Replied { number, out_of_order });
            }
            Answers::Each => {
                // Where the server saw them out of order, it says so.
                let out_of_order = self.order(id.number, place).filter(|order| *order == OutOfOrder::Back);
                notes.push(OfStream::Answered { number: id.number, out_of_order, damage: None });
            }
            _ => {}
        }
    }

    fn is_own(&self, id: &Id) -> bool {
        (id.run, id.load) == (self.ids.run, self.ids.load)
    }

    /// The number of the message whose token is anywhere in a reply, which does not have it where it should.
    #[cold]
    fn token_within(&self, content: &[u8]) -> Option<u64> {
        let mut ids = content.windows(CHECKED_TOKEN).filter_map(checked_token_id);
        ids.find(|id| self.is_own(id)).map(|id| id.number)
    }

    /// A reply has come that can't be decoded.
    #[cold]
    fn undecodable(&mut self, content: &[u8], sent: u64, notes: &mut Vec<OfStream>) {
        let number = self.token_within(content);
        self.damaged(number, None, |_, _| Damage::Undecodable, sent, notes);
    }

    /// A reply has come that is not what the server sent: the one to the message of this number, or to that whose turn it is; of
    /// several to one message, the one at this place, or the next one. `damage` says how it differs, by the message whose token
    /// it should carry.
    #[cold]
    fn damaged(
        &mut self,
        number: Option<u64>,
        place: Option<u64>,
        damage: impl Fn(&Self, u64) -> Damage,
        sent: u64,
        notes: &mut Vec<OfStream>,
    ) {
        match self.messages.answers() {
            // Each of them carries the token of the one message.
            Answers::Several(count) => {
                let place = place.unwrap_or_else(|| self.place.saturating_add(1));
                if (1..=count).contains(&place) {
                    let number = self.first.saturating_add(place - 1);
                    self.order(number, place);
                    notes.push(OfStream::Replied { number, out_of_order: false });
                    notes.push(OfStream::Damaged { number, damage: damage(self, self.first) });
                }
            }
            Answers::Together => {
                let number = self.first.saturating_add(sent.saturating_sub(1));
                notes.push(OfStream::Damaged { number, damage: damage(self, number) });
            }
            Answers::Each | Answers::Echoes => {
                let number = number.unwrap_or(self.next);
                if self.has_sent(number, sent) {
                    self.next = self.next.max(number.saturating_add(1));
                    let damage = Some(damage(self, number));
                    notes.push(OfStream::Answered { number, out_of_order: None, damage });
                }
            }
        }
    }

    /// Whether this is the number of one of the call's first `sent` messages.
    fn has_sent(&self, number: u64, sent: u64) -> bool {
        (self.first..self.first.saturating_add(sent)).contains(&number)
    }

    /// Whether what answers a message, which was at this place at the server, comes behind one of a later message.
    fn order(&mut self, number: u64, place: u64) -> Option<OutOfOrder> {
        let order = match place < self.place {
            true => Some(OutOfOrder::Back),
            false if number < self.next => Some(OutOfOrder::There),
            false => None,
        };
        self.place = self.place.max(place);
        self.next = self.next.max(number.saturating_add(1));
        order
    }

    /// The server's own reply has ended with this code, `sent` messages having been given away. Where a reply could not be read,
    /// nothing follows.
    pub(super) fn ended(&self, code: Code, sent: u64, notes: &mut Vec<OfStream>) {
        let (first, count) = (self.first, sent);
        if self.reader.is_none() {
            return;
        }
        notes.extend(match (code, self.messages.answers()) {
            (Code::Ok, Answers::Together) => Some(OfStream::Acknowledged { first, count }),
            (Code::Ok, Answers::Several(count)) => Some(OfStream::Complete { first, count }),
            (Code::Ok, _) => Some(OfStream::Answerable { first, count }),
            (_, Answers::Several(_)) => None,
            _ => Some(OfStream::Withdrawn { first, count }),
        });
    }

    /// Another than the server has ended the call, and not with OK, `sent` messages having been given away: that is counted of the
    /// call, and nothing follows for its messages.
    pub(super) fn refused(&self, sent: u64, notes: &mut Vec<OfStream>) {
        if !matches!(self.messages.answers(), Answers::Several(_)) {
            notes.push(OfStream::Withdrawn { first: self.first, count: sent });
        }
    }
}

/// What a reply is, uncompressed.
enum Content {
    Plain(Bytes),
    /// It can't be expanded.
    Undecodable,
    /// It is not looked at, and neither is what follows.
    TooLarge,
}

fn content(framed: Framed) -> Content {
    if !framed.compressed {
        return Content::Plain(framed.content);
    }
    let mut content = Vec::new();
    let mut expanding = GzDecoder::new(&framed.content[..]).take(MAX_REPLY as u64 + 1);
    match expanding.read_to_end(&mut content) {
        Err(_) => Content::Undecodable,
        Ok(_) if content.len() > MAX_REPLY => Content::TooLarge,
        Ok(_) => Content::Plain(content.into()),
    }
}

/// How what came back is not what was sent.
fn damage(sent: &[u8; STREAM_MESSAGE], came: &[u8]) -> Option<Damage> {
    let first = sent.iter().zip(came).position(|(sent, came)| sent != came);
    match (first, came.len()) {
        (Some(first), _) => Some(Damage::Corrupted(first as u64)),
        (None, STREAM_MESSAGE) => None,
        (None, length @ ..STREAM_MESSAGE) => Some(Damage::Truncated(length as u64, STREAM_MESSAGE as u64)),
        (None, _) => Some(Damage::Corrupted(STREAM_MESSAGE as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Encoding;

    /// Of call 3 of a run whose calls have up to 10 messages.
    fn proof(method: &str) -> Box<Proof> {
        proof_of(method, &[])
    }

    /// The same, with this in each message beside its token.
    fn proof_of(method: &str, rest: &[u8]) -> Box<Proof> {
        let messages = StreamMessages::of(method, &[rest.to_vec()], Encoding::Identity).unwrap();
        let (ids, arrival) = (Ids { run: 7, load: 0 }, Arrival::new(3, 0, 0));
        Proof::new(&Arc::new(messages), StreamNumbers::of(10), ids, &arrival)
    }

    fn framed(message: &impl Message) -> Vec<u8> {
        framed_content(0, &message.encode_to_vec())
    }

    fn framed_content(flag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap();
        [&[flag][..], &length.to_be_bytes(), content].concat()
    }

    #[test]
    fn of_a_reply_that_is_too_large_and_of_what_follows_nothing_is_kept_or_said() {
        let mut proof = proof("echo.EchoService.StreamEcho");
        let mut notes = Vec::new();
        let largest = u32::try_from(MAX_REPLY).unwrap();
        proof.came(&[&[0][..], &largest.to_be_bytes()].concat(), 10, &mut notes);
        assert!(notes.is_empty() && proof.reader.is_some());
        let mut proof = self::proof("echo.EchoService.StreamEcho");
        proof.came(&[&[0][..], &(largest + 1).to_be_bytes()].concat(), 10, &mut notes);
        proof.came(&[0; 1000], 10, &mut notes);
        proof.ended(Code::Ok, 10, &mut notes);
        assert_eq!(notes, [OfStream::Unread]);
        assert!(proof.reader.is_none());
    }

    #[test]
    fn a_reply_that_cannot_be_decoded_is_the_changed_one_of_the_message_whose_token_it_carries() {
        let damage = Damage::Undecodable;
        let answered = |number| OfStream::Answered { number, out_of_order: None, damage: Some(damage) };
        let mut proof = proof("echo.EchoService.StreamEcho");
        let broken = |id: Id| {
            let message = Bytes::copy_from_slice(&stream_message(id));
            let mut content = EchoResponse { message, number: 1 }.encode_to_vec();
            content[0] ^= 1;
            framed_content(0, &content)
        };
        let mut notes = Vec::new();
        proof.came(&broken(proof.id(31)), 4, &mut notes);
        // What can't be expanded, and what carries the token of another run, is that whose turn it is.
        proof.came(&framed_content(1, b"not gzip"), 4, &mut notes);
        proof.came(&broken(Id { run: 8, ..proof.id(30) }), 4, &mut notes);
        assert_eq!(notes, [31, 32, 33].map(answered));
        // In a field that nobody knows.
        notes.clear();
        let mut other = stream_message(proof.id(30)).to_vec();
        other.splice(..0, [0x1a, 64]);
        proof.came(&framed_content(0, &other), 4, &mut notes);
        assert_eq!(notes, [answered(30)]);
        // No more than were sent.
        notes.clear();
        proof.came(&framed_content(1, b"not gzip"), 4, &mut notes);
        proof.came(&broken(proof.id(34)), 4, &mut notes);
        assert!(notes.is_empty(), "{notes:?}");
        proof.ended(Code::Ok, 4, &mut notes);
        assert_eq!(notes, [OfStream::Answerable { first: 30, count: 4 }], "the call is read to its end");

        let mut proof = self::proof("dummy.v1.TestService.BidiStream");
        notes.clear();
        let mut other = checked_token(proof.id(31)).to_vec();
        other.splice(..0, [0x3a, CHECKED_TOKEN as u8]);
        proof.came(&framed_content(0, &other), 4, &mut notes);
        assert_eq!(notes, [answered(31)]);

        let mut proof = self::proof("dummy.v1.TestService.ClientStream");
        notes.clear();
        proof.came(&framed_content(0, b"\x0b"), 10, &mut notes);
        assert_eq!(notes, [OfStream::Damaged { number: 39, damage }]);
    }

    #[test]
    fn a_reply_names_messages_of_its_call_alone_and_no_more_than_a_server_does() {
        let mut proof = proof("dummy.v1.TestService.ClientStream");
        let mut notes = Vec::new();
        let own = [30, 31, 39];
        let reordered = [0, 29, 40, u64::MAX].into_iter().chain(own).collect();
        let changed = vec![30; 5 * MAX_LISTED];
        let answer = TestResponse {
            number: 1,
            reordered,
            changed,
            more_reordered: 4,
            more_changed: u64::MAX,
            ..TestResponse::default()
        };
        proof.came(&framed(&answer), 10, &mut notes);
        assert_eq!(notes[..3], own.map(OfStream::ReorderedThere));
        assert_eq!(notes[3..][..MAX_LISTED], [OfStream::ChangedThere(30); MAX_LISTED]);
        let more = [OfStream::MoreReorderedThere(4), OfStream::MoreChangedThere(10)];
        assert_eq!(notes[3 + MAX_LISTED..], more);
    }

    #[test]
    fn of_several_replies_each_that_has_changed_is_another_one() {
        // With a plan of five replies.
        let mut proof = proof_of("dummy.v1.TestService.ServerStream", b"\x12\x02\x08\x05");
        let mut notes = Vec::new();
        let mut token = checked_token(proof.id(proof.first)).to_vec();
        token[5] ^= 1;
        proof.came(
            &framed(&TestResponse { number: 1, token: token.into(), ..TestResponse::default() }),
            1,
            &mut notes,
        );
        proof.came(&framed_content(0, b"\xff"), 1, &mut notes);
        let first = proof.first;
        let replied = |number| OfStream::Replied { number, out_of_order: false };
        let damaged = |number, damage| OfStream::Damaged { number, damage };
        let expected = [
            replied(first),
            damaged(first, Damage::Corrupted(5)),
            replied(first + 1),
            damaged(first + 1, Damage::Undecodable),
        ];
        assert_eq!(notes, expected);
    }

    #[test]
    fn an_echo_whose_first_byte_has_changed_is_named_with_its_offset() {
        let mut proof = proof("echo.EchoService.StreamEcho");
        let mut notes = Vec::new();
        let number = proof.first + 2;
        let mut text = stream_message(proof.id(number));
        text[0] ^= 1;
        let message = Bytes::copy_from_slice(&text);
        proof.came(&framed(&EchoResponse { message, number: 3 }), 10, &mut notes);
        let damage = Some(Damage::Corrupted(0));
        assert_eq!(notes, [OfStream::Answered { number, out_of_order: None, damage }]);
    }
}
