//! Two heads of one message, at one end and at the other: in what they differ. Pure.

use contract::ledger::KeptFields;

use super::HeadChangeKind;

/// How many names of fields a changed order is shown with.
const SHOWN: usize = 8;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) kind: HeadChangeKind,
    /// Whether it is in the trailers.
    pub(super) trailer: bool,
    /// The name of the field, as it was sent or else as it arrived; empty where it is about no field.
    pub(super) name: String,
    pub(super) sent: String,
    pub(super) arrived: String,
}

impl Difference {
    pub(super) fn new(kind: HeadChangeKind, name: &str, sent: &str, arrived: &str) -> Self {
        let [name, sent, arrived] = [name, sent, arrived].map(str::to_owned);
        Self { kind, trailer: false, name, sent, arrived }
    }
}

/// Between what a message was sent over and what it arrived over.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpVersions {
    pub(super) sent_over_http2: bool,
    pub(super) arrived_over_http2: bool,
    pub(super) is_reply: bool,
}

/// Fields of one name, in order.
struct FieldGroup<'f> {
    /// The name in lower case; that of the authority is `host`.
    key: String,
    fields: Vec<&'f (String, String)>,
}

impl<'f> FieldGroup<'f> {
    fn name(&self) -> &'f str {
        self.fields.first().map_or("", |(name, _)| name)
    }

    fn values(&self) -> Vec<&'f str> {
        self.fields.iter().map(|(_, value)| value.as_str()).collect()
    }

    fn shown(&self) -> String {
        self.values().join(" | ")
    }
}

/// In what trailers differ: nothing is said of those of a message that did not come whole.
pub(super) fn of_trailers(
    sent: Option<&KeptFields>,
    arrived: Option<&KeptFields>,
    way: HttpVersions,
) -> impl Iterator<Item = Difference> {
    let found = sent.zip(arrived).map(|(sent, arrived)| of_fields(sent, arrived, way));
    found.into_iter().flatten().map(|difference| Difference { trailer: true, ..difference })
}

/// In what the fields of one head differ.
pub(super) fn of_fields(sent: &KeptFields, arrived: &KeptFields, way: HttpVersions) -> Vec<Difference> {
    let (sent, arrived) = (groups(sent, way), groups(arrived, way));
    let mut found = Vec::new();
    let (mut added, mut dropped): (Vec<&FieldGroup<'_>>, Vec<&FieldGroup<'_>>) = (Vec::new(), Vec::new());
    for own in &sent {
        match arrived.iter().find(|group| group.key == own.key) {
            Some(theirs) => found.extend(of_group(own, theirs, way)),
            None => dropped.push(own),
        }
    }
    added.extend(arrived.iter().filter(|theirs| sent.iter().all(|own| own.key != theirs.key)));
    // The same value under another name.
    dropped.retain(|own| {
        let renamed = added.iter().position(|theirs| theirs.values() == own.values() && own.has_content());
        let Some(theirs) = renamed.map(|at| added.remove(at)) else { return true };
        found.push(Difference::new(HeadChangeKind::Renamed, own.name(), own.name(), theirs.name()));
        false
    });
    found.extend(
        dropped.iter().map(|own| Difference::new(HeadChangeKind::Dropped, own.name(), &own.shown(), "")),
    );
    found.extend(
        added.iter().map(|theirs| Difference::new(HeadChangeKind::Added, theirs.name(), "", &theirs.shown())),
    );
    found.extend(order(&sent, &arrived, way));
    found
}

impl FieldGroup<'_> {
    fn has_content(&self) -> bool {
        self.fields.iter().any(|(_, value)| !value.is_empty())
    }
}

fn groups(fields: &KeptFields, way: HttpVersions) -> Vec<FieldGroup<'_>> {
    let mut groups: Vec<FieldGroup<'_>> = Vec::new();
    for field in &fields.list {
        let key = match field.0.to_ascii_lowercase() {
            name if name == ":authority" => "host".to_owned(),
            name => name,
        };
        // They are of one connection: a server does not keep what it sends of them, and HTTP/2 has none (RFC 9113 section 8.2.2).
        let is_of_connection =
            ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].contains(&&*key);
        if is_of_connection && (way.is_reply || way.sent_over_http2 || way.arrived_over_http2) {
            continue;
        }
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.fields.push(field),
            None => groups.push(FieldGroup { key, fields: vec![field] }),
        }
    }
    groups
}

