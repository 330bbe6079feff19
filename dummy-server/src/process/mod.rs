//! The servers of one process, what they share, and their ends and new beginnings.
//!
//! They share the phases of the process, its memory budget and its certificate, and no connection, worker or counter. Most
//! processes have one server, and requests do not pass through this.

mod instance;
mod life;
mod push;

use std::{io, sync::Arc};

use runtime::mutex::lock;

pub(crate) use self::{
    instance::{Condition, Instance, RestartError},
    push::push,
};
use crate::{
    access_log,
    behaviour::Behaviour,
    budget::Pool,
    drain::{Phase, Shutdown},
    ended::Ends,
    listener::{Addresses, Listeners},
    settings::{AccessLog, Config},
    tls::Certificates,
};

/// What the servers of a process share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) shutdown: Shutdown,
    pub(crate) ends: Ends,
    pub(crate) certificates: Option<Certificates>,
    memory: Arc<Pool>,
    /// Of all servers.
    workers: usize,
    accept_loops: usize,
}

/// All servers of the process: one at least.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) common: Common,
    pub(crate) instances: Vec<Arc<Instance>>,
    /// Where the ports of the process are.
    pub(crate) addresses: Addresses,
}

impl Process {
    /// Starts a server on each of these listeners. `addresses` are those of the first server and of the process.
    pub(crate) fn start(
        config: &Config,
        shutdown: Shutdown,
        certificates: Option<Certificates>,
        servers: Vec<(Config, Listeners)>,
        addresses: Addresses,
    ) -> io::Result<(Self, Option<access_log::Writer>)> {
        debug_assert_eq!(shutdown.phase(), Phase::Serving, "a shutdown handle is for one process");
        let workers = servers.iter().map(|(own, _)| own.workers.get()).sum();
        let common = Common {
            ends: Ends::new(shutdown.clone()),
            shutdown,
            certificates,
            memory: Pool::new(config.memory_budget, workers),
            workers,
            accept_loops: servers.iter().map(|(_, listeners)| listeners.ports.open()).sum(),
        };
        let mut log = config.access_log.map(AccessLog::queues);
        let mut instances = Vec::with_capacity(servers.len());
        let mut first_worker = 0;
        let are_several = config.instances.are_several();
        for (own, listeners) in servers {
            let count = own.workers.get();
            instances.push((life::Lasting::new(own, first_worker, are_several, log.as_mut()), listeners));
            first_worker += count;
        }
        // Before the first line can be written.
        let writer = log.map(access_log::Queues::start).transpose()?;
        let start = |(lasting, listeners): (life::Lasting, Listeners)| {
            if let Ok(default) = Behaviour::parse(&config.behaviour) {
                lasting.behaviour.set_default(default);
            }
            Instance::start(lasting, listeners, &common).map(Arc::new)
        };
        let instances = instances.into_iter().map(start).collect::<io::Result<_>>()?;
        Ok((Self { common, instances, addresses }, writer))
    }

    /// Whether new requests are welcome at any of the servers.
    pub(crate) fn is_ready(&self) -> bool {
        self.instances.iter().any(|instance| instance.is_ready())
    }

    /// Open connections of all servers.
    pub(crate) fn open_connections(&self) -> u64 {
        self.instances.iter().map(|instance| instance.life().server.fleet.open()).sum()
    }

    /// No server starts again: the access log ends when the last worker has.
    pub(crate) fn close_log(&self) {
        self.instances.iter().for_each(|instance| lock(&instance.lasting.lines).clear());
    }

    /// Says where it listens: one line for each server where there are several, and one for the ports of the process. The
    /// line of the process is the last one.
    pub(crate) fn listening(&self) -> Vec<String> {
        if self.instances.len() == 1 {
            return vec![format!("listening {}", self.addresses)];
        }
        let of_instance = |instance: &Arc<Instance>| {
            format!("{} listening {}", instance.lasting.name, instance.addresses())
        };
        let mut last = "listening".to_owned();
        for (name, address) in [("admin", self.addresses.admin), ("pprof", self.addresses.pprof)] {
            if let Some(address) = address {
                last.push_str(&format!(" {name}={address}"));
            }
        }
        self.instances.iter().map(of_instance).chain([last]).collect()
    }
}
