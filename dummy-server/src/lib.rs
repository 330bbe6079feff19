//! A target server for testing proxies, load balancers, gateways and meshes.
//!
//! The way of the data, which is also the order of the modules: [`Args`] (what was typed) become a
//! [`Config`] (what is meant); `listener` opens the ports; `accept` gives each connection to a worker;
//! `connection` finds out what it speaks and executes each `reply` that the `endpoints` give for a
//! `router`'s route. [`signals`] begin the `drain`, which ends it all; `admin` watches and `access_log` writes,
//! each from a thread of its own.

mod accept;
mod access_log;
mod admin;
mod args;
mod behaviour;
mod config;
mod connection;
mod drain;
mod duplex;
mod endpoints;
mod grpc;
mod listener;
mod openings;
mod quantity;
mod reply;
mod router;
mod secret;
mod shown;
pub mod signals;
mod stats;
mod tls;
mod upload;
mod worker;

use std::{io, path::PathBuf, sync::Arc, thread};

use tokio::sync::{mpsc, oneshot};
use transport::listen::SocketFile;

pub use access_log::{AccessLog, Format};
pub use args::Args;
pub use config::{Config, ConfigError, Http2, Limits, ProxyProtocol};
pub use drain::Shutdown;
pub use listener::{Addresses, BindError};
pub use secret::Secret;
pub use tls::{Certificates, Source, Tls};
pub use transport::{
    Address,
    tls::{Settings as TlsSettings, SettingsError},
};

use crate::{
    accept::Fleet,
    admin::Figures,
    behaviour::Behaviour,
    connection::Port,
    drain::Phase,
    listener::Listeners,
    stats::Stats,
    worker::{Server, Worker},
};

/// Questions of the admin port that may wait for a worker.
const QUESTIONS: usize = 4;

/// A server that can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address can't be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate is of no use.
    #[error("can't serve TLS: {0}")]
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

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What was in flight has completed.
    Drained,
    /// It was aborted, or the drain's time was up; so many connections were cut off.
    Cut {
        /// Connections that were still open.
        connections: usize,
    },
}

/// A server that runs on threads of its own.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    shutdown: Shutdown,
    certificates: Option<Certificates>,
    pidfile: Option<PathBuf>,
    /// Those of Unix domain sockets, which are removed with it.
    _files: Vec<SocketFile>,
    workers: Vec<thread::JoinHandle<usize>>,
    admin: thread::JoinHandle<()>,
    access_log: Option<access_log::Writer>,
    done: oneshot::Sender<()>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The handle that ends it.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// The certificate in use, if there is one.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When one of its threads has panicked.
    #[must_use = "a drain that was cut short is worth a word"]
    pub fn join(self) -> Ended {
        const PANICKED: &str = "a thread of the server has panicked";
        let cut = self.workers.into_iter().map(|worker| worker.join().expect(PANICKED)).sum();
        if let Some(access_log) = self.access_log {
            access_log.finish();
        }
        let _ = self.done.send(());
        self.admin.join().expect(PANICKED);
        if let Some(path) = self.pidfile {
            // Somebody may have removed it, which was the aim.
            let _ = std::fs::remove_file(path);
        }
        if cut == 0 { Ended::Drained } else { Ended::Cut { connections: cut } }
    }
}

/// Opens the ports and starts to serve; returns at once. `shutdown` ends it.
///
/// # Errors
/// An address can't be listened on, the certificate can't be used, or the system is out of something.
pub fn run(config: Config, shutdown: Shutdown) -> Result<Running, StartError> {
    match runtime::files::raise_limit() {
        Ok(limit) => tracing::info!(before = limit.before, now = limit.now, "open-file limit"),
        Err(error) => tracing::warn!(%error, "can't raise the open-file limit"),
    }
    let certificates =
        config.tls.as_ref().map(|tls| Certificates::load(tls, &config.instance)).transpose()?;
    let listeners = Listeners::bind(&config)?;
    if let Some(path) = &config.pidfile {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| StartError::System { what: "can't write the pidfile", error })?;
    }
    start(&Arc::new(config), shutdown, listeners, certificates)
        .map_err(|error| StartError::System { what: "can't start a thread", error })
}

fn start(
    config: &Arc<Config>,
    shutdown: Shutdown,
    listeners: Listeners,
    certificates: Option<Certificates>,
) -> io::Result<Running> {
    let Listeners { addresses, http, grpc, tls, admin, pprof, files } = listeners;
    let count = config.workers.get();
    let (fleet, inboxes) = Fleet::new(count, http.len() + grpc.len() + tls.len());
    let fleet = Arc::new(fleet);
    let stats: Vec<_> = (0..count).map(|_| Arc::new(Stats::default())).collect();
    let (desks, questions): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(QUESTIONS)).unzip();
    let behaviour = Arc::new(behaviour::Shared::new(count));
    if let Ok(default) = Behaviour::parse(&config.behaviour)
        && !config.behaviour.is_empty()
    {
        behaviour.set_default(&config.behaviour, default);
    }
    let figures = Arc::new(Figures {
        behaviour: Arc::clone(&behaviour),
        workers: stats.clone(),
        shutdown: shutdown.clone(),
        desks,
    });
    let (lines, access_log) = config.access_log.map(|log| log.start(count)).transpose()?.unzip();
    // One short text per server, so that each reply can borrow it.
    let instance: &'static str = config.instance.clone().leak();
    let (done, ended) = oneshot::channel();
    let admin = {
        let (config, shutdown, addresses) = (Arc::clone(config), shutdown.clone(), addresses.clone());
        runtime::worker::spawn("admin", None, move || {
            admin::run(config, shutdown, figures, addresses, admin, pprof, ended)
        })?
    };
    let cpus = if config.pin_cpus { runtime::affinity::allowed() } else { Vec::new() };
    let (mut http, mut grpc, mut tls) = (http.into_iter(), grpc.into_iter(), tls.into_iter());
    let server = Server {
        config: Arc::clone(config),
        shutdown: shutdown.clone(),
        fleet,
        instance,
        behaviour,
        certificates: certificates.clone(),
    };
    let mut workers = Vec::with_capacity(count);
    let (mut questions, mut lines) = (questions.into_iter(), lines.into_iter().flatten());
    for (index, (inbox, stats)) in inboxes.into_iter().zip(stats).enumerate() {
        let (Some(questions), line) = (questions.next(), lines.next()) else { break };
        let ports = [(Port::Http, http.next()), (Port::Grpc, grpc.next()), (Port::Tls, tls.next())];
        let listeners = ports.into_iter().filter_map(|(port, listener)| Some((port, listener?))).collect();
        let cpu = cpus.get(index % cpus.len().max(1)).copied();
        let server = server.clone();
        workers.push(runtime::worker::spawn(&format!("worker-{index}"), cpu, move || {
            Worker::new(index, server, stats, line).run(listeners, inbox, questions)
        })?);
    }
    debug_assert_eq!(shutdown.phase(), Phase::Serving, "a shutdown handle is for one server");
    let pidfile = config.pidfile.clone();
    Ok(Running {
        addresses,
        shutdown,
        certificates,
        pidfile,
        _files: files,
        workers,
        admin,
        access_log,
        done,
    })
}
