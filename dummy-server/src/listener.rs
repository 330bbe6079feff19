//! Opens all ports before anything is served, and reports the real addresses.

use std::{fmt, io, net::SocketAddr};

use transport::{Address, ListenOptions, Listener, listen};

use crate::Config;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP/1.1 and h2c.
    pub http: Address,
    /// gRPC.
    pub grpc: Option<Address>,
    /// HTTP/1.1, HTTP/2 and gRPC over TLS.
    pub tls: Option<Address>,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: Option<SocketAddr>,
    /// CPU profiles.
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
#[error("can't listen on {address} (--{flag}): {reason}")]
pub struct BindError {
    flag: &'static str,
    address: Address,
    reason: String,
}

/// All listening sockets of a server.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) addresses: Addresses,
    /// One for each worker, or one in all where a port can't be shared.
    pub(crate) http: Vec<Listener>,
    pub(crate) grpc: Vec<Listener>,
    pub(crate) tls: Vec<Listener>,
    pub(crate) admin: Option<std::net::TcpListener>,
    pub(crate) pprof: Option<std::net::TcpListener>,
}

impl Listeners {
    /// Opens what the configuration names.
    pub(crate) fn bind(config: &Config) -> Result<Self, BindError> {
        let (http_address, http) = per_worker("addr", &config.addr, config)?;
        let (grpc_address, grpc) = per_worker_if("grpc-addr", config.grpc_addr.as_ref(), config)?;
        let tls = config.tls.as_ref().map(|tls| &tls.addr);
        let (tls_address, tls) = per_worker_if("tls-addr", tls, config)?;
        let (admin_address, admin) = single("admin-addr", config.admin_addr.as_ref())?.unzip();
        let (pprof_address, pprof) = single("pprof-addr", config.pprof_addr.as_ref())?.unzip();
        let addresses = Addresses {
            http: http_address,
            grpc: grpc_address,
            tls: tls_address,
            admin: admin_address,
            pprof: pprof_address,
        };
        Ok(Self { addresses, http, grpc, tls, admin, pprof })
    }
}

/// A listening socket for each worker; the kernel spreads connections over them.
fn per_worker(
    flag: &'static str,
    address: &Address,
    config: &Config,
) -> Result<(Address, Vec<Listener>), BindError> {
    let failed = |error: io::Error| refused(flag, address, &error);
    if !config.share_port {
        listen::probe(address).map_err(failed)?;
    }
    let shared = ListenOptions { share_port: true };
    let first = Listener::bind(address, shared).map_err(failed)?;
    let bound = first.address().map_err(failed)?;
    let mut listeners = vec![first];
    let spread = cfg!(target_os = "linux") && bound.tcp().is_some();
    while spread && listeners.len() < config.workers.get() {
        listeners.push(Listener::bind(&bound, shared).map_err(failed)?);
    }
    Ok((bound, listeners))
}

/// The same, if there is an address.
fn per_worker_if(
    flag: &'static str,
    address: Option<&Address>,
    config: &Config,
) -> Result<(Option<Address>, Vec<Listener>), BindError> {
    let Some(address) = address else { return Ok((None, Vec::new())) };
    let (address, listeners) = per_worker(flag, address, config)?;
    Ok((Some(address), listeners))
}

type Bound = (SocketAddr, std::net::TcpListener);

fn single(flag: &'static str, address: Option<&Address>) -> Result<Option<Bound>, BindError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error: io::Error| refused(flag, address, &error);
    match Listener::bind(address, ListenOptions::default()).map_err(failed)? {
        Listener::Tcp(listener) => Ok(Some((listener.local_addr().map_err(failed)?, listener))),
        #[cfg(unix)]
        Listener::Unix(_) => {
            Err(BindError { flag, address: address.clone(), reason: "it must be an IP address".to_owned() })
        }
    }
}

fn refused(flag: &'static str, address: &Address, error: &io::Error) -> BindError {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there".to_owned(),
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted".to_owned(),
        _ => error.to_string(),
    };
    BindError { flag, address: address.clone(), reason }
}
