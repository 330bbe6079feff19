//! What servers have seen of a verified run, as their admin port reports it: the end that loadgen's report is held against.

use std::net::SocketAddr;

use contract::ledger::{Pages, State, Statement};

use crate::{
    client::{Protocol, Request, fetch},
    report::Report,
};

/// The ledgers of all servers of a process for one run.
#[derive(Clone, Debug)]
pub struct Ledgers {
    /// One for each start of a server.
    pub statements: Vec<Statement>,
    pages: Pages,
}

impl Ledgers {
    /// Asks for those of the run that a report is of.
    ///
    /// # Panics
    /// When the report is of no verified run, or the servers do not answer.
    pub async fn read(admin: SocketAddr, report: &Report) -> Self {
        let run = report.json()["verify"]["run"].as_str().expect("a verified run");
        let reply = fetch(Protocol::Http1, admin, Request::get(&format!("/ledger?run={run}"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let statements = Statement::read_all(reply.text().as_bytes()).expect("statements");
        let mut pages = Pages::default();
        for statement in &statements {
            pages.merge(&statement.pages.pages().expect("pages"), |_, _, _| {});
        }
        Self { statements, pages }
    }

    /// Heads of requests that came, each time one did.
    #[must_use]
    pub fn sightings(&self) -> u64 {
        self.sum(|statement| statement.sightings)
    }

    /// How many requests came, each counted once.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.pages.count()
    }

    /// How many of them were answered whole, and not with 5xx.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.pages.iter().filter(|(_, state)| *state == State::WHOLE).count() as u64
    }

    /// Whether this request came.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        self.pages.get(number) != State::UNSEEN
    }

    /// The sum of a count over all servers.
    #[must_use]
    pub fn sum(&self, count: impl Fn(&Statement) -> u64) -> u64 {
        self.statements.iter().map(count).sum()
    }
}
