//! Trailers arrive as trailers.

use super::{
    super::{
        client::{AskedBody, Framing, get},
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

static RULE: Rule = Rule {
    section: "RFC 9110 section 6.5.1",
    quote: "A recipient MUST NOT merge a trailer field into a header section unless the recipient understands the \
            corresponding header field definition and that definition explicitly permits and defines how trailer field \
            values can be safely merged.",
    roles: Roles::Both,
};

pub(super) static CASE: Case = Case {
    number: 10,
    name: "trailers",
    title: "Trailers arrive as trailers",
    why: "gRPC has its status there: without it a call that failed looks broken, or well.",
    issues: &["traefik#4181", "sozu#899", "squid#2079"],
    asks: "The server ends a reply with a trailer, the client a request; and a gRPC call fails without content. What comes of \
           trailers and status? They may be dropped, but not moved to the header section.",
    rules: &[&RULE],
    is_described: false,
    variants: &["reply", "request", "grpc-trailers-only"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    match variant {
        "reply" => of_reply(trial).await,
        "request" => of_request(trial).await,
        _ => of_call(trial).await,
    }
}

async fn of_reply(trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("GET", "/?dummy-trailer=x-probe:kept&dummy-no-length").with("TE", "trailers");
    let ask = if trial.is_http2() { ask } else { ask.with("Connection", "TE") };
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    Ok(if get(&reply.trailers, "x-probe") == Some("kept") {
        CaseFinding::kept("it came as a trailer")
    } else if get(&reply.fields, "x-probe").is_some() {
        CaseFinding::against(&RULE, "it came in the header section")
    } else {
        CaseFinding::changed("dropped")
    })
}

async fn of_request(trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("POST", "/").with("Trailer", "x-probe").content(Framing::Chunked);
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    let _ = trial.send(&mut session, b"probe", false).await;
    trial.transcript.note(super::super::transcript::Side::Sent, "the trailer x-probe: kept");
    let _ = session.end_with("x-probe", "kept", trial.until()).await;
    let reply = trial.reply(&mut session, &ask).await;
    reply.of_server()?;
    let has = |list: &str| get(&reply.echoed_pairs(list), "x-probe").is_some();
    Ok(if has("trailers") {
        CaseFinding::kept("it arrived as a trailer")
    } else if has("headers_list") {
        CaseFinding::against(&RULE, "it arrived in the header section")
    } else {
        CaseFinding::changed("dropped")
    })
}

/// UNIMPLEMENTED, in a reply that is a head and nothing else.
async fn of_call(trial: &mut Trial<'_>) -> CaseOutcome {
    if !trial.is_http2() {
        return Ok(CaseFinding::not_applicable("needs HTTP/2 towards the proxy"));
    }
    if !trial.is_http2_behind() {
        return Ok(CaseFinding::not_applicable("needs HTTP/2 between proxy and server, as gRPC does"));
    }
    let ask = trial.ask("POST", "/probe.Nothing/Nothing").content(Framing::Chunked);
    let ask = ask.with("Content-Type", "application/grpc").with("TE", "trailers").body(AskedBody::Message);
    let reply = trial.exchange(&ask, &[0; 5]).await?;
    let status = get(&reply.fields, "grpc-status").or_else(|| get(&reply.trailers, "grpc-status"));
    Ok(match (status, reply.status, &reply.cut) {
        (Some("12"), ..) => CaseFinding::kept("grpc-status 12"),
        (Some(other), ..) => CaseFinding::changed(format!("grpc-status {other} in place of 12")),
        (None, Some(status), _) if reply.seen().is_none() => CaseFinding::own_reply(status),
        (None, _, Some(cut)) => CaseFinding::cut(cut),
        (None, ..) => CaseFinding::changed("the status of the call was dropped"),
    })
}
