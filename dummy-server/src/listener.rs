//! Opens all ports before anything is served, and reports the real addresses.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{Ipv6Addr, SocketAddr},
};

use serde::Serialize;
use transport::{
    Address, ListenOptions, Listener,
    listen::{self, SocketFile},
};

use crate::{
    settings::{Config, InstancePorts, Port, usual_address},
    shown,
};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// HTTP/1.1 and h2c.
    #[serde(serialize_with = "shown::text")]
    pub http: Address,
    /// gRPC.
    #[serde(serialize_with = "shown::optional_text", skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Address>,
    /// HTTP/1.1, HTTP/2 and gRPC over TLS.
    #[serde(serialize_with = "shown::optional_text", skip_serializing_if = "Option::is_none")]
    pub tls: Option<Address>,
    /// `/livez`, `/readyz`, `/metrics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// CPU profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pprof: Option<SocketAddr>,
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http={}", self.http)?;
        if let Some(grpc) = &self.grpc {
            write!(f, " grpc={grpc}")?;
        }
        if let Some(tls) = &self.tls {
            write!(f, " tls={tls}")?;
        }
        if let Some(admin) = self.admin {
            write!(f, " admin={admin}")?;
        }
        if let Some(pprof) = self.pprof {
            write!(f, " pprof={pprof}")?;
        }
        Ok(())
    }
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} (--{flag}): {reason}; accepted: {accepted}; example: {example}")]
pub struct BindError {
    flag: &'static str,
    address: Address,
    reason: String,
    accepted: &'static str,
    example: String,
    /// Another process listens there.
    in_use: bool,
}

/// The listening sockets of one server, without the ports of the process.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) addresses: Addresses,
    pub(crate) ports: Ports,
    /// The files of those that are Unix domain sockets.
    pub(crate) files: Vec<SocketFile>,
}

/// A port of the process, whatever number of servers that has.
pub(crate) type Bound = (SocketAddr, std::net::TcpListener);

/// The sockets of the ports that workers serve: one for each worker, or one in all where a port can't be shared.
#[derive(Debug, Default)]
pub(crate) struct Ports(Vec<(Port, VecDeque<Listener>)>);

impl Ports {
    /// How many sockets there are.
    pub(crate) fn open(&self) -> usize {
        self.0.iter().map(|(_, listeners)| listeners.len()).sum()
    }

    /// Takes out what the next worker is to accept from.
    pub(crate) fn of_next_worker(&mut self) -> Vec<(Port, Listener)> {
        let next = |(port, listeners): &mut (Port, VecDeque<Listener>)| Some((*port, listeners.pop_front()?));
        self.0.iter_mut().filter_map(next).collect()
    }
}

impl Listeners {
    /// Opens what the configuration names.
    pub(crate) fn bind(config: &Config) -> Result<Self, BindError> {
        let mut ports = Ports::default();
        let mut files = Vec::new();
        let mut open = |port, flag, address: &Address| {
            let (bound, listeners) = per_worker(flag, address, config)?;
            files.extend(SocketFile::of(&bound));
            ports.0.push((port, listeners));
            Ok(bound)
        };
        let http = open(Port::Http, "addr", &config.addr)?;
        let grpc = config.grpc_addr.as_ref().map(|addr| open(Port::Grpc, "grpc-addr", addr)).transpose()?;
        let tls = config.tls.as_ref().map(|tls| open(Port::Tls, "tls-addr", &tls.addr)).transpose()?;
        let addresses = Addresses { http, grpc, tls, admin: None, pprof: None };
        Ok(Self { addresses, ports, files })
    }

    /// Opens the ports of all servers of a process. What is returned beside them is what each is to open when it starts again:
    /// the ports that it has now.
    pub(crate) fn bind_all(config: &Config) -> Result<Vec<(Config, Self)>, BindError> {
        let is_shared = config.instances.ports == InstancePorts::Shared && config.instances.are_several();
        let mut all: Vec<(Config, Self)> = Vec::with_capacity(config.instances.count());
        for index in 0..config.instances.count() {
            let mut own = config.of_instance(index);
            if let Some((_, first)) = all.first().filter(|_| is_shared) {
                own.listens_on(&first.addresses);
                own.share_port = true;
            }
            let listeners = Self::bind(&own)?;
            own.listens_on(&listeners.addresses);
            own.share_port |= is_shared;
            all.push((own, listeners));
        }
        Ok(all)
    }
}

