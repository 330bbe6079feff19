//! Which requests were repeated in between, how often, and what came before.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use contract::ledger::{End, Entry, Repeat, State};

use super::{Example, MAX_EXAMPLES, Repeated, judge::told, servers::Servers};
use crate::clock::Nanos;

/// How often a request was seen.
#[derive(Clone, Copy)]
struct Times {
    count: usize,
    /// Or it was seen more often.
    is_least: bool,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} times", if self.is_least { "at least " } else { "" }, self.count)
    }
}

/// What was repeated in between, with what came before it; `are_all_known` says whether all that was seen was stated.
pub(super) fn repeated(servers: &Servers, start: Nanos, are_all_known: bool) -> Repeated {
    let stated = &servers.all.seen_again;
    let counts = stated.by_request();
    let mut by_request: BTreeMap<(u64, u8), Vec<&Entry>> = BTreeMap::new();
    let several = counts.iter().filter(|(_, count)| **count > 1).map(|(request, _)| *request);
    for request in several.chain(servers.by_several.iter().map(|number| (*number, 0))) {
        by_request.insert(request, Vec::new());
    }
    for entry in &servers.all.entries {
        by_request.entry((entry.number, entry.attempt)).or_default().push(entry);
    }
    let mut examples = Vec::new();
    for (request, mut entries) in by_request {
        let number = request.0;
        entries.sort_by_key(|entry| entry.received_ns);
        entries.dedup();
        let seen_by = servers.each.iter().filter(|(_, pages)| pages.get(number) != State::UNSEEN);
        let seen_by: Vec<&str> = seen_by.map(|(name, _)| name.as_str()).collect();
        // Those that the pages know are first attempts.
        let seen_by = if request.1 == 0 { seen_by } else { Vec::new() };
        let said = counts.get(&request).map_or(1, |count| *count as usize);
        let count = said.max(entries.len()).max(seen_by.len());
        let is_stated = stated.end.is_none_or(|end| number < end) && said == count;
        if count < 2 {
            continue;
        }
        let times = Times { count, is_least: !(is_stated && are_all_known) };
        examples.push(again(&entries, &seen_by, times, told(None, number, start)));
        if examples.len() == MAX_EXAMPLES {
            break;
        }
    }
    Repeated { counts: servers.all.repeats, examples }
}

/// One that was repeated, of which these entries are known, and which these servers have seen.
fn again(entries: &[&Entry], seen_by: &[&str], times: Times, example: Example) -> Example {
    // A server that was started again is one for each start.
    let names: BTreeSet<&str> = seen_by.iter().copied().collect();
    let names = names.into_iter().collect::<Vec<_>>().join(" and ");
    let by_all = if names.is_empty() { String::new() } else { format!(" by {names}") };
    let Some(first) = entries.first() else {
        return Example { what: format!("seen {times}{by_all}"), ..example };
    };
    let second = entries.get(1);
    let by = second.map(|entry| entry.instance.as_str());
    let by = by.or_else(|| seen_by.iter().copied().find(|name| *name != first.instance));
    let how = match second.map(|second| Repeat::between(first, second)) {
        Some(Repeat::AfterRefusal) => "after a refusal".to_owned(),
        Some(Repeat::Concurrent) => "while it was under way".to_owned(),
        _ if first.status == 0 && first.end == End::Whole => "after its echo".to_owned(),
        _ if first.status == 0 => "after a connection that broke without a reply".to_owned(),
        _ => format!("after {}", first.status),
    };
    let again = format!("again {how} from {}, by {}", first.instance, by.unwrap_or("the same"));
    // Of those that are not known closely, any may have come between the two.
    let are_first = !times.is_least && entries.len() == times.count || times.count == 2;
    let what = match are_first {
        true => format!("seen {times}: {again}"),
        false => format!("seen {times}{by_all}, among these {again}"),
    };
    Example {
        status: Some(first.status).filter(|status| *status != 0),
        method: Some(first.method.clone()),
        instance: Some(first.instance.clone()),
        what,
        ..example
    }
}
