//! A target server for testing proxies, load balancers, gateways and meshes.
//!
//! The data flow: [`Args`] (what was typed) become a [`Config`] (what is meant); `listener` opens the ports;
//! `accept` gives each connection to a worker; `connection` finds out what it speaks and executes each `reply` that the
//! `endpoints` give for a `router`'s route. [`signals`] begin the `drain`, which ends it all; `admin` watches and
//! `access_log` writes, each from a thread of its own.

mod accept;
mod access_log;
mod admin;
mod args;
mod behaviour;
mod boolean;
mod budget;
mod buffers;
mod clock;
mod config;
mod connection;
mod context;
mod cors;
mod counter;
mod cut;
mod drain;
mod ended;
mod endpoints;
mod exchange;
mod fleet;
#[doc(hidden)]
pub mod fuzzing;
mod grpc_services;
mod handshakes;
mod ledger;
mod lifecycle;
mod listener;
mod message;
mod named;
mod peer;
mod process;
mod protocol;
mod router;
mod secret;
mod settings;
mod shown;
pub mod signals;
mod stats;
mod tls;
mod turn;
mod worker;

use std::{io, sync::Arc, thread};

use command_line::Refusal;
use tokio::sync::oneshot;

pub use args::Args;
pub use config::ConfigError;
pub use drain::Shutdown;
pub use listener::{Addresses, BindError};
pub use secret::Secret;
pub use settings::{
    AccessLog, Config, Format, Http2, InstancePorts, Instances, Limits, ProxyProtocol, PushUrl,
};
pub use tls::{Certificates, Source, Tls};
pub use transport::{
    Address,
    tls::{Settings as TlsSettings, SettingsError},
};

use crate::{
    ended::Ending,
    listener::{Bound, Listeners},
    process::Process,
};

/// A server that can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address can't be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate is unusable.
    #[error("{}", refusal_of(.0))]
    Tls(#[from] SettingsError),
    /// Threads or runtimes can't be made, or the pidfile can't be written.
    #[error("{what}: {error}")]
    System {
        /// What could not be done.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// Why TLS can't be served, and what can be given.
fn refusal_of(error: &SettingsError) -> Refusal {
    let (accepted, example) = match error {
        SettingsError::Unwritable { .. } => ("a file that can be written", "--tls-self-signed=ca.pem"),
        _ => (
            "readable files in PEM: a certificate chain, its key, and CA certificates for --tls-client-ca",
            "--tls-cert=chain.pem --tls-key=key.pem",
        ),
    };
    Refusal::new(format!("can't serve TLS: {error}"), accepted, example)
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What was in flight has completed.
    Drained,
    /// It was aborted, or the drain's time was up; this number of connections was cut off.
    Cut {
        /// Connections that were still open.
        connections: usize,
    },
    /// One of its threads panicked; what it served is lost.
    Panicked,
}

/// A server, or several, running on their own threads.
#[derive(Debug)]
pub struct Running {
    process: Arc<Process>,
    config: Config,
    admin: thread::JoinHandle<()>,
    access_log: Option<access_log::Writer>,
    done: oneshot::Sender<()>,
}

impl Running {
    /// Where it listens; of several servers, where the first one does.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.process.addresses
    }

    /// The names of the servers, and where each listens.
    pub fn instances(&self) -> impl Iterator<Item = (&'static str, Addresses)> {
        self.process.instances.iter().map(|instance| (instance.lasting.name, instance.addresses()))
    }

    /// Says where it listens, in a line for each server, of which the last line has the ports of the process.
    #[must_use]
    pub fn listening(&self) -> Vec<String> {
        self.process.listening()
    }

    /// The handle that ends it.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.process.common.shutdown
    }

    /// The certificate in use, if there is one.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.process.common.certificates.as_ref()
    }

    /// Waits for its end, but not for a worker that is stuck when the drain's time is up: its thread runs until the process
    /// ends.
    #[must_use = "a drain that was cut short is worth a word"]
    pub fn join(self) -> Ended {
        let ending = self.process.common.ends.wait();
        self.process.close_log();
        let ended = match ending {
            Ending::All(0) => Ended::Drained,
            Ending::All(connections) => Ended::Cut { connections },
            Ending::Stuck => Ended::Cut { connections: self.process.open_connections() as usize },
            Ending::Panicked => Ended::Panicked,
        };
        // What a worker that is stuck has seen is missing: a part of it would be taken for all.
        if let (Some(url), Ending::All(_)) = (&self.config.ledger_push, ending) {
            process::push(&self.process, url, self.config.drain_timeout);
        }
        if let Some(access_log) = self.access_log
            && matches!(ending, Ending::All(_))
        {
            access_log.finish();
        }
        let _ = self.done.send(());
        let admin = self.admin.join();
        if let Some(path) = self.config.pidfile {
            // Somebody may have removed it, which was the aim.
            let _ = std::fs::remove_file(path);
        }
        if admin.is_err() { Ended::Panicked } else { ended }
    }
}

/// Opens the ports and starts to serve; returns immediately. `shutdown` ends it.
///
/// # Errors
/// An address can't be listened on, the certificate can't be used, or the system is out of something.
pub fn run(config: Config, shutdown: Shutdown) -> Result<Running, StartError> {
    match runtime::files::raise_limit() {
        Ok(limit) => tracing::info!(before = limit.before, now = limit.now, "open-file limit"),
        Err(error) => tracing::warn!(%error, "can't raise the open-file limit"),
    }
    if config.tls.is_some()
        && let Err(error) = transport::tls::check_key_log()
    {
        tracing::warn!("{error}");
    }
    let certificates =
        config.tls.as_ref().map(|tls| Certificates::load(tls, &config.instances.names)).transpose()?;
    let servers = Listeners::bind_all(&config)?;
    let (admin, pprof) = (listener::admin(&config)?, listener::profiles(&config)?);
    if let Some(path) = &config.pidfile {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| StartError::System { what: "can't write the pidfile", error })?;
    }
    start(config, shutdown, servers, (admin, pprof), certificates)
        .map_err(|error| StartError::System { what: "can't start a thread", error })
}

fn start(
    config: Config,
    shutdown: Shutdown,
    servers: Vec<(Config, Listeners)>,
    (admin, pprof): (Option<Bound>, Option<Bound>),
    certificates: Option<Certificates>,
) -> io::Result<Running> {
    let address = |bound: &Option<Bound>| bound.as_ref().map(|(address, _)| *address);
    let mut addresses = servers[0].1.addresses.clone();
    (addresses.admin, addresses.pprof) = (address(&admin), address(&pprof));
    let (process, access_log) = Process::start(&config, shutdown, certificates, servers, addresses)?;
    let process = Arc::new(process);
    let (done, ended) = oneshot::channel();
    let admin = {
        let process = Arc::clone(&process);
        let (ends, config) = (process.common.ends.clone(), config.clone());
        runtime::worker::spawn("admin", None, move || {
            tokio::task::spawn_local(ends.clone().watch());
            ends.thread(admin::run(config, process, admin, pprof, ended))
        })?
    };
    Ok(Running { process, config, admin, access_log, done })
}

#[cfg(test)]
mod tests;
