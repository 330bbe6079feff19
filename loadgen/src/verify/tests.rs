//! What is said of planted records and statements.

use contract::ledger::{End, Entry, OutOfOrder, Packed, Pages, SeenAgain, State, Statement, VERSION};

use super::{judge::told, *};
use crate::recorder::{Hurt, MAX_EPOCHS, Verified, fate, reason};

fn known(answered: u64, unanswered: u64) -> Verified {
    let mut known = Verified::default();
    for number in 0..answered + unanswered {
        let is_answered = number < answered;
        known.fates.set(number, if is_answered { fate::ANSWERED } else { fate::UNANSWERED });
        if !is_answered {
            known.reasons.set(number, reason::NOTHING_OR_OTHER);
        }
    }
    known.epochs.insert(1, answered);
    known
}

fn statement(numbers: u64) -> Statement {
    let mut pages = Pages::default();
    for number in 0..numbers {
        pages.set(number, State::WHOLE);
    }
    let pages = Packed::of(&pages);
    Statement {
        version: VERSION,
        epoch: 1,
        sightings: numbers,
        whole: numbers,
        pages,
        ..Statement::default()
    }
}

fn judged(known: &Verified, statements: Vec<Statement>) -> Verification {
    judge(known, CollectedStatements { statements, ..CollectedStatements::default() }, SENT)
}

const SENT: JudgedRun<'static> =
    JudgedRun { start: 0, methods: &["GET"], bodies: &[], trust: None, settled: None };

#[test]
fn without_tokens_in_replies_it_is_reported_what_arrived_and_without_any_nothing() {
    let mut known = Verified::default();
    for number in 0..100 {
        known.fates.set(number, fate::OTHERWISE);
        known.reasons.set(number, reason::UNWRITTEN_OR_NO_TOKEN);
    }
    let judged = |are_named, trust| {
        let asked = CollectedStatements {
            statements: vec![statement(90)],
            are_named,
            ..CollectedStatements::default()
        };
        judge(&known, asked, JudgedRun { trust: Some(&|_| trust), ..SENT })
    };
    let found = judged(true, Trust::Arrival);
    assert_eq!((found.never_arrived.answered_by_proxy.count, found.hurt()), (10, 10));
    let found = judged(false, Trust::Arrival);
    assert_eq!((found.unjudged, found.hurt()), (10, 10));
    // What was seen has arrived, whatever the canary has met.
    let found = judged(true, Trust::Nothing);
    assert_eq!((found.unjudged, found.hurt()), (10, 10));
    let found = judged(true, Trust::Whole);
    assert_eq!((found.answered_in_place.count, found.hurt()), (90, 100));
}

#[test]
fn a_reply_that_names_a_server_and_no_token_is_not_said_to_be_of_something_else() {
    let mut known = known(90, 10);
    for number in 90..100 {
        let is_cut = number % 2 == 1;
        known.fates.set(number, if is_cut { fate::UNANSWERED } else { fate::OTHERWISE });
        let reason = if is_cut { reason::BEGUN_OR_OTHER_RUN } else { reason::UNWRITTEN_OR_NO_TOKEN };
        known.reasons.set(number, reason);
        if number >= 94 {
            known.token_lost.set(number, State::OPEN);
        }
    }
    let told = |found: &Verification| {
        let NeverArrived { answered_by_proxy, .. } = &found.never_arrived;
        let judged = [answered_by_proxy, &found.answered_in_place, &found.cut_on_the_way_back];
        (found.token_lost.count, found.unjudged, judged.map(|finding| finding.count))
    };
    let found = judged(&known, vec![statement(90)]);
    assert_eq!((told(&found), found.hurt()), ((6, 6, [4, 0, 0]), 10));
    // Of those that arrived and whose reply broke off it is known what happened.
    let found = judged(&known, vec![statement(100)]);
    assert_eq!((told(&found), found.hurt()), ((3, 3, [0, 2, 5]), 10));
    assert_eq!(found.token_lost.examples[0].what, "arrived, and its reply came without the token");
    // Whoever was asked.
    assert_eq!(told(&judged(&known, Vec::new())).0, 6);
}

#[test]
fn what_was_refused_in_each_attempt_was_never_processed_whoever_was_asked() {
    let mut known = known(90, 10);
    for number in 90..100 {
        known.refused.set(number, State::OPEN);
    }
    for statements in [vec![statement(90)], Vec::new()] {
        let found = judged(&known, statements);
        assert_eq!((found.never_arrived.refused.count, found.hurt()), (10, 10));
    }
}