impl Config {
    /// Has the server listen where one does already.
    fn listens_on(&mut self, addresses: &Addresses) {
        self.addr = addresses.http.clone();
        self.grpc_addr.clone_from(&addresses.grpc);
        if let (Some(tls), Some(address)) = (&mut self.tls, &addresses.tls) {
            tls.addr = address.clone();
        }
    }
}

/// A listening socket for each worker; the kernel spreads connections over them.
fn per_worker(
    flag: &'static str,
    address: &Address,
    config: &Config,
) -> Result<(Address, VecDeque<Listener>), BindError> {
    let failed = |error: io::Error| refused(flag, address, &error, config);
    if !config.share_port {
        listen::probe(address).map_err(failed)?;
    }
    let shared = ListenOptions { share_port: true };
    let first = Listener::bind(address, shared).map_err(failed)?;
    let bound = first.address().map_err(failed)?;
    let mut listeners = VecDeque::from([first]);
    let spread = cfg!(target_os = "linux") && bound.tcp().is_some();
    while spread && listeners.len() < config.workers.get() {
        listeners.push_back(Listener::bind(&bound, shared).map_err(failed)?);
    }
    Ok((bound, listeners))
}

/// The admin port.
pub(crate) fn admin(config: &Config) -> Result<Option<Bound>, BindError> {
    single("admin-addr", config.admin_addr.as_ref(), config)
}

fn single(
    flag: &'static str,
    address: Option<&Address>,
    config: &Config,
) -> Result<Option<Bound>, BindError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error: io::Error| refused(flag, address, &error, config);
    match Listener::bind(address, ListenOptions::default()).map_err(failed)? {
        Listener::Tcp(listener) => Ok(Some((listener.local_addr().map_err(failed)?, listener))),
        #[cfg(unix)]
        Listener::Unix(_) => Err(failed(io::ErrorKind::Unsupported.into())),
    }
}

/// The port of CPU profiles. When it is taken, by another server on the same machine for one, the server does without.
pub(crate) fn profiles(config: &Config) -> Result<Option<Bound>, BindError> {
    single("pprof-addr", config.pprof_addr.as_ref(), config).or_else(|error| {
        if !error.in_use {
            return Err(error);
        }
        tracing::warn!("CPU profiles are not served: {error}");
        Ok(None)
    })
}

/// The first port that needs no permission on Linux, unless `net.ipv4.ip_unprivileged_port_start` says otherwise.
const UNPRIVILEGED: u16 = 1024;

