//! A client of the crowd: its own process with its own address. It opens connections, uses each once, and
//! holds them; then it obeys commands, one per line, and ends with its input.

use std::{
    io::{BufRead, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use crate::{
    crowd::used::{Used, is_open},
    load::{Body, Protocol},
};

/// What a client is started with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Order {
    /// Whom to connect to.
    pub port: u16,
    /// What to speak.
    pub protocol: Protocol,
    /// Where from.
    pub source: Ipv4Addr,
    /// How many times.
    pub connections: u32,
    /// On which CPU.
    pub cpu: usize,
}

impl Order {
    /// As words of a command line.
    #[must_use]
    pub fn words(&self) -> [String; 5] {
        let Self { port, protocol, source, connections, cpu } = self;
        let protocol = if *protocol == Protocol::H2c { H2C } else { HTTP1 };
        [port.to_string(), protocol.to_owned(), source.to_string(), connections.to_string(), cpu.to_string()]
    }

    /// Reads them.
    ///
    /// # Errors
    /// They are others.
    pub fn read(words: &[String]) -> Result<Self> {
        let [port, protocol, source, connections, cpu] = words else { bail!("five words are accepted") };
        let protocol = match protocol.as_str() {
            HTTP1 => Protocol::Http1,
            H2C => Protocol::H2c,
            other => bail!("{other} is not spoken: {HTTP1} and {H2C} are accepted"),
        };
        Ok(Self {
            port: port.parse()?,
            protocol,
            source: source.parse()?,
            connections: connections.parse()?,
            cpu: cpu.parse()?,
        })
    }
}

const HTTP1: &str = "h1";
const H2C: &str = "h2c";

/// This many connections are opened concurrently, then used concurrently: on a busy machine each wait for the other end
/// is long.
const CONCURRENT: usize = 100;

/// What a client says when all of its connections are open, with their number and the milliseconds that took.
pub const OPENED: &str = "opened";
/// Asks it to use every nth connection again; it reports how many those were.
pub const AGAIN: &str = "again";
/// Asks it how many connections are open still.
pub const COUNT: &str = "count";
/// What it says before it gives up.
pub const FAILED: &str = "failed";

/// Does what a client does.
///
/// # Errors
/// A connection failed, which is reported on `output`, too; or `output` is closed.
pub fn serve(order: &Order, input: impl BufRead, mut output: impl Write) -> Result<()> {
    let result = obey(order, input, &mut output);
    if let Err(error) = &result {
        writeln!(output, "{FAILED} {error:#}")?;
    }
    result
}

fn obey(order: &Order, input: impl BufRead, output: &mut impl Write) -> Result<()> {
    runtime::files::raise_limit()?;
    runtime::affinity::pin(order.cpu).with_context(|| format!("CPU {} cannot be used", order.cpu))?;
    let begun = Instant::now();
    let mut connections = Vec::with_capacity(order.connections as usize);
    while connections.len() < order.connections as usize {
        let before = connections.len();
        let failed =
            || format!("one of {CONCURRENT} connections after {before} from {} failed", order.source);
        for _ in before..(before + CONCURRENT).min(order.connections as usize) {
            connections.push(open(order).with_context(failed)?);
        }
        exchange(connections[before..].iter_mut().collect()).with_context(failed)?;
    }
    writeln!(output, "{OPENED} {} {}", connections.len(), begun.elapsed().as_millis())?;
    output.flush()?;
    for line in input.lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            (AGAIN, step) => {
                let mut sample: Vec<_> =
                    connections.iter_mut().step_by(step.parse::<usize>()?.max(1)).collect();
                let count = sample.len();
                while !sample.is_empty() {
                    let part = sample.split_off(sample.len().saturating_sub(CONCURRENT));
                    exchange(part).context("a connection that was held failed")?;
                }
                writeln!(output, "{AGAIN} {count}")?;
            }
            (COUNT, _) => {
                let open = connections.iter().filter(|connection| is_open(connection.stream())).count();
                writeln!(output, "{COUNT} {open}")?;
            }
            _ => bail!("{line:?} is not understood"),
        }
        output.flush()?;
    }
    Ok(())
}

fn open(order: &Order) -> Result<Used> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // It ends with a reset: that many in TIME_WAIT would keep their ports from the next run for a minute.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::from((order.source, 0)).into()).context("no port is free")?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, order.port)).into())?;
    Used::new(TcpStream::from(socket), order.protocol, order.port)
}

/// One request on each.
fn exchange(mut connections: Vec<&mut Used>) -> Result<()> {
    connections.iter_mut().try_for_each(|connection| connection.ask(Body::K1))?;
    connections.iter_mut().try_for_each(|connection| connection.answered(Body::K1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responder::Responder;

    fn order(protocol: Protocol, port: u16) -> Order {
        let cpu = runtime::affinity::allowed()[0];
        Order { port, protocol, source: Ipv4Addr::new(127, 0, 0, 9), connections: 7, cpu }
    }

    #[test]
    fn an_order_round_trips_through_the_command_line() {
        for protocol in [Protocol::Http1, Protocol::H2c] {
            let order = order(protocol, 80);
            assert_eq!(Order::read(&order.words()).unwrap(), order);
        }
        assert!(Order::read(&["1".to_owned()]).is_err());
    }

    #[test]
    fn connections_are_opened_used_again_and_counted() {
        let cpu = runtime::affinity::allowed()[0];
        let responder = Responder::start(cpu, &Body::K1.bytes()).unwrap();
        for protocol in [Protocol::Http1, Protocol::H2c] {
            let mut said = Vec::new();
            serve(&order(protocol, responder.port()), &b"again 3\ncount\nagain 1\n"[..], &mut said).unwrap();
            let said = String::from_utf8(said).unwrap();
            let lines: Vec<&str> = said.lines().collect();
            assert!(lines[0].starts_with("opened 7 "), "{said}");
            assert_eq!(lines[1..], ["again 3", "count 7", "again 7"]);
        }
    }

    #[test]
    fn a_failed_connection_is_reported() {
        let free = crate::process::free_port().unwrap();
        let mut said = Vec::new();
        serve(&order(Protocol::Http1, free), &b""[..], &mut said).unwrap_err();
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("failed one of 100 connections after 0 from 127.0.0.9 failed: "), "{said}");
    }
}
