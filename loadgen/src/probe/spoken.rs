//! Which protocols are spoken with a proxy, before anything is asked through it; of each that is not, why.

use super::{
    client::{Cut, Session},
    gate::{Gate, Wanted},
    trial::{Finding, Trial},
};
use crate::plan::Protocol;

/// What is known of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// A request arrives with its token, and its reply comes back with what the server saw.
    Yes,
    /// It was refused, as it may be.
    No(&'static str),
    /// It should be, and something is wrong.
    Failed(String),
}

/// A column, and what can be asked there.
#[derive(Debug)]
pub(super) struct Opened {
    /// None: it was not found.
    pub(super) gate: Option<Gate>,
    /// Of those that its URL may be asked over.
    pub(super) protocols: Vec<(Protocol, Spoken)>,
}

impl Opened {
    /// Without a gate: none is spoken, for this reason.
    pub(super) fn not_found(wanted: &Wanted, why: &str) -> Self {
        let failed = |protocol: &Protocol| (*protocol, Spoken::Failed(why.to_owned()));
        Self { gate: None, protocols: wanted.protocols().iter().map(failed).collect() }
    }

    pub(super) fn of(&self, protocol: Protocol) -> Option<&Spoken> {
        self.protocols.iter().find(|(known, _)| *known == protocol).map(|(_, spoken)| spoken)
    }

    /// Those over which cases are asked.
    pub(super) fn spoken(&self) -> impl Iterator<Item = Protocol> {
        let spoken = self.protocols.iter().filter(|(_, spoken)| *spoken == Spoken::Yes);
        spoken.map(|(protocol, _)| *protocol)
    }

    /// Whether there are rows of it: it is spoken, or should be.
    pub(super) fn has(&self, protocol: Protocol) -> bool {
        matches!(self.of(protocol), Some(Spoken::Yes | Spoken::Failed(_)))
    }

    /// What stands in the way, if none is spoken.
    pub(super) fn problem(&self) -> Option<&str> {
        if self.spoken().next().is_some() {
            return None;
        }
        self.protocols.iter().rev().find_map(|(_, spoken)| match spoken {
            Spoken::Failed(why) => Some(why.as_str()),
            Spoken::Yes | Spoken::No(_) => None,
        })
    }

    /// Why there is nothing to ask over a protocol.
    pub(super) fn instead(&self, protocol: Protocol, name: &str) -> Option<Finding> {
        match self.of(protocol) {
            Some(Spoken::Yes) => None,
            Some(Spoken::No(why)) => {
                Some(Finding::not_applicable(format!("{name} is not spoken with it: {why}")))
            }
            Some(Spoken::Failed(problem)) => Some(Finding::unasked(problem.clone())),
            None => Some(Finding::not_applicable(format!("its URL is not asked over {name}"))),
        }
    }
}

/// Tries each protocol, and looks which servers there are.
pub(super) async fn open(gate: Gate, protocols: &[Protocol]) -> Opened {
    let mut found = Vec::new();
    for protocol in protocols {
        found.push((*protocol, one(&gate, *protocol).await));
    }
    let is_any = found.iter().any(|(_, spoken)| *spoken == Spoken::Yes);
    for (_, spoken) in &mut found {
        if let (Spoken::No(why), false) = (&*spoken, is_any) {
            *spoken = Spoken::Failed((*why).to_owned());
        }
    }
    let mut opened = Opened { gate: None, protocols: found };
    if let Some(protocol) = opened.spoken().next() {
        // What stands in the way of that, the first case will say.
        let _ = Trial::new(&gate, protocol).discover().await;
    }
    if let Some(problem) = opened.problem() {
        let why = format!(
            "no dummy-server answers at {} ({}), or its x-dummy-token and x-dummy-seen fields or its /ledger do not pass: {problem}",
            gate.name, gate.url
        );
        for (_, spoken) in &mut opened.protocols {
            *spoken = Spoken::Failed(why.clone());
        }
    }
    opened.gate = Some(gate);
    opened
}

async fn one(gate: &Gate, protocol: Protocol) -> Spoken {
    let mut trial = Trial::new(gate, protocol);
    let mut session = match Session::connect(gate, protocol, trial.until()).await {
        Ok(session) => session,
        Err(Cut::NotSpoken(why)) => return Spoken::No(why),
        Err(cut) => return Spoken::Failed(cut.to_string()),
    };
    // No cache has a reply to that.
    let ask = trial.ask("GET", &format!("/?probe={:08x}-{}", gate.ids.run, u8::from(trial.is_http2())));
    let reply = match trial.on(&mut session, &ask, &[]).await {
        Ok(reply) => reply,
        Err(finding) => return Spoken::Failed(finding.what),
    };
    if let (None, Some(Cut::Malformed(_) | Cut::Closed | Cut::Reset), Protocol::Http1, false) =
        (reply.status, &reply.cut, protocol, gate.site.target().tls)
        && gate.site.target().protocol == Protocol::Http2
    {
        return Spoken::No("a request over it was not answered in HTTP/1.1");
    }
    if let Err(finding) = reply.of_server() {
        return Spoken::Failed(finding.what);
    }
    if let Some(crossed) = trial.crossed {
        return Spoken::Failed(crossed);
    }
    // One try will do: nothing has failed yet.
    gate.is_cut_off.set(true);
    if let Err(finding) = trial.settle().await {
        return Spoken::Failed(finding.what);
    }
    let behind = reply.echoed("protocol").unwrap_or_default();
    gate.upstream.borrow_mut().insert(protocol == Protocol::Http2, behind);
    Spoken::Yes
}