#[test]
fn what_was_due_in_the_warm_up_was_due_before_the_run() {
    let hurt = Hurt {
        number: 1,
        request: 0,
        due: 1_000_000_000,
        status: 0,
        cause: None,
        length: 0,
        given_status: None,
        other: None,
        damage: None,
    };
    let due = |start| told(Some(&hurt), 1, start).due;
    assert_eq!((due(0), due(3_000_000_000)), (Some(1.0), Some(-2.0)));
}

#[test]
fn what_both_ends_agree_on_is_clean_and_the_rest_is_judged_by_whether_it_arrived() {
    assert!(judged(&known(5000, 0), vec![statement(5000)]).is_clean());
    let cut = judged(&known(90, 10), vec![statement(100)]);
    assert_eq!((cut.cut_on_the_way_back.count, cut.hurt(), cut.arrived), (10, 10, 100));
    let lost = judged(&known(90, 10), vec![statement(90)]);
    assert_eq!((lost.never_arrived.unanswered.count, lost.hurt()), (10, 10));
    let mut broken = statement(95);
    let mut pages = Pages::default();
    (90..95).for_each(|number| _ = pages.set(number, State::FAILED));
    (0..90).for_each(|number| _ = pages.set(number, State::WHOLE));
    (broken.pages, broken.uploads.broken) = (Packed::of(&pages), (90..95).collect());
    let broken = judged(&known(90, 5), vec![broken]);
    assert_eq!((broken.cut_on_the_way_there.count, broken.hurt(), broken.arrived), (5, 5, 95));
    let foreign = judged(&known(90, 0), vec![statement(100)]);
    assert_eq!((foreign.foreign.count, foreign.hurt()), (10, 10));
}

#[test]
fn without_the_ledger_of_a_server_that_replied_nothing_is_guessed() {
    let lost = Statement { epoch: 2, ..statement(0) };
    let found = judged(&known(90, 10), vec![lost]);
    assert_eq!((found.unjudged, found.hurt(), &found.epochs_lost[..]), (10, 10, &[(1, 90)][..]));
    let found = judged(&known(90, 10), Vec::new());
    assert_eq!((found.unjudged, found.is_clean()), (10, false));
}

#[test]
fn far_more_numbers_than_were_sent_are_not_unpacked() {
    let all = |epoch: u32| {
        let pages = Packed { whole: vec![(0, (64 << 10) - 1)], ..Packed::default() };
        Statement { epoch, pages, ..statement(0) }
    };
    let found = judged(&known(90, 10), (1..=6).map(all).collect());
    let left_out = found.off.iter().filter(|off| off.contains("than were sent")).count();
    assert_eq!((left_out, found.unjudged, found.foreign.count), (6, 10, 0));
}

#[test]
fn epochs_beyond_those_that_are_distinguished_are_counted_and_nothing_is_guessed() {
    let mut many = known(0, 10);
    for epoch in 0..MAX_EPOCHS as u32 {
        many.epochs.insert(epoch, 1);
    }
    let mut other = Verified::default();
    other.epochs.insert(u32::MAX, 3);
    other.epochs.insert(1, 4);
    many.merge(&other);
    assert_eq!((many.epochs.len(), many.other_epochs), (MAX_EPOCHS, 3));
    let found = judged(&many, vec![statement(0)]);
    assert!(found.unjudged == 10 && !found.is_clean(), "{found:?}");
}
#[test]
fn a_body_that_broke_off_on_the_way_there_is_reported_although_the_reply_that_says_so_came_back() {
    let mut pages = Pages::default();
    (0..90).for_each(|number| _ = pages.set(number, State::WHOLE));
    (90..95).for_each(|number| _ = pages.set(number, State::FAILED));
    let mut broken = statement(95);
    // One of them came whole in another attempt.
    (broken.pages, broken.uploads.broken) = (Packed::of(&pages), (89..95).collect());
    let found = judged(&known(95, 0), vec![broken]);
    assert_eq!((found.cut_on_the_way_there.count, found.hurt(), found.arrived), (5, 5, 95));
}

#[test]
fn uploads_that_were_announced_to_no_server_are_not_proven() {
    let mut other = statement(90);
    other.uploads.unannounced = 1;
    let found = judged(&known(90, 0), vec![other]);
    assert_eq!(found.off, ["1 upload was not compared, as the field x-dummy-upload did not arrive"]);
    assert!(!found.is_clean());
}

