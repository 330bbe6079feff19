//! The crowd: as many connections as the machine allows, from several addresses, opened by several processes. Each is
//! used once and held; then a sample is used again, and all have to be open still, by the books of both ends.
//!
//! Where a process may not have files enough for all of them, several servers share the port.

pub mod client;
mod clients;
pub mod limits;
mod servers;
pub(crate) mod used;

use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use self::{
    client::Order,
    clients::CrowdClient,
    limits::{Plan, SystemLimits},
    servers::Servers,
};
use crate::{load::Protocol, machine::Machine, tools::Tools};

/// What is wanted in a run that only shows that it works.
pub const SMOKE: u32 = 500;
/// One in this many connections is used again.
const SAMPLE: u32 = 10;
/// The first client's address; the next has the next.
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long any step may take.
const WITHIN: Duration = Duration::from_secs(180);

/// The rows: id, what they are about, and what is spoken.
const ROWS: [(&str, &str, Protocol); 2] = [
    ("h1-crowd", "HTTP/1.1, connections held after one /bin/1K each", Protocol::Http1),
    ("h2c-crowd", "h2c, connections held after one /bin/1K each", Protocol::H2c),
];

/// What every row shares.
#[derive(Debug)]
pub struct Crowd<'a> {
    /// The programs.
    pub tools: &'a Tools,
    /// The machine.
    pub machine: &'a Machine,
    /// Where the processes' output goes.
    pub dir: &'a Path,
    /// How many connections are wanted.
    pub wanted: u32,
    /// What the machine allows.
    pub limits: SystemLimits,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug)]
struct CrowdResult {
    took: Duration,
    /// Bytes of the servers' memory, and by how much less the machine has.
    servers: u64,
    machine: u64,
    /// Connections of the server that has most.
    most: u64,
    again: u64,
}

/// The rows to run.
///
/// # Errors
/// A name in `only` is none of them.
pub fn rows(only: &[String]) -> Result<Vec<(&'static str, &'static str, Protocol)>> {
    if let Some(unknown) = only.iter().find(|name| ROWS.iter().all(|row| row.0 != name.as_str())) {
        bail!("crowd has no row {unknown}: {} are accepted", ROWS.map(|row| row.0).join(", "));
    }
    Ok(ROWS.into_iter().filter(|row| only.is_empty() || only.iter().any(|name| name == row.0)).collect())
}

impl Crowd<'_> {
    fn plan(&self) -> Plan {
        Plan::of(self.wanted, &self.limits)
    }

    /// What is going to be done, and what the machine allows.
    #[must_use]
    pub fn head(&self) -> String {
        let Plan { connections, servers, clients, limit } = self.plan();
        let SystemLimits { files, ports, all_files, tracked, memory } = self.limits;
        let tracked = tracked.map_or_else(|| "any number of".to_owned(), |count| count.to_string());
        let last = source(clients - 1);
        let mut text = format!(
            "- Allowed: {files} open files a process, {all_files} in all, {ports} ports an address, {tracked} tracked \
             connections, {} MiB of memory\n",
            memory >> 20,
        );
        match limit {
            Some(limit) => {
                let _ = writeln!(text, "- {connections} connections, not {}: no more {limit}", self.wanted);
            }
            None => {
                let _ = writeln!(text, "- {connections} connections, which is within all of that");
            }
        }
        let why = if servers > 1 { " on one port, for want of open files" } else { "" };
        let _ =
            writeln!(text, "- Servers: {servers}{why}; clients: {clients}, from {FIRST_SOURCE} to {last}");
        text
    }

    /// Runs a row and gives its table.
    ///
    /// # Errors
    /// A connection was lost, a process failed or took too long, or the user interrupted.
    pub fn row(&self, (id, title, protocol): (&str, &str, Protocol)) -> Result<String> {
        let connections = u64::from(self.plan().connections);
        let CrowdResult { took, servers, machine, most, again } =
            self.held(protocol).context(id.to_owned())?;
        let kib = |bytes: u64| bytes as f64 / 1024.0 / connections as f64;
        Ok(format!(
            "## {id}: {title}\n\n\
             | connections | opened in | a second | server KiB/connection | machine KiB/connection | \
             most on a server | used again | open at the end |\n\
             | --: | --: | --: | --: | --: | --: | --: | --: |\n\
             | {connections} | {:.1} s | {:.0} | {:.2} | {:.2} | {most} | {again} | {connections} |\n",
            took.as_secs_f64(),
            connections as f64 / took.as_secs_f64(),
            kib(servers),
            kib(machine),
        ))
    }

    fn held(&self, protocol: Protocol) -> Result<CrowdResult> {
        let plan = self.plan();
        let servers = Servers::start(&plan, self.tools, self.machine.server_cpu, self.dir)?;
        ensure!(servers.open()?.iter().sum::<u64>() == 0, "nobody has come yet");
        let (resident, available) = (servers.resident()?, available()?);
        let begun = Instant::now();
        let mut clients = Vec::new();
        for (number, connections) in plan.shares().enumerate() {
            let (port, cpu) = (servers.port(), self.machine.client_cpu);
            let order = Order { port, protocol, source: source(number as u32), connections, cpu };
            clients.push(CrowdClient::start(self.tools, &order)?);
        }
        for (client, share) in clients.iter().zip(plan.shares()) {
            client.heard(client::OPENED, u64::from(share), WITHIN)?;
        }
        let took = begun.elapsed();
        let grown = servers.resident()?.saturating_sub(resident);
        let less = available.saturating_sub(self::available()?);
        let all = u64::from(plan.connections);
        let open = servers.open()?;
        ensure!(open.iter().sum::<u64>() == all, "the servers have {open:?} connections of {all}");
        let mut again = 0;
        for (client, share) in clients.iter_mut().zip(plan.shares()) {
            let expected = u64::from(share.div_ceil(SAMPLE));
            client.ask(&format!("{} {SAMPLE}", client::AGAIN))?;
            client.heard(client::AGAIN, expected, WITHIN)?;
            again += expected;
        }
        for (client, share) in clients.iter_mut().zip(plan.shares()) {
            client.ask(client::COUNT)?;
            client.heard(client::COUNT, u64::from(share), WITHIN)?;
        }
        ensure!(servers.open()? == open, "the servers have lost some of {open:?} connections");
        let most = open.into_iter().max().unwrap_or_default();
        Ok(CrowdResult { took, servers: grown, machine: less, most, again })
    }
}

fn source(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_SOURCE.to_bits() + client)
}

fn available() -> Result<u64> {
    limits::available(&fs::read_to_string("/proc/meminfo")?).context("the available memory is not told")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_its_own_address() {
        assert_eq!([0, 1, 31].map(source), [2, 3, 33].map(|last| Ipv4Addr::new(127, 0, 0, last)));
    }

    #[test]
    fn rows_are_chosen_by_name() {
        assert_eq!(rows(&[]).unwrap().len(), 2);
        assert_eq!(rows(&["h2c-crowd".to_owned()]).unwrap()[0].2, Protocol::H2c);
        let error = rows(&["h3".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "crowd has no row h3: h1-crowd, h2c-crowd are accepted");
    }
}
