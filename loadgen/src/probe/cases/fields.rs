//! Many fields, and large ones.

use super::{
    super::{
        client::get,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

/// How many fields a request has; a reply has what dummy-server can be asked for.
const MANY: usize = 100;
const MANY_OF_REPLY: usize = 40;
/// Below the 8 KiB that many take for a line, and above the 4 KiB that some take for the head of a reply.
const LARGE: usize = 6000;

pub(super) static CASE: Case = Case {
    number: 17,
    name: "fields",
    title: "Many and large fields arrive",
    why: "Cookies and tokens grow until a limit on the way refuses them.",
    issues: &[],
    asks: "A request with 100 fields more or one of 6000 bytes, and a reply with 40 more or one of 6000 bytes: do they arrive \
           unchanged, or what is said instead?",
    rules: &[],
    is_described: false,
    variants: &["many", "large", "many-of-reply", "large-of-reply"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    if let "many-of-reply" | "large-of-reply" = variant {
        return of_reply(variant, trial).await;
    }
    let wanted: Vec<(String, String)> = if variant == "many" {
        (0..MANY).map(|number| (format!("x-probe-{number}"), number.to_string())).collect()
    } else {
        vec![("x-probe-0".to_owned(), "x".repeat(LARGE))]
    };
    let ask = wanted.iter().fold(trial.ask("GET", "/"), |ask, (name, value)| ask.with(name, value));
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let seen = reply.echoed_pairs("headers_list");
    let arrived = wanted.iter().filter(|(name, value)| get(&seen, name) == Some(value)).count();
    Ok(counted(arrived, wanted.len()))
}

async fn of_reply(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let (ask, count, value) = if variant == "many-of-reply" {
        let query: String =
            (0..MANY_OF_REPLY).map(|number| format!("&dummy-header=x-probe-{number}:a")).collect();
        (trial.ask("GET", &format!("/bin/10?probe{query}")), MANY_OF_REPLY, "a".to_owned())
    } else {
        let value = "x".repeat(LARGE);
        let ask = trial.ask("GET", "/bin/10").with("x-dummy-header", &format!("x-probe-0:{value}"));
        (ask, 1, value)
    };
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let is_there = |number: &usize| get(&reply.fields, &format!("x-probe-{number}")) == Some(value.as_str());
    Ok(counted((0..count).filter(is_there).count(), count))
}

fn counted(arrived: usize, sent: usize) -> CaseFinding {
    if arrived == sent {
        CaseFinding::kept(format!("{arrived} of {sent} arrived"))
    } else {
        CaseFinding::changed(format!("{arrived} of {sent} arrived as they were sent"))
    }
}
