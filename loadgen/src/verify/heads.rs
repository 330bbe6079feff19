//! What was changed on the way in the heads of sampled requests and of their replies: both ends' heads, held against each other.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use contract::ledger::{ReplyHead, RequestHead, Sample, Statement};
use serde::{Deserialize, Serialize};

use super::differences::{Difference, HttpVersions, of_fields, of_trailers};

/// How many changes are shown of each direction.
const MAX_CHANGES: usize = 64;

/// What came of comparing heads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// Sampled requests whose head is known at both ends.
    pub requests: u64,
    /// Sampled replies whose head is.
    pub replies: u64,
    /// Requests and replies with more fields than are kept, which are not compared.
    pub too_large: u64,
    /// Connections on either side.
    pub connections: ConnectionsSeen,
    /// What was changed in requests, the most frequent first.
    pub in_requests: Vec<HeadChange>,
    /// What was changed in replies, the most frequent first.
    pub in_replies: Vec<HeadChange>,
    /// How many further changes there were, of other fields.
    pub more: u64,
}

/// Connections on either side of what is between loadgen and servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionsSeen {
    /// Those that loadgen opened.
    pub opened: u64,
    /// Those on which servers have seen requests of the run.
    pub seen: u64,
}

/// One kind of change of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadChange {
    /// What was done.
    pub kind: HeadChangeKind,
    /// To which field; empty where it is about no field.
    pub name: String,
    /// Whether it is in the trailers, and not in the head.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trailer: bool,
    /// In how many of the sampled ones.
    pub count: u64,
    /// The number of the first request in which it was.
    pub number: u64,
    /// What was sent there.
    pub sent: String,
    /// What arrived there.
    pub arrived: String,
}

/// What was done to a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadChangeKind {
    /// A field was added.
    Added,
    /// A field was dropped.
    Dropped,
    /// A field has another name, and the same value.
    Renamed,
    /// The name of a field has another case.
    Recased,
    /// Fields, or several of one name, came in another order.
    Reordered,
    /// Several fields of one name became one.
    Merged,
    /// One field became several.
    Split,
    /// A field has another value.
    Value,
    /// The request has another method.
    Method,
    /// The request has another target.
    Target,
    /// The reply has another status.
    Status,
    /// Another version of HTTP, or with TLS on one side alone.
    Protocol,
}

/// A request as it was sent, and what came of its reply.
#[derive(Clone, Debug)]
pub(crate) struct HeadsSent {
    pub(crate) number: u64,
    pub(crate) version: String,
    pub(crate) tls: bool,
    pub(crate) request: RequestHead,
    /// By the server with this epoch.
    pub(crate) reply: Option<(u32, ReplyHead)>,
}

const HTTP2: &str = "HTTP/2";

/// Compares what was sent with what servers have seen, and replies the other way round. None where there is nothing to compare.
pub(crate) fn compare(sent: &[HeadsSent], statements: &[Statement], opened: u64) -> Option<Heads> {
    let mut seen: BTreeMap<u64, Vec<(u32, &Sample)>> = BTreeMap::new();
    for statement in statements {
        for sample in &statement.samples {
            seen.entry(sample.number).or_default().push((statement.epoch, sample));
        }
    }
    let connections = statements.iter().map(|statement| statement.connections);
    let connections = ConnectionsSeen { opened, seen: connections.fold(0, u64::saturating_add) };
    let mut heads = Heads { connections, ..Heads::default() };
    let (mut in_requests, mut in_replies) = (HeadChanges::default(), HeadChanges::default());
    for sent in sent {
        let Some(samples) = seen.get(&sent.number) else { continue };
        let is_kept_whole =
            |sample: &&&Sample| (sent.request.left_out(), sample.request.left_out()) == (0, 0);
        match samples.iter().map(|(_, sample)| sample).find(is_kept_whole) {
            // One that was repeated is covered by the first.
            Some(sample) => {
                heads.requests += 1;
                in_requests.add(sent.number, of_request(sent, sample));
            }
            None => heads.too_large += 1,
        }
        let Some((epoch, reply)) = &sent.reply else { continue };
        let own = samples.iter().filter(|(of, _)| of == epoch);
        let found = own.filter_map(|(_, sample)| of_reply(sent, sample, reply));
        // Of several sightings it is the one that is most like it.
        match found.min_by_key(Vec::len) {
            Some(found) => {
                heads.replies += 1;
                in_replies.add(sent.number, found);
            }
            None => heads.too_large += u64::from(reply.left_out() > 0),
        }
    }
    (heads.in_requests, heads.in_replies) =
        (in_requests.told(&mut heads.more), in_replies.told(&mut heads.more));
    (heads.requests + heads.replies + heads.too_large > 0).then_some(heads)
}

fn way(sent: &HeadsSent, sample: &Sample, is_reply: bool) -> HttpVersions {
    let (near, far) = (sent.version == HTTP2, sample.version == HTTP2);
    let (sent_over_http2, arrived_over_http2) = if is_reply { (far, near) } else { (near, far) };
    HttpVersions { sent_over_http2, arrived_over_http2, is_reply }
}