fn of_group(sent: &FieldGroup<'_>, arrived: &FieldGroup<'_>, way: HttpVersions) -> Option<Difference> {
    let (own, theirs) = (sent.values(), arrived.values());
    let kind = if own == theirs {
        if !is_recased(sent, arrived, way) {
            return None;
        }
        return Some(Difference::new(HeadChangeKind::Recased, sent.name(), sent.name(), arrived.name()));
    } else if own.len() != theirs.len() && parts(&sent.key, &own) == parts(&sent.key, &theirs) {
        if theirs.len() < own.len() { HeadChangeKind::Merged } else { HeadChangeKind::Split }
    } else if own.len() < theirs.len() && is_within(&own, &theirs) {
        HeadChangeKind::Added
    } else if own.len() > theirs.len() && is_within(&theirs, &own) {
        HeadChangeKind::Dropped
    } else if is_permutation(&own, &theirs) {
        HeadChangeKind::Reordered
    } else {
        HeadChangeKind::Value
    };
    Some(Difference::new(kind, sent.name(), &sent.shown(), &arrived.shown()))
}

/// Whether names differ in case, where they could have kept it: over HTTP/2 there is no upper case (RFC 9113 section 8.2.1).
fn is_recased(sent: &FieldGroup<'_>, arrived: &FieldGroup<'_>, way: HttpVersions) -> bool {
    let is_plain = |name: &str| !name.starts_with(':');
    let mut pairs = sent.fields.iter().zip(&arrived.fields);
    !way.arrived_over_http2
        && pairs.any(|((own, _), (theirs, _))| own != theirs && is_plain(own) && is_plain(theirs))
}

/// The elements of a list in several fields (RFC 9110 section 5.6.1); of cookies, the crumbs (RFC 9113 section 8.2.3).
fn parts<'v>(key: &str, values: &[&'v str]) -> Vec<&'v str> {
    let between = if key == "cookie" { ';' } else { ',' };
    values.iter().flat_map(|value| value.split(between)).map(str::trim).collect()
}

/// Whether all of `few` are in `many`, in this order.
fn is_within(few: &[&str], many: &[&str]) -> bool {
    let mut many = many.iter();
    few.iter().all(|wanted| many.any(|value| value == wanted))
}

fn is_permutation(one: &[&str], other: &[&str]) -> bool {
    let sorted = |values: &[&str]| {
        let mut values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        values.sort_unstable();
        values
    };
    one.len() == other.len() && sorted(one) == sorted(other)
}

