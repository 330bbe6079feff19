//! What a probe has found: data, for the reports. Nothing here is judged, asked or written.

use serde::Serialize;

use super::transcript::Line;

/// The version of the JSON report.
pub const VERSION: u32 = 1;

/// The result of what a case asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it would be without the proxy.
    Kept,
    /// Otherwise, which is allowed.
    Changed,
    /// The proxy has replied in place of the server.
    AnsweredItself,
    /// The proxy has refused the request or the connection.
    Refused,
    /// Against a MUST on the role that is judged.
    Broken,
    /// Not the same in all rounds.
    Unstable,
    /// It is not judged.
    Described,
    /// It can't be asked here.
    NotApplicable,
    /// The proxy could not be reached, has gone or fails over this protocol, or what came from it was not HTTP: nothing is known of the
    /// case.
    Unasked,
    /// The probe was interrupted before.
    NotAsked,
}

impl State {
    /// Whether there is nothing to say of it: it is as it should be, or is not asked.
    #[must_use]
    pub fn is_silent(self) -> bool {
        matches!(self, Self::Kept | Self::NotApplicable | Self::NotAsked)
    }

    /// As reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::AnsweredItself => "answered itself",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Unstable => "unstable",
            Self::Described => "described",
            Self::NotApplicable => "not applicable",
            Self::Unasked => "could not be asked",
            Self::NotAsked => "not asked",
        }
    }
}

/// As what the thing in between is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It stands for the server: a reverse proxy, a load balancer (RFC 9110 section 3.7).
    #[default]
    Gateway,
    /// Its client has chosen it: a forward proxy.
    Proxy,
}

/// A rule that has a MUST in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Where it stands.
    pub section: &'static str,
    /// What it says.
    pub quote: &'static str,
    /// Whom it binds: broken by anyone else, it is a change.
    pub roles: Roles,
}

/// Which roles a rule binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Roles {
    /// Each of them.
    Both,
    /// Gateways alone, which are bound like the server that they stand for.
    Gateways,
    /// Proxies alone.
    Proxies,
}

impl Rule {
    /// Whether it is one for this role.
    #[must_use]
    pub fn binds(&self, role: Role) -> bool {
        match self.roles {
            Roles::Both => true,
            Roles::Gateways => role == Role::Gateway,
            Roles::Proxies => role == Role::Proxy,
        }
    }
}

/// One round of a variant.
#[derive(Clone, Debug, Serialize)]
pub struct CaseRound {
    /// What happened to it.
    pub state: State,
    /// How.
    pub what: String,
    /// What was sent, seen, replied and received.
    pub transcript: Vec<Line>,
}

/// A variant through one proxy.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// What happened to it in all rounds.
    pub state: State,
    /// How.
    pub what: String,
    /// The rule that was not kept, whether it binds the role that is judged or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Whether a rule that binds the role was broken in any round.
    pub breaks_a_must: bool,
    /// A command that repeats it, as far as one can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curl: Option<String>,
    /// Where the user says that this is disputed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disputed: Option<String>,
    /// Each round.
    pub rounds: Vec<CaseRound>,
}

/// A variant of a case over one protocol, through all proxies.
#[derive(Clone, Debug, Serialize)]
pub struct CaseRow {
    /// The number of the case.
    pub case: u8,
    /// Its name.
    pub name: &'static str,
    /// Whether it is described, and never judged.
    pub is_described: bool,
    /// The variant.
    pub variant: &'static str,
    /// What is spoken with the proxy.
    pub protocol: &'static str,
    /// In the order of the columns.
    pub cells: Vec<Cell>,
}

/// One proxy, or the server itself.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// As it is called.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Whether nothing is in between.
    pub is_direct: bool,
    /// What is spoken with it.
    pub protocols: Vec<&'static str>,
    /// What the user says of it: version, configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it speaks with the server, where the server has said so.
    pub upstream: Vec<String>,
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// The version of this report.
    pub version: u32,
    /// What wrote it.
    pub loadgen: &'static str,
    /// As what proxies are judged.
    pub role: Role,
    /// How often each variant was tried.
    pub rounds: u32,
    /// The limit of each wait, in milliseconds.
    pub timeout_ms: u64,
    /// Whether it was interrupted: what had not been asked yet is not known.
    pub interrupted: bool,
    /// Proxies, the server itself first if it was asked directly.
    pub columns: Vec<Column>,
    /// Variants.
    pub rows: Vec<CaseRow>,
}

impl Matrix {
    /// What is not as it should be without a proxy: the probe itself is wrong then, or the server is not what it takes it for.
    pub fn unclean(&self) -> impl Iterator<Item = (&CaseRow, &Cell)> {
        let direct = self.columns.iter().position(|column| column.is_direct);
        let cells = self.rows.iter().filter_map(move |row| Some((row, row.cells.get(direct?)?)));
        cells.filter(|(row, cell)| {
            !row.is_described && !cell.state.is_silent() && cell.state != State::Unasked
        })
    }

    /// What could not be asked, and through which proxy.
    pub fn unasked(&self) -> impl Iterator<Item = (&Column, &CaseRow, &Cell)> {
        let cells = self.rows.iter().flat_map(|row| {
            self.columns.iter().zip(&row.cells).map(move |(column, cell)| (column, row, cell))
        });
        cells.filter(|(_, _, cell)| cell.state == State::Unasked)
    }

    /// Whether any proxy has broken a rule that binds it.
    #[must_use]
    pub fn breaks_a_must(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.breaks_a_must)
    }
}
