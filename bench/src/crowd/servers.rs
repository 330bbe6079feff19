//! The servers of the crowd: one, or several that share its port.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::limits::Plan;
use crate::{
    memory, probe,
    process::{Process, free_port},
    tools::{Tool, Tools},
};

/// How often they are started again on other ports, should one have been taken meanwhile.
const ATTEMPTS: u32 = 3;
/// How long a server may take to say what it has counted.
const WITHIN: Duration = Duration::from_secs(10);

/// Servers that run, and stop when dropped.
#[derive(Debug)]
pub(super) struct Servers {
    port: u16,
    /// With its admin port each.
    running: Vec<(Process, u16)>,
}

impl Servers {
    pub(super) fn start(plan: &Plan, tools: &Tools, cpu: usize, dir: &Path) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::attempt(plan, tools, cpu, dir) {
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    fn attempt(plan: &Plan, tools: &Tools, cpu: usize, dir: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut running = Vec::new();
        for number in 1..=plan.servers {
            let admin = free_port()?;
            let mut command = tools.command(Tool::DummyServer)?;
            command.args([
                &format!("--addr=127.0.0.1:{port}"),
                &format!("--admin-addr=127.0.0.1:{admin}"),
                &format!("--max-connections={}", plan.connections.max(1)),
                "--grpc-addr=",
                "--pprof-addr=",
                "--mem-interval=0",
                "--idle-timeout=0",
                "--workers=1",
                "--share-port",
            ]);
            let mut process = Process::start(command, cpu, dir, &format!("server-{number}"))?;
            // All ports are open before one of them is served.
            process.await_port(admin)?;
            running.push((process, admin));
        }
        Ok(Self { port, running })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Bytes of their memory that are resident now.
    pub(super) fn resident(&self) -> Result<u64> {
        let each = self.running.iter().map(|(process, _)| Ok(memory::resident(process.id())?));
        each.sum::<Result<u64>>().context("a server has ended")
    }

    /// How many connections each says that it has.
    pub(super) fn open(&self) -> Result<Vec<u64>> {
        self.running.iter().map(|(_, admin)| open(*admin)).collect()
    }
}

fn open(admin: u16) -> Result<u64> {
    const OPEN: &str = "dummy_server_connections_open ";
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin))?;
    stream.set_read_timeout(Some(WITHIN))?;
    let (status, body) = probe::http1(&mut stream, admin, "/metrics")?;
    ensure!(status == 200, "/metrics was answered with status {status}");
    let text = String::from_utf8(body)?;
    let value = text.lines().find_map(|line| line.strip_prefix(OPEN));
    Ok(value.context("the server does not count its connections")?.trim().parse()?)
}
