//! Messages of streams of gRPC calls: what loadgen recorded of each, held against what servers state of them. Pure.

use super::{CollectedStatements, Example, Finding, JudgedRun, MAX_EXAMPLES, Reordered, Verification, judge};
use crate::{
    clock::Nanos,
    plan::StreamNumbers,
    recorder::{Numbers, Streams, Verified},
};

/// What follows; `calls` is what was recorded of the calls that they belong to, in a run that began at `start`.
pub(crate) fn judge_streams(
    mut streams: Streams,
    calls: &Verified,
    asked: CollectedStatements,
    numbers: StreamNumbers,
    start: Nanos,
) -> Verification {
    // A server that has replied to a call has seen messages of it.
    streams.known.epochs.clone_from(&calls.epochs);
    (streams.known.other_epochs, streams.known.unplaced) = (calls.other_epochs, calls.unplaced);
    let settled = Some(&streams.settled);
    let sent = JudgedRun { start, methods: &[], bodies: &[], trust: None, settled };
    let mut found = judge(&streams.known, asked, sent);
    let more = [
        (&mut found.uploads.differing, &streams.changed_there, "arrived otherwise than it was sent"),
        (&mut found.cut_on_the_way_back, &streams.lost_replies, "was sent by the server, and did not come"),
        (&mut found.echoed_again, &streams.replied_again, "was sent once, and came again"),
    ];
    for (finding, numbers, what) in more {
        add(finding, numbers, what);
    }
    if streams.unread > 0 {
        found
            .off
            .push(format!("replies of {} calls could not be read, and were not compared", streams.unread));
    }
    if streams.replies_left_out() > 0 {
        let replies = streams.replies_left_out();
        found
            .off
            .push(format!("{replies} replies have numbers beyond what is kept: lost ones are not reported"));
    }
    let mut reordered = Reordered::default();
    add(&mut reordered.on_the_way_there, &streams.reordered_there, "arrived behind a later one");
    add(
        &mut reordered.on_the_way_back,
        &streams.reordered_back,
        "was answered before a later one, and came behind it",
    );
    found.reordered = Some(reordered);
    found.replies = Some(streams.replies);
    for example in found.examples_mut() {
        let (call, message) = numbers.place(example.number);
        (example.number, example.message) = (call, Some(message));
        // It is when its call was due that is known, if anything is.
        (example.due, example.method) = (None, None);
    }
    found
}

fn add(finding: &mut Finding, numbers: &Numbers, what: &str) {
    finding.count = finding.count.saturating_add(numbers.count);
    let room = MAX_EXAMPLES.saturating_sub(finding.examples.len());
    let example = |number: &u64| Example { number: *number, what: what.to_owned(), ..Example::default() };
    finding.examples.extend(numbers.first.iter().take(room).map(example));
}

#[cfg(test)]
mod tests {
    use contract::ledger::{Packed, Pages, State, Statement, VERSION};

    use super::*;
    use crate::{
        outcome::Damage,
        recorder::{OfStream, OutOfOrder},
    };

    /// Of 20 calls with up to 5 messages, all of which were sent; servers have seen all but those of `unseen`.
    fn judged(notes: &[OfStream], unseen: &[u64]) -> Verification {
        let mut streams = Streams::default();
        (0..100).for_each(|number| streams.note(OfStream::Sent(number)));
        notes.iter().for_each(|noted| streams.note(*noted));
        let mut pages = Pages::default();
        for number in (0..100).filter(|number| !unseen.contains(number)) {
            pages.set(number, State::WHOLE);
        }
        let seen = pages.count();
        let statement = Statement {
            version: VERSION,
            epoch: 1,
            sightings: seen,
            whole: seen,
            pages: Packed::of(&pages),
            ..Statement::default()
        };
        let mut calls = Verified::default();
        calls.epochs.insert(1, 20);
        let asked = CollectedStatements { statements: vec![statement], ..CollectedStatements::default() };
        judge_streams(streams, &calls, asked, StreamNumbers::of(5), 0)
    }

    fn answered(numbers: impl Iterator<Item = u64>) -> Vec<OfStream> {
        let answered = |number| OfStream::Answered { number, out_of_order: None, damage: None };
        let ended = OfStream::Answerable { first: 0, count: 100 };
        std::iter::once(ended).chain(numbers.map(answered)).collect()
    }

    fn places(finding: &Finding) -> Vec<(u64, Option<u64>)> {
        assert_eq!(finding.count, finding.examples.len() as u64);
        finding.examples.iter().map(|example| (example.number, example.message)).collect()
    }

    #[test]
    fn losses_on_the_way_there_and_on_the_way_back_are_distinguished_by_call_and_message() {
        let found = judged(&answered((0..100).filter(|number| ![17, 42].contains(number))), &[17]);
        assert_eq!(places(&found.never_arrived.unanswered), [(3, Some(2))]);
        assert_eq!(places(&found.cut_on_the_way_back), [(8, Some(2))]);
        assert_eq!((found.hurt(), found.sent, found.arrived, found.unjudged), (2, 100, 99, 0));
    }

    #[test]
    fn one_that_changed_so_that_servers_took_it_for_something_else_is_reported_once() {
        let mut notes = answered((0..100).filter(|number| *number != 17));
        notes.push(OfStream::Answered {
            number: 17,
            out_of_order: None,
            damage: Some(Damage::Corrupted(20)),
        });
        let found = judged(&notes, &[17]);
        assert_eq!((places(&found.payload.corrupted), found.hurt()), (vec![(3, Some(2))], 1));
    }

    #[test]
    fn order_and_repeats_are_reported_by_the_way_on_which_they_happened() {
        let mut notes = answered((0..100).filter(|number| *number > 1));
        for (number, order) in [(0, OutOfOrder::There), (1, OutOfOrder::Back)] {
            notes.push(OfStream::Answered { number, out_of_order: Some(order), damage: None });
        }
        notes.extend(answered(7..8));
        let found = judged(&notes, &[]);
        let reordered = found.reordered.as_ref().unwrap();
        assert_eq!(places(&reordered.on_the_way_there), [(0, Some(0))]);
        assert_eq!(places(&reordered.on_the_way_back), [(0, Some(1))]);
        assert_eq!((places(&found.echoed_again), found.hurt()), (vec![(1, Some(2))], 3));
    }

    #[test]
    fn what_one_reply_answers_is_lost_only_where_it_did_not_arrive_and_what_the_server_ended_is_not() {
        let acknowledged = OfStream::Acknowledged { first: 0, count: 50 };
        let withdrawn = OfStream::Withdrawn { first: 50, count: 50 };
        let found = judged(&[acknowledged, withdrawn], &[17, 60]);
        assert_eq!((places(&found.never_arrived.unanswered), found.hurt()), (vec![(3, Some(2))], 1));
        let off = "50 without an answer can't be judged: their calls did not end with OK";
        assert!(!found.is_clean() && found.off == [off], "{:?}", found.off);
    }

    #[test]
    fn of_a_call_that_nobody_ended_only_what_never_arrived_follows() {
        let found = judged(&[], &[17]);
        assert_eq!((places(&found.never_arrived.unanswered), found.hurt()), (vec![(3, Some(2))], 1));
        assert_eq!(found.off, ["99 without an answer can't be judged: their calls did not end with OK"]);
    }
}