#[test]
fn a_repeat_is_told_with_how_often_it_was_seen_and_as_a_minimum_where_that_is_not_all() {
    let entry = |instance: &str, received_ns: u64| Entry {
        number: 3,
        attempt: 0,
        sighting: 1,
        instance: instance.to_owned(),
        method: "POST".to_owned(),
        status: 503,
        received_ns,
        replied_ns: received_ns,
        ended_ns: received_ns,
        sent: 0,
        end: End::Whole,
    };
    // One has seen it three times, and another one once: `entries` are known.
    let told = |entries: &[Entry], end: Option<u64>, forgotten: u64| {
        let seen = |epoch, instance: &str, counts: Vec<(u64, u8, u32)>| Statement {
            epoch,
            instance: instance.to_owned(),
            forgotten,
            seen_again: SeenAgain { counts, end },
            entries: entries.iter().filter(|entry| entry.instance == instance).cloned().collect(),
            ..statement(10)
        };
        let statements = vec![seen(2, "b", vec![]), seen(1, "a", vec![(3, 0, 3)])];
        let examples = judged(&known(10, 0), statements).repeated.examples;
        examples.into_iter().find(|example| example.number == 3).expect("an example").what
    };
    let all = [entry("a", 1), entry("b", 2), entry("a", 3), entry("a", 4)];
    assert_eq!(told(&all, None, 0), "seen 4 times: again after 503 from a, by b");
    let some = "seen 4 times by a and b, among these again after 503 from a, by a";
    assert_eq!(told(&[all[0].clone(), all[2].clone()], None, 0), some);
    assert_eq!(told(&[], None, 0), "seen 4 times by a and b");
    assert_eq!(told(&[], Some(4), 0), "seen 4 times by a and b");
    // Beyond what is known of both, or where sightings were not noted.
    assert_eq!(told(&all[..3], Some(3), 0).split(" by").next(), Some("seen at least 3 times"));
    assert_eq!(told(&all[..3], None, 1).split(" by").next(), Some("seen at least 4 times"));
}

#[test]
fn a_message_that_changed_places_did_so_there_if_a_server_says_so_and_back_if_all_say_that_it_did_not() {
    let told = |count: u64, numbers: &[u64], epoch: u32| {
        let mut known = known(10, 0);
        known.are_messages = true;
        [3, 5].iter().for_each(|number| _ = known.behind.set(*number, State::WHOLE));
        let out_of_order = OutOfOrder { count, numbers: numbers.to_vec() };
        let found = judged(&known, vec![Statement { epoch, out_of_order, ..statement(10) }]);
        assert!(found.hurt() >= 2, "{found:?}");
        let order = found.reordered.expect("of messages");
        [order.on_the_way_there.count, order.on_the_way_back.count, order.way_unknown.count]
    };
    assert_eq!(told(0, &[], 1), [0, 2, 0]);
    // What only a server has seen in another order has changed places there, and back again.
    assert_eq!(told(2, &[5, 7], 1), [2, 1, 0]);
    assert_eq!(told(3, &[5, 7], 1), [2, 0, 1]);
    assert_eq!(told(2, &[5, 77], 1), [1, 1, 0], "one that was not sent");
    assert_eq!(told(0, &[], 2), [0, 0, 2]);
    assert!(judged(&known(10, 0), vec![statement(10)]).reordered.is_none());
    let mut known = known(10, 0);
    (known.are_messages, known.unordered) = (true, 3);
    let found = judged(&known, vec![statement(10)]);
    assert_eq!(found.reordered.as_ref().map(|order| order.not_compared), Some(3));
    assert!(found.is_clean(), "nothing is wrong with any of them");
}

#[test]
fn an_echo_that_came_again_is_reported_unless_a_server_has_seen_that_message_again() {
    let entry = |number: u64, sighting: u8| Entry {
        number,
        attempt: 0,
        sighting,
        instance: "one".to_owned(),
        method: "MESSAGE".to_owned(),
        status: 0,
        received_ns: u64::from(sighting),
        replied_ns: 0,
        ended_ns: 10,
        sent: 1,
        end: End::Whole,
    };
    let mut known = known(90, 0);
    [1, 5].iter().for_each(|number| _ = known.strays.set(*number, State::WHOLE));
    let told = |repeated: &[u64], unnamed: u64| {
        let mut seen = statement(90);
        seen.repeats.after_success = repeated.len() as u64 + unnamed;
        seen.sightings += seen.repeats.all();
        seen.whole = seen.sightings;
        seen.entries = repeated.iter().flat_map(|number| [entry(*number, 1), entry(*number, 2)]).collect();
        let found = judged(&known, vec![seen]).echoed_again;
        (found.count, found.examples.first().map(|example| example.number))
    };
    assert_eq!(told(&[], 0), (2, Some(1)));
    assert_eq!(told(&[5], 0), (1, Some(1)));
    assert_eq!(told(&[1], 0), (1, Some(5)));
    // Repeats of others take nothing away.
    assert_eq!(told(&[2, 3], 0), (2, Some(1)));
    assert_eq!(told(&[2], 1).0, 1);
}
