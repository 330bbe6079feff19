//! Connections that lie idle after one request each, which loadgen opens and holds.
//!
//! It opens all of them, then sends one request after the other, each on the connection that has been idle for longest,
//! so that each connection has one; then it pauses. One more request ends the pause. A server that closes a connection
//! meanwhile shows in the report.

use std::{
    collections::BTreeSet,
    fs, io, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Client, GRACE, Outcome, Place, Run, loadgen::LOADGEN, url, words};
use crate::{
    cpu, interrupt,
    load::{Load, Protocol},
    process::Process,
    tools::Tool,
};

/// Open files that the programs need beside their connections.
const OTHER_FILES: u64 = 256;

/// How long to wait between two looks at an interrupt.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often connections are counted before some are missing.
const COUNTS: u32 = 5;

/// How many are opened per second, so that no server's backlog is full.
const OPENED_PER_SECOND: u32 = 5000;
/// How many are used per second.
const USED_PER_SECOND: u32 = 2500;

/// How much longer than expected opening may take, and how long the pause is before the connections count as idle, and
/// after that.
const SLACK: Duration = Duration::from_secs(1);

/// Raises the limit of open files of this process and of those it starts from now on.
///
/// # Errors
/// It cannot be raised far enough for `connections` on each side.
pub fn allow(connections: u32) -> Result<()> {
    let limit = runtime::files::raise_limit()?.now;
    let needed = u64::from(connections) + OTHER_FILES;
    ensure!(limit >= needed, "the limit of open files is {limit}: raise it to {needed} (ulimit -Hn)");
    Ok(())
}

/// loadgen's connections, each used once.
#[derive(Debug)]
pub struct Idle;

impl Client for Idle {
    fn tool(&self) -> Option<Tool> {
        Some(Tool::Loadgen)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let (connections, at_once) = (load.connections.to_string(), OPENED_PER_SECOND.to_string());
        let pause = (2 * SLACK + load.time()).as_millis();
        let (opening, using) = (opening(load).as_millis(), using(load).as_millis());
        let stages = format!("{opening}ms@0,{using}ms@{USED_PER_SECOND},{pause}ms@0,1s@1");
        let mut list = words(["--workers", "1", "-c", &connections, "--fixed-connections", "-o", "json"]);
        list.extend(words(["--no-progress", "--connections-per-second", &at_once, "--stages", &stages]));
        let url = url(load, port);
        list.extend(match load.protocol {
            Protocol::H2c => words(["-m", "1", &url.replacen("http", "h2c", 1)]),
            Protocol::WebSocket => words(["--binary", "--message-size", &load.body.size().to_string(), &url]),
            _ => words([&url]),
        });
        list
    }

    /// Starts loadgen and waits until each connection has been used.
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        let mut command = at.tools.command(Tool::Loadgen)?;
        command.args(self.arguments(load, at.port));
        let before = cpu::of_ended_children()?;
        let process = Process::start(command, at.cpu, at.dir, "idle")?;
        let held = Held { process, port: at.port, connections: load.connections, before };
        held.rest(opening(load))?;
        rest(using(load) + SLACK)?;
        let outcome = Outcome::closed(load.connections.into(), 0, 0.0);
        Ok(Run { outcome, cpu: Duration::ZERO, printed: String::new(), held: Some(held) })
    }

    fn leaves_connections(&self) -> bool {
        true
    }
}

/// How long it takes to open them, before the first is used.
fn opening(load: &Load) -> Duration {
    Duration::from_secs(load.connections.into()) / OPENED_PER_SECOND + SLACK
}

/// How long it takes to use each connection once.
fn using(load: &Load) -> Duration {
    Duration::from_secs(load.connections.into()) / USED_PER_SECOND
}

fn rest(how_long: Duration) -> Result<()> {
    let end = Instant::now() + how_long;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        interrupt::check()?;
        thread::sleep(left.min(LOOK_EVERY));
    }
    Ok(())
}

/// Open connections; they are closed when dropped.
#[derive(Debug)]
pub struct Held {
    process: Process,
    port: u16,
    connections: u32,
    /// The CPU time of ended processes when this one began.
    before: Duration,
}

impl Held {
    /// Lets the connections lie for `how_long`.
    ///
    /// # Errors
    /// Some of them are not open, or the user interrupted.
    pub fn rest(&self, how_long: Duration) -> Result<()> {
        rest(how_long)?;
        let all = u64::from(self.connections);
        let mut open = self.open()?;
        // The kernel's list may lack some while others come and go.
        for _ in 1..COUNTS {
            if open < all {
                open = open.max(self.open()?);
            }
        }
        ensure!(open == all, "{open} of {all} idle connections are open");
        Ok(())
    }

