//! Which protocols a proxy supports, tried before anything is asked through it; of each that it does not, why.

use super::{
    client::{Cut, Session},
    gate::{ColumnOptions, Gate},
    trial::{CaseFinding, Trial},
};
use crate::plan::Protocol;

/// What is known of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// A request arrives with its token, and its reply comes back with what the server saw.
    Yes,
    /// It was refused, as it may be.
    No(&'static str),
    /// It should be, and something is wrong.
    Failed(String),
}

/// A column, and what can be asked there.
#[derive(Debug)]
pub(super) struct OpenedColumn {
    /// Or why it was not found.
    pub(super) gate: Result<Gate, String>,
    /// Of those that its URL may be asked over.
    pub(super) protocols: Vec<(Protocol, Support)>,
}

impl OpenedColumn {
    /// Without a gate: none is supported, for this reason.
    pub(super) fn not_found(wanted: &ColumnOptions, why: String) -> Self {
        let failed = |protocol: &Protocol| (*protocol, Support::Failed(why.clone()));
        Self { protocols: wanted.protocols().iter().map(failed).collect(), gate: Err(why) }
    }

    pub(super) fn of(&self, protocol: Protocol) -> Option<&Support> {
        self.protocols.iter().find(|(known, _)| *known == protocol).map(|(_, support)| support)
    }

    /// Those over which cases are asked.
    pub(super) fn supported(&self) -> impl Iterator<Item = Protocol> {
        let supported = self.protocols.iter().filter(|(_, support)| *support == Support::Yes);
        supported.map(|(protocol, _)| *protocol)
    }

    /// Whether there are rows of it: it is supported, or should be.
    pub(super) fn has(&self, protocol: Protocol) -> bool {
        matches!(self.of(protocol), Some(Support::Yes | Support::Failed(_)))
    }

    /// What stands in the way, if none is supported.
    pub(super) fn problem(&self) -> Option<&str> {
        if self.supported().next().is_some() {
            return None;
        }
        self.protocols.iter().rev().find_map(|(_, support)| match support {
            Support::Failed(why) => Some(why.as_str()),
            Support::Yes | Support::No(_) => None,
        })
    }

    /// What is asked over a protocol.
    ///
    /// # Errors
    /// Why there is nothing to ask over it.
    pub(super) fn gate_for(&self, protocol: Protocol, name: &str) -> Result<&Gate, CaseFinding> {
        match self.of(protocol) {
            Some(Support::Yes) => self.gate.as_ref().map_err(|why| CaseFinding::unasked(why.clone())),
            Some(Support::No(why)) => {
                Err(CaseFinding::not_applicable(format!("{name} is not spoken with it: {why}")))
            }
            Some(Support::Failed(problem)) => Err(CaseFinding::unasked(problem.clone())),
            None => Err(CaseFinding::not_applicable(format!("its URL is not asked over {name}"))),
        }
    }
}

/// Tries each protocol, and looks which servers there are.
pub(super) async fn try_each(gate: Gate, wanted: &[Protocol]) -> OpenedColumn {
    let mut protocols = Vec::new();
    for protocol in wanted {
        protocols.push((*protocol, try_one(&gate, *protocol).await));
    }
    let is_any = protocols.iter().any(|(_, support)| *support == Support::Yes);
    for (_, support) in &mut protocols {
        if let (Support::No(why), false) = (&*support, is_any) {
            *support = Support::Failed((*why).to_owned());
        }
    }
    let (name, url) = (gate.name.clone(), gate.url.clone());
    let mut opened = OpenedColumn { gate: Ok(gate), protocols };
    if let (Some(protocol), Ok(gate)) = (opened.supported().next(), &opened.gate) {
        // What stands in the way of that, the first case will say.
        let _ = Trial::new(gate, protocol).discover().await;
    }
    if let Some(problem) = opened.problem() {
        let why = format!(
            "no dummy-server answers at {name} ({url}), or its x-dummy-token and x-dummy-seen fields or its /ledger do not pass: {problem}",
        );
        for (_, support) in &mut opened.protocols {
            *support = Support::Failed(why.clone());
        }
    }
    opened
}

async fn try_one(gate: &Gate, protocol: Protocol) -> Support {
    let mut trial = Trial::new(gate, protocol);
    let mut session = match Session::connect(gate, protocol, trial.until()).await {
        Ok(session) => session,
        Err(Cut::NotSpoken(why)) => return Support::No(why),
        Err(cut) => return Support::Failed(cut.to_string()),
    };
    // No cache has a reply to that.
    let ask = trial.ask("GET", &format!("/?probe={:08x}-{}", gate.ids.run, u8::from(trial.is_http2())));
    let reply = match trial.on(&mut session, &ask, &[]).await {
        Ok(reply) => reply,
        Err(finding) => return Support::Failed(finding.what),
    };
    if let (None, Some(Cut::Malformed(_) | Cut::Closed | Cut::Reset), Protocol::Http1, false) =
        (reply.status, &reply.cut, protocol, gate.site.target().tls)
        && gate.site.target().protocol == Protocol::Http2
    {
        return Support::No("a request over it was not answered in HTTP/1.1");
    }
    if let Err(finding) = reply.of_server() {
        return Support::Failed(finding.what);
    }
    if let Some(crossed) = trial.crossed {
        return Support::Failed(crossed);
    }
    // One try will do: nothing has failed yet.
    gate.is_cut_off.set(true);
    if let Err(finding) = trial.settle().await {
        return Support::Failed(finding.what);
    }
    let behind = reply.echoed("protocol").unwrap_or_default();
    gate.upstream.borrow_mut().insert(protocol == Protocol::Http2, behind);
    Support::Yes
}
