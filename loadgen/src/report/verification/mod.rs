//! What was proven of a run, in sentences: the same for text and Markdown.

mod streams;

use contract::ledger::Repeats;

use super::{escape::shortened, split};
use crate::{
    clock::nanos,
    numbers::{count, plural, seconds},
    verify::{Example, Finding, Survival, Verification},
};

/// How many examples of each finding people are shown.
const SHOWN: usize = 3;

/// How many characters of a server's name.
const NAME: usize = 39;

/// The sentences, the first of which says whether all is well.
pub(super) fn sentences(found: &Verification) -> Vec<String> {
    let mut sentences = vec![first(found)];
    if !found.servers.is_empty() {
        sentences.push(arrived(found));
    }
    let findings: [(&Finding, &str); 17] = [
        (&found.never_arrived.answered_by_proxy, "never arrived and were answered in between"),
        (&found.never_arrived.unanswered, "neither arrived nor were answered"),
        (&found.never_arrived.not_written, "did not leave and were not answered"),
        (
            &found.never_arrived.refused,
            "were refused by a server in each attempt: it never processed them, and they are safe to retry",
        ),
        (&found.answered_in_place, "arrived, and the reply that came back is not the server's"),
        (&found.cut_on_the_way_back, "arrived and were answered, and the reply was cut on the way back"),
        (&found.cut_on_the_way_there, "arrived in part, and their bodies were cut on the way there"),
        (&found.cut_by_the_server, "arrived, and the server did not answer them"),
        (&found.given_up, "arrived, and loadgen gave them up after --timeout"),
        (&found.crossed, "were given the reply to another request, which had arrived as they had: crossed"),
        (
            &found.cached,
            "never arrived and were given the reply to another request: from a cache, or collapsed",
        ),
        (&found.status_changed, "replies came with another status than the server gave them"),
        (&found.echoed_again, "messages were echoed once, and their echoes came again"),
        (&found.foreign, "were seen by servers and never sent: a replay or a mirror"),
        (&found.payload.truncated, "bodies end too early, and cleanly"),
        (&found.payload.corrupted, "bodies are not those of their requests"),
        (&found.uploads.differing, "uploads arrived otherwise than they were sent"),
    ];
    let reordered = found.reordered.iter().flat_map(|order| {
        [
            (&order.on_the_way_there, "messages were reordered on their WebSockets on the way there"),
            (&order.on_the_way_back, "messages were reordered on their WebSockets on the way back"),
            (&order.way_unknown, "messages were reordered on their WebSockets, on which way is not known"),
        ]
    });
    for (finding, what) in findings.into_iter().chain(reordered) {
        if finding.count > 0 {
            let statuses = by_status(finding);
            sentences.push(format!(
                "{} {what}{statuses}{}",
                count(finding.count),
                examples(&finding.examples)
            ));
        }
    }
    if found.repeated.counts.all() > 0 {
        sentences.push(repeated(&found.repeated.counts) + &examples(&found.repeated.examples));
    }
    let not_compared = found.reordered.as_ref().map_or(0, |order| order.not_compared);
    for (times, what) in [
        (not_compared, "echoes were not compared in order: loadgen had sent their messages in another"),
        (found.uploads.checked, "uploads were compared with what was sent, by the servers"),
        (found.refused, "were refused by a server before it had processed them"),
        (found.own_attempts, "were further attempts of loadgen itself, and arrived as well"),
    ] {
        if times > 0 {
            sentences.push(format!("{} {what}", count(times)));
        }
    }
    let Finding { count: lost, examples: lost_examples, .. } = &found.token_lost;
    if *lost > 0 {
        sentences.push(format!(
            "{} cannot be judged: their replies name a server and carry no token: it was lost on the way there or back, or the reply is a stored one from before the run{}{}",
            count(*lost),
            by_status(&found.token_lost),
            examples(lost_examples)
        ));
    }
    let unjudged = found.unjudged.saturating_sub(*lost);
    if unjudged > 0 {
        sentences.push(format!("{} requests cannot be judged", count(unjudged)));
    }
    for (epoch, replies) in &found.epochs_lost {
        let replies = count(*replies);
        sentences.push(format!(
            "a server (epoch {epoch:08x}) gave {replies} replies and has not reported what it has seen"
        ));
    }
    let proven = found.tokens.iter().filter(|survival| !survival.is_off());
    sentences.extend(proven.filter_map(Survival::note));
    if let Some(messages) = &found.messages {
        sentences.extend(streams::sentences(messages));
    }
    if found.has_streams {
        let text = "of calls with streams of your own messages, or of other services, the call is proven; the messages have no \
                    tokens, and are counted where echo.EchoService sends each of them back";
        sentences.push(text.to_owned());
    }
    sentences.extend(found.off.iter().cloned());
    sentences.extend(found.time.iter().flat_map(split::sentences));
    sentences
}

