//! What was proven of messages of streams of gRPC calls, in sentences.

use super::{by_status, count, examples, repeated};
use crate::verify::{Finding, Verification};

/// The sentences, the first of which says whether all is well.
pub(super) fn sentences(found: &Verification) -> Vec<String> {
    let mut sentences = vec![first(found)];
    let lost = &found.never_arrived;
    let reordered = found.reordered.iter();
    let reordered = reordered.flat_map(|order| {
        [
            (&order.on_the_way_there, "were reordered on the way there"),
            (&order.on_the_way_back, "were reordered on the way back"),
        ]
    });
    let findings: [(&Finding, &str); 11] = [
        (&lost.unanswered, "neither arrived nor were answered: lost on the way there"),
        (&lost.answered_by_proxy, "never arrived and were answered in between"),
        (&lost.refused, "were refused by a server in each attempt"),
        (&found.cut_on_the_way_back, "arrived and were answered, and the answer was lost on the way back"),
        (&found.cut_by_the_server, "arrived, and the server did not answer them"),
        (&found.crossed, "were answered in another call: crossed"),
        (&found.cached, "never arrived and were answered in another call"),
        (&found.echoed_again, "were answered once, and the answers came again"),
        (&found.foreign, "were seen by servers and never sent: a replay or a mirror"),
        (&found.payload.truncated, "came back cut short"),
        (&found.payload.corrupted, "came back changed"),
    ];
    let changed = (&found.uploads.differing, "arrived changed");
    for (finding, what) in findings.into_iter().chain([changed]).chain(reordered) {
        if finding.count > 0 {
            let (times, statuses) = (count(finding.count), by_status(finding));
            sentences.push(format!("messages: {times} {what}{statuses}{}", examples(&finding.examples)));
        }
    }
    let repeats = &found.repeated;
    if repeats.counts.all() > 0 {
        sentences.push(format!("messages: {}{}", repeated(&repeats.counts), examples(&repeats.examples)));
    }
    if found.unjudged > 0 {
        sentences.push(format!("messages: {} cannot be judged", count(found.unjudged)));
    }
    sentences.extend(found.off.iter().map(|off| format!("messages: {off}")));
    sentences
}

fn first(found: &Verification) -> String {
    let replies = found.replies.filter(|replies| *replies > 0).map(count);
    let all = match (found.sent, replies) {
        (0, Some(replies)) => format!("{replies} messages of server streams"),
        (sent, None) => format!("{} messages of streams", count(sent)),
        (sent, Some(replies)) => {
            format!("{} messages of streams and {replies} of server streams", count(sent))
        }
    };
    // Of what can't be judged it is not known that anything happened.
    match found.hurt().saturating_sub(found.unjudged) {
        0 if found.unjudged == 0 && found.is_clean() => {
            format!("each of {all} arrived once, in order and unchanged")
        }
        0 => format!("nothing is known to have happened to {all}, and not all is proven"),
        1 => format!("1 thing happened to {all}"),
        hurt => format!("{} things happened to {all}", count(hurt)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_judged_has_not_happened() {
        let found = Verification { sent: 10, unjudged: 2, replies: Some(0), ..Verification::default() };
        let said = [
            "nothing is known to have happened to 10 messages of streams, and not all is proven",
            "messages: 2 cannot be judged",
        ];
        assert_eq!(sentences(&found), said);
        let found = Verification { unjudged: 0, ..found };
        assert_eq!(
            sentences(&found),
            ["each of 10 messages of streams arrived once, in order and unchanged"]
        );
        let mut found = Verification { unjudged: 2, ..found };
        found.crossed.count = 1;
        assert_eq!(first(&found), "1 thing happened to 10 messages of streams");
    }
}
