//! A target server for testing proxies, load balancers, gateways and meshes.
//!
//! The way of the data: [`Args`] (what was typed) become a [`Config`] (what is meant); `listener` opens the ports;
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
mod grpc;
mod handshakes;
mod lifecycle;
mod listener;
mod message;
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

use std::{
    io,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, mpsc::RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use transport::{Listener, listen::SocketFile};

pub use args::Args;
pub use config::ConfigError;
pub use drain::Shutdown;
pub use listener::{Addresses, BindError};
pub use secret::Secret;
pub use settings::{AccessLog, Config, Format, Http2, Limits, ProxyProtocol};
pub use tls::{Certificates, Source, Tls};
pub use transport::{
    Address,
    tls::{Settings as TlsSettings, SettingsError},
};

use crate::{
    admin::Figures,
    behaviour::Behaviour,
    budget::Pool,
    drain::Phase,
    ended::{News, Reporter},
    fleet::{Arrived, Fleet},
    listener::Listeners,
    settings::Port,
    stats::Stats,
    worker::{Question, Server, Worker},
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
    /// It was aborted, or the drain's time was up; this number of connections was cut off.
    Cut {
        /// Connections that were still open.
        connections: usize,
    },
    /// One of its threads panicked; what it served is lost.
    Panicked,
}

/// How long workers may take to end after the drain's time is up. One that is stuck does not keep the process.
const GRACE: Duration = Duration::from_secs(1);

/// A server that runs on threads of its own.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    shutdown: Shutdown,
    certificates: Option<Certificates>,
    pidfile: Option<PathBuf>,
    /// Those of Unix domain sockets, which are removed with it.
    _files: Vec<SocketFile>,
    /// How many there are.
    workers: usize,
    fleet: Arc<Fleet>,
    news: std::sync::mpsc::Receiver<News>,
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

    /// Waits for its end. A worker that is stuck is not waited for when the drain's time is up: its thread goes on until
    /// the process ends.
    #[must_use = "a drain that was cut short is worth a word"]
    pub fn join(self) -> Ended {
        let (ended, all) = self.wait();
        if let Some(access_log) = self.access_log
            && all
        {
            access_log.finish();
        }
        let _ = self.done.send(());
        let admin = self.admin.join();
        if let Some(path) = self.pidfile {
            // Somebody may have removed it, which was the aim.
            let _ = std::fs::remove_file(path);
        }
        if admin.is_err() { Ended::Panicked } else { ended }
    }

    /// How it has ended, and whether all workers have.
    fn wait(&self) -> (Ended, bool) {
        let (mut left, mut cut, mut deadline) = (self.workers, 0, None::<Instant>);
        while left > 0 {
            let news = match deadline {
                None => self.news.recv().ok(),
                Some(deadline) => {
                    match self.news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                        Err(RecvTimeoutError::Timeout) => {
                            tracing::error!(
                                workers = left,
                                "workers have not ended when the drain's time was up"
                            );
                            return (Ended::Cut { connections: self.fleet.open() as usize }, false);
                        }
                        news => news.ok(),
                    }
                }
            };
            match news {
                Some(News::Worker(open)) => (left, cut) = (left - 1, cut + open),
                Some(News::Aborted) => deadline = Some(Instant::now() + GRACE),
                Some(News::Panicked) | None => return (Ended::Panicked, false),
            }
        }
        (if cut == 0 { Ended::Drained } else { Ended::Cut { connections: cut } }, true)
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

/// What one worker is started with, and nobody else has.
struct Seat {
    inbox: mpsc::Receiver<Arrived>,
    stats: Arc<Stats>,
    questions: mpsc::Receiver<Question>,
    lines: Option<access_log::Queue>,
    listeners: Vec<(Port, Listener)>,
}

fn start(
    config: &Arc<Config>,
    shutdown: Shutdown,
    listeners: Listeners,
    certificates: Option<Certificates>,
) -> io::Result<Running> {
    let Listeners { addresses, mut ports, admin, pprof, files } = listeners;
    let count = config.workers.get();
    let mut fleet = Fleet::new(ports.open());
    let mut log = config.access_log.map(AccessLog::queues);
    let (mut seats, mut workers_to_ask) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let (sender, questions) = mpsc::channel(QUESTIONS);
        workers_to_ask.push(sender);
        seats.push(Seat {
            inbox: fleet.add_worker(),
            stats: Arc::default(),
            questions,
            lines: log.as_mut().map(access_log::Queues::add_worker),
            listeners: ports.of_next_worker(),
        });
    }
    let access_log = log.map(access_log::Queues::start).transpose()?;
    let behaviour = Arc::new(behaviour::Shared::new(count));
    if let Ok(default) = Behaviour::parse(&config.behaviour)
        && !config.behaviour.is_empty()
    {
        behaviour.set_default(default);
    }
    let figures = Arc::new(Figures {
        behaviour: Arc::clone(&behaviour),
        memory_budget: config.memory_budget,
        workers: seats.iter().map(|seat| Arc::clone(&seat.stats)).collect(),
        shutdown: shutdown.clone(),
        workers_to_ask,
    });
    let (done, ended) = oneshot::channel();
    // The workers and the admin thread.
    let (reporter, news) = Reporter::new(count + 1);
    let admin = {
        let (config, shutdown, addresses) = (Arc::clone(config), shutdown.clone(), addresses.clone());
        let reporter = reporter.clone();
        runtime::worker::spawn("admin", None, move || {
            tokio::task::spawn_local(reporter.clone().watch(shutdown.clone()));
            reporter.thread(admin::run(config, shutdown, figures, addresses, admin, pprof, ended))
        })?
    };
    let fleet = Arc::new(fleet);
    let server = Server {
        config: Arc::clone(config),
        shutdown: shutdown.clone(),
        fleet: Arc::clone(&fleet),
        // One short text per server, so that each reply can borrow it.
        instance: config.instance.clone().leak(),
        behaviour,
        certificates: certificates.clone(),
        memory: Pool::new(config.memory_budget, config.workers.get()),
    };
    spawn_workers(&server, seats, &reporter)?;
    debug_assert_eq!(shutdown.phase(), Phase::Serving, "a shutdown handle is for one server");
    let pidfile = config.pidfile.clone();
    Ok(Running {
        addresses,
        shutdown,
        certificates,
        pidfile,
        _files: files,
        workers: count,
        fleet,
        news,
        admin,
        access_log,
        done,
    })
}

/// Starts a worker in each seat.
fn spawn_workers(server: &Server, seats: Vec<Seat>, reporter: &Reporter) -> io::Result<()> {
    let cpus = if server.config.pin_cpus { runtime::affinity::allowed() } else { Vec::new() };
    for (index, seat) in seats.into_iter().enumerate() {
        let cpu = cpus.get(index % cpus.len().max(1)).copied();
        let (server, reporter) = (server.clone(), reporter.clone());
        let Seat { inbox, stats, questions, lines, listeners } = seat;
        runtime::worker::spawn(&format!("worker-{index}"), cpu, move || {
            reporter.worker(async move {
                let worker = Worker::new(index, server, stats, lines);
                let accepting: Vec<_> = listeners
                    .into_iter()
                    .map(|(port, listener)| accept::run(listener, port, Rc::clone(&worker)))
                    .collect();
                worker.run(accepting, inbox, questions).await
            })
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
