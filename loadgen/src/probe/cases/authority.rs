//! Whom a request is for: `Host`, the target and `:authority`.

use super::{
    super::{
        client::get,
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

/// A name that stands for no host (RFC 2606).
const OTHER: &str = "probe.invalid";

static HOST: Rule = Rule {
    section: "RFC 9112 section 3.2",
    quote: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host \
            header field and to any request message that contains more than one Host header field line or a Host header \
            field with an invalid field value.",
    roles: Roles::Both,
};

static ABSOLUTE: Rule = Rule {
    section: "RFC 9112 section 3.2.2",
    quote: "When a proxy receives a request with an absolute-form of request-target, the proxy MUST ignore the received \
            Host header field (if any) and instead replace it with the host information of the request-target.",
    roles: Roles::Proxies,
};

/// What binds origin servers binds gateways towards their clients (RFC 9110 section 3.7).
static ABSOLUTE_OF_GATEWAYS: Rule = Rule {
    section: "RFC 9112 section 3.2.2",
    quote: "When an origin server receives a request with an absolute-form of request-target, the origin server MUST \
            ignore the received Host header field (if any) and instead use the host information of the request-target.",
    roles: Roles::Gateways,
};

static AUTHORITY: Rule = Rule {
    section: "RFC 9113 section 8.3.1",
    quote: "An intermediary that needs to generate a Host header field (which might be necessary to construct an HTTP/1.1 \
            request) MUST use the value from the \":authority\" pseudo-header field as the value of the Host field, unless \
            the intermediary also changes the request target.",
    roles: Roles::Both,
};

pub(super) static CASE: Case = Case {
    number: 19,
    name: "authority",
    title: "Whom a request is for is clear",
    why: "Where proxy and server read different hosts, rules for a host can be got around.",
    issues: &[],
    asks: "A request with two Host fields or none, one whose target names another host than Host, and one whose :authority is not its \
           Host. Which one does the server see, or is it refused? What proxy and server take otherwise is a way past rules for hosts.",
    rules: &[&HOST, &ABSOLUTE, &ABSOLUTE_OF_GATEWAYS, &AUTHORITY],
    is_described: false,
    variants: &["two-hosts", "no-host", "absolute-form", "host-differs"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    match variant {
        "host-differs" => differing(trial).await,
        _ if trial.is_http2() => Ok(CaseFinding::not_applicable("needs HTTP/1.1 towards the proxy")),
        "absolute-form" => absolute(trial).await,
        _ => hosts(variant, trial).await,
    }
}

async fn hosts(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("GET", "/");
    let own = format!("Host: {}", ask.authority);
    let other = format!("Host: {OTHER}");
    let fields: &[&str] = if variant == "no-host" { &[] } else { &[&own, &other] };
    let mut session = trial.connect().await?;
    trial.raw(&mut session, &ask, (&format!("GET {} HTTP/1.1", ask.target), fields, "")).await?;
    let reply = trial.reply(&mut session, &ask).await;
    Ok(match (reply.status, &reply.cut) {
        (Some(400), _) => CaseFinding::kept("400"),
        (Some(status), _) if status >= 400 => CaseFinding::changed(format!("{status} in place of 400")),
        (Some(status), _) => {
            let seen = get(&reply.echoed_pairs("headers_list"), "host").unwrap_or("none").to_owned();
            CaseFinding::against(&HOST, format!("{status} in place of 400; the Host that arrived is {seen}"))
        }
        (None, Some(cut)) => CaseFinding::cut(cut),
        (None, None) => CaseFinding::changed("no reply"),
    })
}

async fn absolute(trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("GET", "/");
    let own = format!("Host: {}", ask.authority);
    let mut session = trial.connect().await?;
    let scheme = if ask.is_secure { "https" } else { "http" };
    let line = format!("GET {scheme}://{OTHER}{} HTTP/1.1", ask.target);
    trial.raw(&mut session, &ask, (&line, &[&own], "")).await?;
    let reply = trial.reply(&mut session, &ask).await;
    reply.of_server()?;
    let pairs = reply.echoed_pairs("headers_list");
    let host = get(&pairs, "host").unwrap_or_default();
    let uri = reply.echoed("uri").unwrap_or_default();
    Ok(match host {
        OTHER => CaseFinding::kept("the host of the target arrived"),
        _ if trial.gate.is_direct => CaseFinding::kept("target and Host arrived"),
        // Whoever is behind a gateway has the target as it was sent, and is bound as it is.
        host if host == ask.authority && host_of(&uri) == OTHER => {
            CaseFinding::against(&ABSOLUTE, format!("target and Host arrived, which is {host}"))
        }
        host if host == ask.authority => {
            let what = format!("Host arrived as {host}, and the host of the target did not");
            CaseFinding::against_all(&[&ABSOLUTE, &ABSOLUTE_OF_GATEWAYS], what)
        }
        host => CaseFinding::changed(format!("Host arrived as {host}")),
    })
}

async fn differing(trial: &mut Trial<'_>) -> CaseOutcome {
    if !trial.is_http2() {
        return Ok(CaseFinding::not_applicable("needs HTTP/2 towards the proxy"));
    }
    let ask = trial.ask("GET", "/").with("host", OTHER);
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let uri = reply.echoed("uri").unwrap_or_default();
    Ok(match host_of(&uri) {
        OTHER if trial.is_http2_behind() => CaseFinding::changed(format!("it arrived for {OTHER}")),
        OTHER => CaseFinding::against(
            &AUTHORITY,
            "the request arrived with Host as it was, and not with :authority",
        ),
        host if host == ask.authority => CaseFinding::kept(":authority arrived"),
        host => CaseFinding::changed(format!("it arrived for {host}")),
    })
}

/// The host and the port of an absolute URI.
fn host_of(uri: &str) -> &str {
    uri.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()).unwrap_or_default()
}