/// Whether what is in both comes in another order.
fn order(sent: &[FieldGroup<'_>], arrived: &[FieldGroup<'_>], way: HttpVersions) -> Option<Difference> {
    // Over HTTP/2 the authority stands before all fields.
    let is_other_version = way.sent_over_http2 != way.arrived_over_http2;
    let common = |groups: &[FieldGroup<'_>], others: &[FieldGroup<'_>]| -> Vec<String> {
        let known = groups.iter().filter(|group| others.iter().any(|other| other.key == group.key));
        known
            .filter(|group| !(is_other_version && group.key == "host"))
            .map(|group| group.key.clone())
            .collect()
    };
    let (own, theirs) = (common(sent, arrived), common(arrived, sent));
    let first = own.iter().zip(&theirs).position(|(own, theirs)| own != theirs)?;
    let shown = |names: &[String]| {
        let names = &names[first..];
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        names[..names.len().min(SHOWN)].join(", ") + more
    };
    Some(Difference::new(HeadChangeKind::Reordered, "", &shown(&own), &shown(&theirs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP1: HttpVersions =
        HttpVersions { sent_over_http2: false, arrived_over_http2: false, is_reply: false };

    fn fields(text: &str) -> KeptFields {
        let mut fields = KeptFields::default();
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            let (name, value) = line.rsplit_once(": ").unwrap();
            fields.push(1, name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn found(sent: &str, arrived: &str, way: HttpVersions) -> Vec<(HeadChangeKind, String)> {
        let found = of_fields(&fields(sent), &fields(arrived), way);
        found.into_iter().map(|difference| (difference.kind, difference.name)).collect()
    }

    fn assert_one(sent: &str, arrived: &str, kind: HeadChangeKind, name: &str) {
        assert_eq!(found(sent, arrived, HTTP1), [(kind, name.to_owned())], "{sent} -> {arrived}");
    }

    #[test]
    fn each_kind_of_change_is_found_and_no_other() {
        let sent = "Host: a\nX-One: 1\nX-List: a\nX-List: b\nAccept: */*";
        assert_eq!(found(sent, sent, HTTP1), []);
        for (arrived, kind, name) in [
            ("Host: a\nX-One: 1\nX-List: a\nX-List: b\nAccept: */*\nVia: p", HeadChangeKind::Added, "Via"),
            ("Host: a\nX-List: a\nX-List: b\nAccept: */*", HeadChangeKind::Dropped, "X-One"),
            (
                "Host: a\nX-One: 1\nX-List: a\nX-List: b\nX-List: c\nAccept: */*",
                HeadChangeKind::Added,
                "X-List",
            ),
            ("Host: a\nX-One: 1\nX-List: b\nAccept: */*", HeadChangeKind::Dropped, "X-List"),
            ("Host: a\nX-Uno: 1\nX-List: a\nX-List: b\nAccept: */*", HeadChangeKind::Renamed, "X-One"),
            ("Host: a\nx-one: 1\nX-List: a\nX-List: b\nAccept: */*", HeadChangeKind::Recased, "X-One"),
            ("Host: a\nX-One: 1\nX-List: a,b\nAccept: */*", HeadChangeKind::Merged, "X-List"),
            ("Host: a\nX-One: 1\nX-List: a, b\nAccept: */*", HeadChangeKind::Merged, "X-List"),
            ("Host: a\nX-One: 1\nX-List: b\nX-List: a\nAccept: */*", HeadChangeKind::Reordered, "X-List"),
            ("Host: a\nX-One: 2\nX-List: a\nX-List: b\nAccept: */*", HeadChangeKind::Value, "X-One"),
            ("Host: a\nX-List: a\nX-List: b\nX-One: 1\nAccept: */*", HeadChangeKind::Reordered, ""),
        ] {
            assert_one(sent, arrived, kind, name);
        }
        assert_one("a: x, y", "a: x\na: y", HeadChangeKind::Split, "a");
        assert_one("a: x, y", "a: x, z, y", HeadChangeKind::Value, "a");
        // Nothing is the same as nothing.
        let both = [(HeadChangeKind::Dropped, "a".to_owned()), (HeadChangeKind::Added, "b".to_owned())];
        assert_eq!(found("a: ", "b: ", HTTP1), both);
    }

    #[test]
    fn what_another_version_of_http_requires_is_not_a_change() {
        let to_http2 = HttpVersions { arrived_over_http2: true, ..HTTP1 };
        let sent = "Accept: */*\nHost: a\nConnection: keep-alive\nTE: trailers";
        assert_eq!(found(sent, ":authority: a\naccept: */*\nte: trailers", to_http2), []);
        let from_http2 = HttpVersions { sent_over_http2: true, ..HTTP1 };
        let arrived = "host: a\ntransfer-encoding: chunked\naccept: */*";
        assert_eq!(found("accept: */*\n:authority: a", arrived, from_http2), []);
        let recased = "host: a\nAccept: */*";
        assert_eq!(
            found("accept: */*\n:authority: a", recased, from_http2),
            [(HeadChangeKind::Recased, "accept".to_owned())]
        );
        let reply = HttpVersions { is_reply: true, ..HTTP1 };
        assert_eq!(found("date: x", "connection: close\ndate: x", reply), []);
        assert_eq!(found("date: x", "connection: close\ndate: x", HTTP1).len(), 1);
    }

    #[test]
    fn a_long_order_is_shown_from_where_it_differs() {
        let names: Vec<_> = (0..20).map(|number| format!("f{number}: x")).collect();
        let mut moved = names.clone();
        let last = moved.pop().unwrap();
        moved.insert(2, last);
        let found = of_fields(&fields(&names.join("\n")), &fields(&moved.join("\n")), HTTP1);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sent, "f2, f3, f4, f5, f6, f7, f8, f9, ...");
        assert!(found[0].arrived.starts_with("f19, f2, f3"), "{found:?}");
    }
}
