//! What is proven of a run, and which servers are asked for their ledgers.
//!
//! Nothing here asks anybody.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use command_line::Refusal;

use super::{
    Builder, PlanError,
    accepted::{self, refused},
};

/// The method of gRPC that sends each message of a stream back.
pub(crate) const ECHO_STREAM: &str = "/echo.EchoService/StreamEcho";

/// The maximum number of servers that are named.
pub const MAX_LEDGERS: usize = 256;

/// What a verified run does beyond others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verify {
    /// Which servers are asked for ledgers. None: whichever answer behind the target.
    pub ledgers: Vec<Ledgers>,
    /// Where servers post theirs when they leave.
    pub listen: Option<SocketAddr>,
}

/// Where ledgers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ledgers {
    /// At the admin port of one server, `host:port`.
    At(String),
    /// At the admin ports of all servers that a name stands for.
    Named {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Ledgers {
    /// Reads `host:port` or `dns:name:port`.
    fn read(text: &str) -> Option<Self> {
        let (names_all, rest) = match text.strip_prefix("dns:") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (host, port) = rest.rsplit_once(':')?;
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match literal {
            Some(literal) => literal.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && host.bytes().all(is_plain),
        };
        if !is_host || port == 0 {
            return None;
        }
        Some(if names_all { Self::Named { host: host.to_owned(), port } } else { Self::At(rest.to_owned()) })
    }
}

impl fmt::Display for Ledgers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => f.write_str(address),
            Self::Named { host, port } => write!(f, "dns:{host}:{port}"),
        }
    }
}

/// What is wanted, before it is checked.
#[derive(Clone, Debug, Default)]
pub(super) struct VerifyOptions {
    pub(super) verify: bool,
    pub(super) ledgers: Vec<String>,
    pub(super) listen: Option<String>,
}

/// Reads `port`, of loopback, or `ip:port`.
fn read_listen(text: &str) -> Option<SocketAddr> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let port: u16 = text.parse().ok()?;
        return Some((IpAddr::from(Ipv4Addr::LOCALHOST), port).into());
    }
    text.parse().ok()
}

impl Builder {
    /// Whether what happens to each request is proven: each carries a token that dummy-server notes and its reply repeats, bodies
    /// are numbered, and servers are asked afterwards what they have seen.
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify.verify = verify;
        self
    }

    /// A server that is asked for its ledger after a verified run: `host:port` of its admin port, or `dns:name:port` of all
    /// servers that the name stands for. May be repeated. Without one, whichever answer behind the target are asked.
    #[must_use]
    pub fn ledger(mut self, address: impl Into<String>) -> Self {
        self.verify.ledgers.push(address.into());
        self
    }

    /// Where ledgers are taken that servers post when they leave: `ip:port`, or the `port` alone for loopback; port 0 is one that
    /// the system chooses.
    #[must_use]
    pub fn ledger_listen(mut self, address: impl Into<String>) -> Self {
        self.verify.listen = Some(address.into());
        self
    }

    /// What is proven, and the field that carries the id of a request then.
    pub(super) fn check_verify(&mut self, websocket: bool) -> Result<Option<Verify>, PlanError> {
        let VerifyOptions { verify, ledgers, listen } = &self.verify;
        if !verify {
            let alone =
                [(!ledgers.is_empty(), &accepted::LEDGER), (listen.is_some(), &accepted::LEDGER_LISTEN)];
            let Some((_, known)) = alone.into_iter().find(|(is_given, _)| *is_given) else { return Ok(None) };
            let (flag, example) = (known.flag, known.example);
            let accepted = format!("--{flag} together with --verify");
            let example = format!("loadgen --verify --{flag}={example} http://localhost:8080");
            return Err(PlanError(Refusal::new(format!("--{flag} needs --verify"), accepted, example)));
        }
        if websocket
            && (self.request.body.is_some() || self.requests.iter().any(|request| request.body.is_some()))
        {
            let accepted = "messages that loadgen makes, with --message-size: they begin with their tokens";
            let shown = "--verify with messages of a given --body, which carry no token";
            let example = "loadgen --verify --message-size=1K ws://localhost:8080/ws";
            return Err(PlanError(Refusal::new(shown, accepted, example)));
        }
        if self.id_header != contract::field::REQUEST_ID {
            let accepted = "one of them: in a verified run the token takes the place of the id";
            let shown = "--verify and --request-id-header exclude each other";
            return Err(PlanError(Refusal::new(shown, accepted, "loadgen --verify http://localhost:8080")));
        }
        if ledgers.len() > MAX_LEDGERS {
            return Err(refused(&accepted::LEDGER, format!("{} of them", ledgers.len())));
        }
        let read = |text: &String| Ledgers::read(text).ok_or_else(|| refused(&accepted::LEDGER, text));
        let ledgers = ledgers.iter().map(read).collect::<Result<_, _>>()?;
        let listen = listen
            .as_ref()
            .map(|text| read_listen(text).ok_or_else(|| refused(&accepted::LEDGER_LISTEN, text)));
        let listen = listen.transpose()?;
        contract::field::TOKEN.clone_into(&mut self.id_header);
        Ok(Some(Verify { ledgers, listen }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_loopback() {
        for (text, address) in [
            ("0", "127.0.0.1:0"),
            ("65535", "127.0.0.1:65535"),
            ("0.0.0.0:9092", "0.0.0.0:9092"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(read_listen(text).map(|address| address.to_string()).as_deref(), Some(address));
        }
        for text in ["", "65536", "+1", "-1", ":1", "localhost:1", "127.0.0.1", "127.0.0.1:", "::1:1", "1 "] {
            assert_eq!(read_listen(text), None, "{text}");
        }
    }

    #[test]
    fn ledgers_are_addresses_or_names_of_several() {
        for text in [
            "a:1",
            "127.0.0.1:9091",
            "[::1]:65535",
            "pod-0.svc_x.local:9091",
            "dns:web.ns.svc:9091",
            "dns:[::1]:1",
        ] {
            assert_eq!(Ledgers::read(text).unwrap().to_string(), text);
        }
        let long = "x".repeat(254);
        for text in [
            "",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "a:+1",
            "a/b:1",
            "http://a:1",
            "dns:a",
            "[::g]:1",
            "a b:1",
            &format!("{long}:1"),
        ] {
            assert_eq!(Ledgers::read(text), None, "{text}");
        }
    }
}
