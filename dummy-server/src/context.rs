//! What endpoints, gRPC services and behaviours get to see of the server: its settings, its payload, the phase of its
//! drain, the memory and the time that they may use. They never see a worker, a socket or an engine.

use std::{cell::Cell, rc::Rc, sync::Arc};

use contract::{pattern::Pattern, timing::WorkerLoad};

use crate::{
    budget::Budget,
    buffers::Buffers,
    drain::Shutdown,
    ledger::{Aggregator, Ledger},
    settings::Config,
    turn::Turn,
};

/// One for each worker.
#[derive(Debug)]
pub(crate) struct ServerContext {
    pub(crate) config: Arc<Config>,
    pub(crate) shutdown: Shutdown,
    pub(crate) pattern: Pattern,
    pub(crate) instance: &'static str,
    /// What requests and replies may hold.
    pub(crate) budget: Rc<Budget>,
    /// Where it is asked what all workers have seen of verified runs.
    pub(crate) aggregator: Arc<Aggregator>,
    /// What the worker has seen of verified runs.
    pub(crate) ledger: Rc<Ledger>,
    /// Of the connection that is polled.
    pub(crate) turn: Rc<Turn>,
    /// How busy the worker is, as it last looked.
    pub(crate) load: Cell<WorkerLoad>,
    /// What connections and WebSockets are read into, and gather their output in.
    pub(crate) buffers: Buffers,
}

impl ServerContext {
    pub(crate) fn new(
        config: Arc<Config>,
        shutdown: Shutdown,
        instance: &'static str,
        budget: Rc<Budget>,
        aggregator: Arc<Aggregator>,
    ) -> Rc<Self> {
        Rc::new(Self {
            pattern: Pattern::new(config.buffer_size),
            buffers: Buffers::new(&config),
            ledger: Ledger::new(instance, aggregator.epoch(), config.buffer_size),
            config,
            shutdown,
            instance,
            budget,
            aggregator,
            turn: Rc::default(),
            load: Cell::default(),
        })
    }
}