    /// Waits until loadgen has ended, and checks that each connection was opened once and used.
    ///
    /// # Errors
    /// Not all of them were, or too late.
    pub fn end(self) -> Result<Run> {
        let printed = self.process.finish(GRACE)?;
        let cpu = cpu::of_ended_children()?.saturating_sub(self.before);
        let outcome = outcome(&printed, self.connections.into())?;
        Ok(Run { outcome, cpu, printed, held: None })
    }

    fn open(&self) -> Result<u64> {
        self.process.check_running()?;
        Ok(established(self.port)?)
    }
}

/// The outcome that loadgen reports, if all of these connections stayed open.
fn outcome(printed: &str, connections: u64) -> Result<Outcome> {
    const LATE_US: f64 = 1e6;
    let outcome = LOADGEN.read(printed).context("the output of loadgen is not understood")?;
    let json: Value = serde_json::from_str(printed)?;
    let count = |name| json.get("connections")?.get(name)?.as_u64();
    ensure!(
        count("opened") == Some(connections) && count("closed_by_server") == Some(0),
        "not all of {connections} connections were open from the beginning to the end"
    );
    ensure!(outcome.sent == Some(connections + 1), "not each of {connections} connections was used once");
    let latest = json.get("release_lag_us").and_then(|lag| lag.get("max")?.as_f64());
    ensure!(latest.is_some_and(|lag| lag < LATE_US), "some requests were sent in the pause");
    // The last one ended the pause.
    Ok(Outcome { requests: connections, ..outcome })
}

/// Connections from this machine to `port` of 127.0.0.1 that are open, by the kernel's list (proc(5)).
fn established(port: u16) -> io::Result<u64> {
    const ESTABLISHED: &str = "01";
    let remote = format!("0100007F:{port:04X}");
    let list = fs::read_to_string("/proc/net/tcp")?;
    let local = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let local = words.next()?.to_owned();
        (words.next() == Some(&remote) && words.next() == Some(ESTABLISHED)).then_some(local)
    };
    // While connections come and go, the list may have some twice.
    Ok(list.lines().filter_map(local).collect::<BTreeSet<_>>().len() as u64)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::{super::tests::load, *};
    use crate::args::Mode;

    #[test]
    fn each_connection_has_a_request_before_the_pause() {
        let arguments = |row| Idle.arguments(&load(Mode::Memory, row), 7).join(" ");
        let h2c = arguments("h2c-idle");
        let end = "-c 1000 --fixed-connections -o json --no-progress --connections-per-second 5000 \
            --stages 1200ms@0,400ms@2500,2500ms@0,1s@1 -m 1 h2c://127.0.0.1:7/bin/1K";
        assert!(h2c.ends_with(end), "{h2c}");
        let websocket = arguments("ws-idle");
        assert!(websocket.ends_with("--binary --message-size 1024 ws://127.0.0.1:7/ws"), "{websocket}");
    }

    #[test]
    fn connections_that_were_closed_or_used_late_are_refused() {
        let said = |sent: u64, closed: u64, lag: u64| {
            let text = format!(
                "{{\"requests\":{{\"sent\":{sent},\"completed\":{sent},\"succeeded\":{sent},\"dropped\":0,\
                 \"not_sent\":0}},\"connections\":{{\"opened\":10,\"reopened\":0,\"closed_by_server\":{closed}}},\
                 \"release_lag_us\":{{\"p99\":1,\"max\":{lag}}}}}"
            );
            outcome(&text, 10).map(|outcome| outcome.requests).map_err(|error| error.to_string())
        };
        assert_eq!(said(11, 0, 900), Ok(10));
        for (wrong, words) in [
            (said(11, 1, 900), "not all of 10 connections were open"),
            (said(10, 0, 900), "not each of 10 connections was used once"),
            (said(11, 0, 2_000_000), "some requests were sent in the pause"),
        ] {
            assert!(wrong.as_ref().unwrap_err().starts_with(words), "{wrong:?}");
        }
    }

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let near = [0; 3].map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
        assert_eq!(established(port).unwrap(), 3);
        drop(near);
        assert_eq!(established(port).unwrap(), 0);
    }

    #[test]
    fn too_low_an_open_file_limit_is_reported() {
        allow(1).unwrap();
        // More than any system grants, if it has a limit at all.
        match (runtime::files::raise_limit().unwrap().now, allow(u32::MAX)) {
            (u64::MAX, result) => result.unwrap(),
            (_, result) => assert!(result.unwrap_err().to_string().contains("ulimit -Hn")),
        }
    }
}