fn of_request(sent: &HeadsSent, sample: &Sample) -> Vec<Difference> {
    let over =
        |version: &str, tls: bool| format!("{version} {}", if tls { "with TLS" } else { "without TLS" });
    let (own, theirs) = (&sent.request, &sample.request);
    let (near, far) = (over(&sent.version, sent.tls), over(&sample.version, sample.tls));
    let pairs = [
        (HeadChangeKind::Protocol, &near, &far),
        (HeadChangeKind::Method, &own.method, &theirs.method),
        (HeadChangeKind::Target, &own.target, &theirs.target),
    ];
    let pairs = pairs.into_iter().filter(|(_, own, theirs)| own != theirs);
    let mut found: Vec<_> = pairs.map(|(kind, own, theirs)| Difference::new(kind, "", own, theirs)).collect();
    let way = way(sent, sample, false);
    found.extend(of_fields(&own.fields, &theirs.fields, way));
    found.extend(of_trailers(own.trailers.as_ref(), theirs.trailers.as_ref(), way));
    found
}

/// What differs between the reply that a server gave and the one that came; none without the former.
fn of_reply(sent: &HeadsSent, sample: &Sample, came: &ReplyHead) -> Option<Vec<Difference>> {
    let given = sample.reply.as_ref()?;
    if (given.left_out(), came.left_out()) != (0, 0) {
        return None;
    }
    let way = way(sent, sample, true);
    let mut found = of_fields(&given.fields, &came.fields, way);
    found.extend(of_trailers(given.trailers.as_ref(), came.trailers.as_ref(), way));
    if given.status != came.status {
        let (given, came) = (given.status.to_string(), came.status.to_string());
        found.insert(0, Difference::new(HeadChangeKind::Status, "", &given, &came));
    }
    Some(found)
}

/// Changes by what they are.
#[derive(Default)]
struct HeadChanges(BTreeMap<(HeadChangeKind, bool, String), HeadChange>);

impl HeadChanges {
    fn add(&mut self, number: u64, differences: Vec<Difference>) {
        let mut counted = BTreeSet::new();
        for Difference { kind, trailer, name, sent, arrived } in differences {
            let key = (kind, trailer, name.to_ascii_lowercase());
            if !counted.insert(key.clone()) {
                continue;
            }
            let first = HeadChange { kind, name, trailer, count: 0, number, sent, arrived };
            let change = self.0.entry(key).or_insert(first);
            change.count += 1;
        }
    }

    /// Those that are shown; the others are added to `more`.
    fn told(self, more: &mut u64) -> Vec<HeadChange> {
        let mut changes: Vec<_> = self.0.into_values().collect();
        changes.sort_by_key(|change| std::cmp::Reverse(change.count));
        *more += changes.len().saturating_sub(MAX_CHANGES) as u64;
        changes.truncate(MAX_CHANGES);
        changes
    }
}

#[cfg(test)]
mod tests {
    use contract::ledger::KeptFields;

    use super::*;

    fn fields(list: &[(&str, &str)]) -> KeptFields {
        let mut fields = KeptFields::default();
        list.iter().for_each(|(name, value)| fields.push(1, name.as_bytes(), value.as_bytes()));
        fields
    }

    fn request(list: &[(&str, &str)]) -> RequestHead {
        RequestHead { fields: fields(list), ..RequestHead::new(1, b"GET", b"/x") }
    }

    fn sent(number: u64, epoch: u32, reply: &[(&str, &str)]) -> HeadsSent {
        let reply = Some((epoch, ReplyHead { status: 200, fields: fields(reply), trailers: None }));
        HeadsSent {
            number,
            version: "HTTP/1.1".to_owned(),
            tls: false,
            request: request(&[("Host", "a")]),
            reply,
        }
    }

    fn sample(number: u64, head: &[(&str, &str)], reply: &[(&str, &str)]) -> Sample {
        let reply = Some(ReplyHead { status: 200, fields: fields(reply), trailers: None });
        Sample { number, version: "HTTP/1.1".to_owned(), request: request(head), reply, ..Sample::default() }
    }

    fn statement(epoch: u32, samples: Vec<Sample>) -> Statement {
        Statement { epoch, connections: 2, samples, ..Statement::default() }
    }

    #[test]
    fn what_is_the_same_at_both_ends_is_not_a_change_and_what_is_known_at_one_is_not_compared() {
        let date = [("date", "x")];
        let same = [statement(1, vec![sample(1, &[("Host", "a")], &date)]), statement(2, Vec::new())];
        let heads = compare(&[sent(1, 1, &date), sent(2, 1, &date)], &same, 3).unwrap();
        let connections = ConnectionsSeen { opened: 3, seen: 4 };
        assert_eq!(heads, Heads { requests: 1, replies: 1, connections, ..Heads::default() });
        assert_eq!(compare(&[sent(3, 1, &date)], &same, 3), None);
        assert_eq!(compare(&[], &same, 3), None);
    }

