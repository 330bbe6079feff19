//! The comparisons: what is measured, under which load, against which peers, and what the goal is.
//!
//! A row's first contender is ours; every other one is compared with it.

mod client;
mod memory;
mod pair;
mod server;

use std::fmt;

use anyhow::{Result, bail};

use crate::{
    args::{Args, Mode},
    client::Client,
    load::{Body, Load, Protocol},
    server::Server,
    tools::Tool,
};

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metric {
    /// Microseconds of the server's CPU time per request.
    ServerPerRequest,
    /// Seconds of the server's CPU time per 10^9 bytes of bodies.
    ServerPerGb,
    /// Microseconds of the client's CPU time per request.
    ClientPerRequest,
    /// Microseconds of the CPU time of both ends per request.
    BothPerRequest,
    /// 99th percentile of due to picked up, in microseconds.
    LagP99,
    /// 99th percentile of the arrivals' distance from a perfect schedule at the server, in microseconds.
    ArrivalErrorP99,
    /// Requests per second.
    Rate,
    /// KiB by which the server's resident memory grew, per idle connection.
    ServerMemory,
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Target {
    /// Whether `value` reaches it.
    #[must_use]
    pub fn met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

/// One of those compared.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// As it is called in the table.
    pub name: &'static str,
    /// The server.
    pub server: Server,
    /// The client.
    pub client: &'static dyn Client,
    /// What our value divided by this one's is to be.
    pub target: Option<Target>,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// As given to `--only`.
    pub id: &'static str,
    /// What is compared, for people.
    pub title: &'static str,
    /// The value compared.
    pub metric: Metric,
    /// The load.
    pub load: Load,
    /// What our own value may be at most.
    pub limit: Option<f64>,
    /// Ours first.
    pub contenders: Vec<Contender>,
}

/// The rows of a mode, or those named in `only`.
///
/// # Errors
/// A name in `only` is not a row of this mode.
pub fn of(mode: Mode, seconds: f64, smoke: bool, only: &[String]) -> Result<Vec<Row>> {
    // The aims of some rows are stated for a fixed duration, however long the others run.
    let stated = |aim: f64| if smoke { seconds } else { aim };
    let rows = match mode {
        Mode::Server => server::rows(seconds),
        Mode::Client => client::rows(seconds, stated(10.0), stated(5.0)),
        Mode::Pair => pair::rows(seconds),
        Mode::Memory => memory::rows(stated(2.0), if smoke { 1000 } else { 10_000 }),
        // They have no peers, or others.
        Mode::Growth | Mode::Crowd | Mode::Proxies | Mode::Split => Vec::new(),
    };
    if let Some(unknown) = only.iter().find(|name| rows.iter().all(|row| row.id != name.as_str())) {
        let known: Vec<&str> = rows.iter().map(|row| row.id).collect();
        bail!("{} has no row {unknown}: {} are accepted", mode.name(), known.join(", "));
    }
    Ok(rows.into_iter().filter(|row| only.is_empty() || only.iter().any(|name| name == row.id)).collect())
}

/// Compares ours with ours before a change instead of with peers.
pub fn beside_before(rows: &mut [Row], args: &Args) {
    for row in rows {
        let mut before = Contender { name: "before", ..row.contenders[0] };
        if args.dummy_server_before.is_some() && before.server == Server::DummyServer {
            before.server = Server::DummyServerBefore;
        }
        if args.loadgen_before.is_some() && before.client.tool() == Some(Tool::Loadgen) {
            before.client = before.client.before().unwrap_or(before.client);
        }
        row.contenders.truncate(1);
        row.contenders.push(before);
    }
}

const fn http1(body: Body, connections: u32, seconds: f64) -> Load {
    Load { protocol: Protocol::Http1, body, connections, streams: 1, rate: None, seconds }
}

const fn h2c(body: Body, connections: u32, streams: u32, seconds: f64) -> Load {
    Load { protocol: Protocol::H2c, body, connections, streams, rate: None, seconds }
}

const fn contender(name: &'static str, server: Server, client: &'static dyn Client) -> Contender {
    Contender { name, server, client, target: None }
}

const fn row(
    id: &'static str,
    title: &'static str,
    metric: Metric,
    load: Load,
    contenders: Vec<Contender>,
) -> Row {
    Row { id, title, metric, load, limit: None, contenders }
}

impl Row {
    const fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Contender {
    const fn at_most(mut self, ratio: f64) -> Self {
        self.target = Some(Target::AtMost(ratio));
        self
    }

    const fn at_least(mut self, ratio: f64) -> Self {
        self.target = Some(Target::AtLeast(ratio));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::wrk;

    const MODES: [Mode; 4] = [Mode::Server, Mode::Client, Mode::Pair, Mode::Memory];

    #[test]
    fn our_contender_comes_first_without_a_target() {
        for row in MODES.into_iter().flat_map(|mode| of(mode, 3.0, false, &[]).unwrap()) {
            let ours = row.contenders[0];
            let is_ours = ours.server == Server::DummyServer || ours.client.tool() == Some(Tool::Loadgen);
            assert!(is_ours, "{}", row.id);
            assert_eq!(ours.target, None, "{}", row.id);
            // A row without peers says what our own value is to be.
            assert!(row.contenders.len() > 1 || row.limit.is_some(), "{}", row.id);
        }
    }

    #[test]
    fn a_server_row_has_one_client_and_a_client_row_one_server() {
        for row in
            [Mode::Server, Mode::Memory].into_iter().flat_map(|mode| of(mode, 3.0, false, &[]).unwrap())
        {
            let same = |one: &Contender| one.client.tool() == row.contenders[0].client.tool();
            assert!(row.contenders.iter().all(same), "{}", row.id);
        }
        for row in of(Mode::Client, 3.0, false, &[]).unwrap() {
            let server = row.contenders[0].server;
            assert!(row.contenders.iter().all(|one| one.server == server), "{}", row.id);
        }
    }

    #[test]
    fn paced_rows_have_an_exact_number_of_requests() {
        let total = |row: &str| of(Mode::Client, 3.0, false, &[row.to_owned()]).unwrap()[0].load.total();
        assert_eq!(total("paced"), Some(100_000));
        assert_eq!(total("paced-h2c"), Some(2_500_000));
    }

    #[test]
    fn the_memory_rows_have_ten_thousand_connections() {
        for row in of(Mode::Memory, 3.0, false, &[]).unwrap() {
            assert_eq!((row.load.connections, row.load.seconds), (10_000, 2.0), "{}", row.id);
        }
    }

    #[test]
    fn before_binaries_replace_the_peers() {
        let args =
            |words: &[&str]| <Args as clap::Parser>::parse_from([&["bench", "server"], words].concat());
        assert!(!args(&[]).is_beside_before());
        let server = args(&["--dummy-server-before=old"]);
        assert!(server.is_beside_before());
        let mut rows = of(Mode::Server, 3.0, false, &["h1-1k".to_owned()]).unwrap();
        beside_before(&mut rows, &server);
        let both = rows[0].contenders.iter().map(|one| (one.name, one.server, one.client.tool(), one.target));
        let wrk = |name, server| (name, server, Some(wrk::PROGRAM), None);
        let expected = [wrk("dummy-server", Server::DummyServer), wrk("before", Server::DummyServerBefore)];
        assert_eq!(both.collect::<Vec<_>>(), expected);
        let mut pair = of(Mode::Pair, 3.0, false, &["h2c".to_owned()]).unwrap();
        beside_before(&mut pair, &args(&["--dummy-server-before=old", "--loadgen-before=old"]));
        let before = pair[0].contenders[1];
        let both = (before.server, before.client.tool());
        assert_eq!(both, (Server::DummyServerBefore, Some(Tool::LoadgenBefore)));
    }

    #[test]
    fn a_target_includes_its_bound_and_is_one_sided() {
        let met = |target: Target| [0.4, 0.5, 0.6].map(|value| target.met(value));
        assert_eq!(met(Target::AtMost(0.5)), [true, true, false]);
        assert_eq!(met(Target::AtLeast(0.5)), [false, true, true]);
        assert_eq!([Target::AtMost(0.5), Target::AtLeast(2.5)].map(|t| t.to_string()), ["<= 0.5", ">= 2.5"]);
    }

    #[test]
    fn an_unknown_row_is_refused_with_those_that_exist() {
        let error = of(Mode::Pair, 3.0, false, &["h3".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "pair has no row h3: h1, h2c, verify-h1-1k, verify-h1-1m, verify-h2c-1k are accepted"
        );
    }
}
