//! Heads of sampled requests as they were sent, rendered once more: nothing of them is kept while a run goes on.

use contract::{
    id::Ids,
    ledger::{KeptFields, RequestHead},
};

use wire::Fields;

use crate::{
    plan::{Plan, Protocol, Texts},
    recorder::Sampled,
    verify::HeadsSent,
};

/// What was sent of each sample.
pub(super) fn sent(plan: &Plan, texts: &Texts, ids: Ids, samples: &[Sampled]) -> Vec<HeadsSent> {
    samples.iter().filter_map(|sample| one(plan, texts, ids, sample)).collect()
}

fn one(plan: &Plan, texts: &Texts, ids: Ids, Sampled { arrival, reply }: &Sampled) -> Option<HeadsSent> {
    let index = arrival.request as usize;
    let (request, site) = (plan.requests().get(index)?, plan.site_of(index));
    let id = arrival.id(ids);
    let text = request.head_text(site.target().protocol, &texts.values(arrival, request.rows(), Some(&id)));
    let (mut head, version) = read(ids.run, &text)?;
    let is_http2 = site.target().protocol == Protocol::Http2;
    head.trailers = Some(trailers(ids.run, &request.upload().trailers, is_http2));
    Some(HeadsSent {
        number: arrival.number,
        version,
        tls: site.tls().is_some(),
        request: head,
        reply: reply.clone(),
    })
}

/// What follows the body; over HTTP/2 names are in lower case.
fn trailers(run: u32, given: &Fields, is_http2: bool) -> KeptFields {
    let mut kept = KeptFields::of(run, given.iter());
    if is_http2 {
        kept.list.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
    }
    kept
}

/// Reads the text of a head, with the version of HTTP that it names.
fn read(run: u32, text: &str) -> Option<(RequestHead, String)> {
    let mut lines = text.lines();
    let (method, rest) = lines.next()?.split_once(' ')?;
    let (target, version) = rest.rsplit_once(' ')?;
    let mut fields = KeptFields::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        // The first character of a name may be the colon of a pseudo-field.
        let colon = line.get(1..)?.find(':')? + 1;
        let (name, value) = line.split_at(colon);
        fields.push(run, name.as_bytes(), value[1..].trim().as_bytes());
    }
    let head = RequestHead::new(run, method.as_bytes(), target.as_bytes());
    Some((RequestHead { fields, ..head }, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_both_protocols_are_read_back_from_their_texts() {
        for (text, name) in [
            ("GET /a?b=c d HTTP/1.1\nHost: x\nempty: \n\nbody: no\n", "Host"),
            ("GET /a?b=c d HTTP/2\n:authority: x\nempty: \n\n", ":authority"),
        ] {
            let (head, version) = read(1, text).unwrap();
            assert!(text.contains(&version) && head.method == "GET" && head.target == "/a?b=c d");
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            assert_eq!(head.fields.list, [pair(name, "x"), pair("empty", "")]);
        }
        for text in ["", "GET", "GET /", "GET / HTTP/1.1\nno-colon\n", "GET / HTTP/1.1\n\u{e4}: x\n"] {
            assert_eq!(read(1, text), None, "{text}");
        }
    }
}
