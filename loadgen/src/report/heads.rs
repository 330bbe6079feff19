//! What was changed on the way in heads of sampled requests and replies, in lines: the same for text and Markdown.

use crate::{
    numbers::{count, plural},
    verify::{ConnectionsSeen, HeadChange, HeadChangeKind, Heads},
};

/// How many changes people are shown of each direction.
const SHOWN: usize = 24;
/// How much of what was sent, or arrived, they are shown.
const LONGEST: usize = 80;

/// A title and what is said under it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

/// One block for each direction in which something was changed, or one without lines.
pub(super) fn sections(heads: &Heads) -> Vec<Section> {
    let Heads { requests, replies, in_requests, in_replies, .. } = heads;
    let of = connections(&heads.connections);
    if in_requests.is_empty() && in_replies.is_empty() {
        let (requests, replies) = (plural(*requests, "request"), count(*replies));
        let title =
            format!("Heads of {requests} and {replies} of their replies arrived as they were sent ({of})");
        return vec![Section { title: title + &left_out(heads), lines: Vec::new() }];
    }
    let mut blocks = Vec::new();
    for (changes, all, what, more) in [
        (in_requests, *requests, "requests", format!("; {of}")),
        (in_replies, *replies, "replies", String::new()),
    ] {
        if changes.is_empty() {
            continue;
        }
        let title = format!("What the proxy changed in {what} ({} sampled{more})", count(all));
        let mut lines: Vec<_> = changes.iter().take(SHOWN).map(|change| line(change, all)).collect();
        if changes.len() > SHOWN {
            lines.push(format!("and {} more changes, as the report in JSON has them", changes.len() - SHOWN));
        }
        blocks.push(Section { title, lines });
    }
    // What is of both directions is said behind the last.
    if let Some(Section { title, lines }) = blocks.last_mut() {
        title.push_str(&left_out(heads));
        if heads.more > 0 {
            lines.push(format!("and {} changes of further fields, which no report has", count(heads.more)));
        }
    }
    blocks
}

fn left_out(heads: &Heads) -> String {
    match heads.too_large {
        0 => String::new(),
        large => format!("; {} with too many fields not compared", count(large)),
    }
}

fn connections(ConnectionsSeen { opened, seen }: &ConnectionsSeen) -> String {
    format!("{} opened by loadgen, {} seen by servers", plural(*opened, "connection"), count(*seen))
}

/// What was done, in how many, and what the first one was.
fn line(change: &HeadChange, all: u64) -> String {
    let HeadChange { kind, name, number, sent, arrived, .. } = change;
    let (sent, arrived) = (short(sent), short(arrived));
    let (of, field) = if change.trailer { ("trailer ", "trailer") } else { ("", "field") };
    let what = match kind {
        HeadChangeKind::Added => format!("added {of}{name}: '{arrived}'"),
        HeadChangeKind::Dropped => format!("dropped {of}{name}: '{sent}'"),
        HeadChangeKind::Renamed => format!("renamed {of}{sent} to {arrived}"),
        HeadChangeKind::Recased => format!("changed the case of {of}{sent} to {arrived}"),
        HeadChangeKind::Reordered if name.is_empty() => {
            format!("reordered {field}s: {sent} became {arrived}")
        }
        HeadChangeKind::Reordered => format!("reordered values of {of}{name}: '{sent}' became '{arrived}'"),
        HeadChangeKind::Merged => format!("merged {field}s {name}: '{sent}' became '{arrived}'"),
        HeadChangeKind::Split => format!("split {field} {name}: '{sent}' became '{arrived}'"),
        HeadChangeKind::Value => format!("changed the value of {of}{name}: '{sent}' became '{arrived}'"),
        HeadChangeKind::Method => format!("changed the method: {sent} became {arrived}"),
        HeadChangeKind::Target => format!("changed the target: '{sent}' became '{arrived}'"),
        HeadChangeKind::Status => format!("changed the status: {sent} became {arrived}"),
        HeadChangeKind::Protocol => format!("changed the protocol: {sent} became {arrived}"),
    };
    let often = if change.count == all { "all".to_owned() } else { count(change.count) };
    format!("{what} (in {often}, first in #{number})")
}

fn short(text: &str) -> String {
    let shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() { shown + "..." } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: HeadChangeKind, name: &str, count: u64, sent: &str, arrived: &str) -> HeadChange {
        let [name, sent, arrived] = [name, sent, arrived].map(str::to_owned);
        HeadChange { kind, name, trailer: false, count, number: 3, sent, arrived }
    }

    fn heads(in_requests: Vec<HeadChange>, in_replies: Vec<HeadChange>) -> Heads {
        let connections = ConnectionsSeen { opened: 1, seen: 12 };
        Heads { requests: 9, replies: 8, connections, in_requests, in_replies, ..Heads::default() }
    }

    #[test]
    fn what_was_changed_is_said_with_how_often_and_an_example() {
        let changes = vec![
            change(HeadChangeKind::Added, "via", 9, "", "1.1 p"),
            change(HeadChangeKind::Merged, "X-List", 2, "a | b", "a, b"),
            change(HeadChangeKind::Target, "", 1, &"/".repeat(100), "/y"),
            HeadChange { trailer: true, ..change(HeadChangeKind::Dropped, "x-sum", 1, "7", "") },
        ];
        let blocks = sections(&heads(changes, vec![change(HeadChangeKind::Dropped, "date", 8, "x", "")]));
        let titles: Vec<_> = blocks.iter().map(|block| block.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "What the proxy changed in requests (9 sampled; 1 connection opened by loadgen, 12 seen by servers)",
                "What the proxy changed in replies (8 sampled)"
            ]
        );
        assert_eq!(blocks[0].lines[0], "added via: '1.1 p' (in all, first in #3)");
        assert_eq!(blocks[0].lines[1], "merged fields X-List: 'a | b' became 'a, b' (in 2, first in #3)");
        assert!(blocks[0].lines[2].contains("//...' became '/y'"), "{}", blocks[0].lines[2]);
        assert_eq!(blocks[0].lines[3], "dropped trailer x-sum: '7' (in 1, first in #3)");
        assert_eq!(blocks[1].lines, ["dropped date: 'x' (in all, first in #3)"]);
        let dropped = vec![change(HeadChangeKind::Dropped, "date", 8, "x", "")];
        let blocks = sections(&Heads { more: 37, too_large: 2, ..heads(Vec::new(), dropped) });
        assert!(blocks[0].title.ends_with("(8 sampled); 2 with too many fields not compared"), "{blocks:?}");
        assert_eq!(blocks[0].lines[1], "and 37 changes of further fields, which no report has");
    }

    #[test]
    fn that_nothing_was_changed_is_one_line_and_long_lists_are_cut() {
        let none = sections(&heads(Vec::new(), Vec::new()));
        assert_eq!(
            none[0].title,
            "Heads of 9 requests and 8 of their replies arrived as they were sent (1 connection opened by loadgen, 12 seen \
             by servers)"
        );
        assert!(none.len() == 1 && none[0].lines.is_empty());
        let many =
            (0..30).map(|index| change(HeadChangeKind::Added, &format!("x-{index}"), 1, "", "")).collect();
        let many = sections(&heads(many, Vec::new()));
        assert_eq!((many[0].lines.len(), many.len()), (SHOWN + 1, 1));
        let large = Heads { too_large: 2, ..heads(Vec::new(), Vec::new()) };
        assert!(sections(&large)[0].title.ends_with("; 2 with too many fields not compared"));
    }
}