    #[test]
    fn changes_are_counted_by_kind_and_field_with_the_first_as_an_example() {
        let head = [("Host", "b"), ("via", "p")];
        let samples = (0..9).map(|number| sample(number, if number < 6 { &head } else { &head[..1] }, &[]));
        let all: Vec<_> = (0..9).map(|number| sent(number, 1, &[("Server", "p")])).collect();
        let heads = compare(&all, &[statement(1, samples.collect())], 1).unwrap();
        let told: Vec<_> = heads
            .in_requests
            .iter()
            .map(|change| (change.kind, &*change.name, change.count, change.number))
            .collect();
        assert_eq!(told, [(HeadChangeKind::Value, "Host", 9, 0), (HeadChangeKind::Added, "via", 6, 0)]);
        assert_eq!((&*heads.in_requests[0].sent, &*heads.in_requests[0].arrived), ("a", "b"));
        assert_eq!((heads.in_replies[0].kind, heads.in_replies[0].count), (HeadChangeKind::Added, 9));
    }

    #[test]
    fn method_target_version_tls_and_status_are_also_compared() {
        let mut other = sample(1, &[("Host", "a")], &[]);
        other.tls = true;
        other.version = "HTTP/1.0".to_owned();
        (other.request.method, other.request.target) = ("POST".to_owned(), "/y".to_owned());
        other.reply = Some(ReplyHead { status: 204, ..ReplyHead::default() });
        let heads = compare(&[sent(1, 1, &[])], &[statement(1, vec![other])], 1).unwrap();
        let kinds: Vec<_> = heads.in_requests.iter().map(|change| change.kind).collect();
        assert_eq!(kinds, [HeadChangeKind::Method, HeadChangeKind::Target, HeadChangeKind::Protocol]);
        assert_eq!(heads.in_requests[2].arrived, "HTTP/1.0 with TLS");
        assert_eq!(heads.in_replies[0].kind, HeadChangeKind::Status);
    }

    #[test]
    fn trailers_are_compared_where_both_ends_know_them() {
        let trailers = |list: &[(&str, &str)]| Some(fields(list));
        let compare_trailers = |near: Option<KeptFields>, far: Option<KeptFields>| {
            let (mut sent, mut sample) = (sent(1, 1, &[]), sample(1, &[("Host", "a")], &[]));
            (sent.request.trailers, sample.request.trailers) = (near.clone(), far.clone());
            if let (Some((_, came)), Some(given)) = (&mut sent.reply, &mut sample.reply) {
                (given.trailers, came.trailers) = (near, far);
            }
            let heads = compare(&[sent], &[statement(1, vec![sample])], 1).unwrap();
            assert_eq!(heads.in_requests, heads.in_replies);
            let told = |change: &HeadChange| (change.kind, change.trailer, change.name.clone());
            heads.in_requests.iter().map(told).collect::<Vec<_>>()
        };
        let status = [("grpc-status", "0"), ("x", "1")];
        for (near, far, kind, name) in [
            (&status[..], &status[..1], HeadChangeKind::Dropped, "x"),
            (&status[..1], &status, HeadChangeKind::Added, "x"),
            (&status, &[("grpc-status", "13"), ("x", "1")], HeadChangeKind::Value, "grpc-status"),
        ] {
            let found = compare_trailers(trailers(near), trailers(far));
            assert_eq!(found, [(kind, true, name.to_owned())]);
        }
        assert_eq!(compare_trailers(trailers(&status), trailers(&status)), []);
        // One of the two has not come whole.
        assert_eq!(compare_trailers(trailers(&status), None), []);
        assert_eq!(compare_trailers(None, trailers(&status)), []);
    }

    #[test]
    fn the_reply_is_compared_with_the_sighting_that_it_is_of() {
        let samples =
            vec![sample(1, &[("Host", "a")], &[("n", "1")]), sample(1, &[("Host", "a")], &[("n", "2")])];
        let other = sample(1, &[("Host", "a")], &[("n", "3")]);
        let statements = [statement(1, samples), statement(2, vec![other])];
        for (epoch, value, changes) in [(1, "2", 0), (1, "1", 0), (2, "3", 0), (2, "1", 1)] {
            let heads = compare(&[sent(1, epoch, &[("n", value)])], &statements, 1).unwrap();
            assert_eq!((heads.requests, heads.replies, heads.in_replies.len()), (1, 1, changes), "{value}");
        }
    }

    #[test]
    fn heads_with_more_than_is_kept_are_not_compared_and_no_more_changes_are_shown_than_people_read() {
        let mut large = sample(1, &[("Host", "a")], &[]);
        large.request.fields.left_out = 1;
        let heads = compare(&[sent(1, 1, &[])], &[statement(1, vec![large])], 1).unwrap();
        assert_eq!((heads.requests, heads.too_large, heads.replies), (0, 1, 1));
        let names: Vec<_> = (0..100).map(|number| format!("x-{number}")).collect();
        let head: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        let heads = compare(&[sent(1, 1, &[])], &[statement(1, vec![sample(1, &head, &[])])], 1).unwrap();
        assert_eq!((heads.in_requests.len(), heads.more), (64, 37));
    }
}