fn refused(flag: &'static str, address: &Address, error: &io::Error, config: &Config) -> BindError {
    let port = address.tcp().map(|address| address.port());
    let with = |value: &dyn fmt::Display| format!("--{flag}={value}");
    let (reason, accepted, example) = match error.kind() {
        io::ErrorKind::AddrInUse => in_use(flag, address, config),
        io::ErrorKind::AlreadyExists => (
            "a file that is not a socket is there".to_owned(),
            "the path of a socket or of no file",
            with(&"unix:/tmp/dummy-server.sock"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "not a local address".to_owned(),
            "an address of this machine, or :port for all",
            with(&usual_address(flag)),
        ),
        io::ErrorKind::Unsupported if port.is_none() => (
            "not an IP address".to_owned(),
            "ip:port, [ip6]:port, name:port or :port",
            with(&usual_address(flag)),
        ),
        io::ErrorKind::PermissionDenied if port.is_some_and(|port| port < UNPRIVILEGED) => (
            format!("ports below {UNPRIVILEGED} need the capability CAP_NET_BIND_SERVICE"),
            "a port from 1024 to 65535, or that capability (setcap cap_net_bind_service=+ep dummy-server)",
            with(&usual_address(flag)),
        ),
        io::ErrorKind::PermissionDenied => {
            ("not permitted".to_owned(), "an address that this user may use", with(&usual_address(flag)))
        }
        _ => (error.to_string(), "an address of this machine", with(&usual_address(flag))),
    };
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    BindError { flag, address: address.clone(), reason, accepted, example, in_use }
}

/// Which process has the address, and how to go on without it.
fn in_use(flag: &'static str, address: &Address, config: &Config) -> (String, &'static str, String) {
    let other = "another process listens there".to_owned();
    let Some(taken) = address.tcp() else {
        return (other, "another path", format!("--{flag}=unix:/tmp/dummy-server-2.sock"));
    };
    let with_free_port = || format!("--{flag}={}", next_free(taken));
    if let Some(own) = bound_before(flag, taken.port(), config) {
        return (format!("--{own} has the same port"), "another port", with_free_port());
    }
    if config.moved_by_port.contains(&flag) {
        let http = config.addr.tcp().unwrap_or_else(|| (Ipv6Addr::UNSPECIFIED, 8080).into());
        let port = next_free(http).port();
        return (
            other,
            "another port, and --port moves all ports that were not given",
            format!("--port={port}"),
        );
    }
    (other, "another port", with_free_port())
}

/// The flag of an address that is bound before this one and has the same port.
fn bound_before(flag: &str, port: u16, config: &Config) -> Option<&'static str> {
    let mut before = config.addresses().into_iter().take_while(|(other, _)| *other != flag);
    let found =
        before.find(|(_, address)| address.and_then(Address::tcp).is_some_and(|own| own.port() == port));
    found.map(|(own, _)| own)
}

/// An address that can be listened on, with a port soon after this one.
fn next_free(taken: SocketAddr) -> SocketAddr {
    let next =
        (1..=100).filter_map(|step| Some(SocketAddr::new(taken.ip(), taken.port().checked_add(step)?)));
    let free = next.into_iter().find(|address| listen::probe(&Address::Tcp(*address)).is_ok());
    // Port 0 is any free one.
    free.unwrap_or_else(|| SocketAddr::new(taken.ip(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_listened_on_is_reported_with_what_to_do() {
        let config = Config::from_args(&[]).unwrap();
        for (flag, address, kind, expected) in [
            (
                "addr",
                "0.0.0.0:80",
                io::ErrorKind::PermissionDenied,
                "can't listen on 0.0.0.0:80 (--addr): ports below 1024 need the capability CAP_NET_BIND_SERVICE; \
                 accepted: a port from 1024 to 65535, or that capability (setcap cap_net_bind_service=+ep dummy-server); \
                 example: --addr=:8080",
            ),
            ("tls-addr", "[::]:443", io::ErrorKind::PermissionDenied, "example: --tls-addr=:8443"),
            (
                "addr",
                "unix:/root/x",
                io::ErrorKind::PermissionDenied,
                "(--addr): not permitted; accepted: an address that this user may use; example: --addr=:8080",
            ),
            (
                "admin-addr",
                "192.0.2.1:9091",
                io::ErrorKind::AddrNotAvailable,
                "(--admin-addr): not a local address; accepted: an address of this machine, or :port for all; \
                 example: --admin-addr=127.0.0.1:9091",
            ),
        ] {
            let error = refused(flag, &address.parse().unwrap(), &kind.into(), &config).to_string();
            assert!(error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn each_worker_gets_a_socket_of_each_port() {
        let local = ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=", "--pprof-addr="];
        let config = Config::from_args(&[&local[..], &["--workers=3"]].concat()).unwrap();
        let Listeners { addresses, mut ports, .. } = Listeners::bind(&config).unwrap();
        assert_eq!(ports.open(), if cfg!(target_os = "linux") { 6 } else { 2 });
        for worker in 0..3 {
            let listeners = ports.of_next_worker();
            let found: Vec<_> =
                listeners.iter().map(|(port, listener)| (*port, listener.address().unwrap())).collect();
            let expected =
                [(Port::Http, addresses.http.clone()), (Port::Grpc, addresses.grpc.clone().unwrap())];
            if worker == 0 || cfg!(target_os = "linux") {
                assert_eq!(found, expected);
            }
        }
        assert_eq!((ports.open(), ports.of_next_worker().len()), (0, 0));
    }
}