fn first(found: &Verification) -> String {
    let all = count(found.sent);
    if found.servers.is_empty() {
        return format!("of {all} requests nothing is proven: no server has reported what it has seen");
    }
    if found.is_clean() && found.sent == 1 {
        return "the request arrived once, and was given its own reply, whole".to_owned();
    }
    if found.is_clean() {
        let is_in_order = found.reordered.as_ref().is_some_and(|order| order.not_compared == 0);
        let in_order = if is_in_order { ", in order on its WebSocket" } else { "" };
        return format!("each of {all} requests arrived once{in_order}, and was given its own reply, whole");
    }
    match found.hurt() {
        0 => format!("nothing is known to have happened to {all} requests, and not all is proven"),
        1 => format!("1 thing happened to {all} requests"),
        hurt => format!("{} things happened to {all} requests", count(hurt)),
    }
}

fn arrived(found: &Verification) -> String {
    let names: Vec<_> =
        found.servers.iter().map(|server| shortened(&server.instance, NAME)).take(8).collect();
    let more = if found.servers.len() > names.len() { ", ..." } else { "" };
    let servers = plural(found.servers.len() as u64, "server");
    let asked = match found.epochs_lost.len() {
        0 => "all that replied were asked",
        _ => "not all that replied could be asked",
    };
    format!(
        "{} sent; {} arrived, seen {} times at {servers} ({}{more}; {asked}, quiet after {})",
        count(found.sent),
        count(found.arrived),
        count(found.sightings),
        names.join(", "),
        seconds(nanos(found.waited)),
    )
}

fn by_status(finding: &Finding) -> String {
    let statuses = finding.statuses.iter().map(|(status, times)| format!("{status} x {}", count(*times)));
    let statuses: Vec<_> = statuses.collect();
    if statuses.is_empty() { String::new() } else { format!(" ({})", statuses.join(", ")) }
}

fn repeated(repeats: &Repeats) -> String {
    let kinds = [
        (repeats.after_success, "after success"),
        (repeats.after_failure, "after a failure"),
        (repeats.after_refusal, "after a safe refusal"),
        (repeats.concurrent, "at the same time"),
    ];
    let kinds = kinds.into_iter().filter(|(times, _)| *times > 0);
    let kinds: Vec<_> = kinds.map(|(times, kind)| format!("{} {kind}", count(times))).collect();
    format!("{} repeated in between: {}", count(repeats.all()), kinds.join(", "))
}

fn examples(examples: &[Example]) -> String {
    let shown: Vec<_> = examples.iter().take(SHOWN).map(shown).collect();
    let more = if examples.len() > SHOWN { "; ..." } else { "" };
    if shown.is_empty() { String::new() } else { format!(": {}{more}", shown.join("; ")) }
}

fn shown(example: &Example) -> String {
    let method = match (example.message, example.method.as_deref()) {
        (Some(message), _) => format!(" message {message}"),
        (None, method) => method.map(|method| format!(" {method}")).unwrap_or_default(),
    };
    let offset = example.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
    let due = match example.due {
        None => String::new(),
        Some(due) if due < 0.0 => format!(", due in the warm-up, {:.3} s before its end", -due),
        Some(due) => format!(", due at {due:.3} s"),
    };
    format!("#{}{method}{offset} {}{due}", example.number, example.what)
}
