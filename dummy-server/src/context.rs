//! What endpoints, gRPC services and behaviours get to see of the server: its settings, its payload, the phase of its
//! drain, the memory and the time that they may use. They never see a worker, a socket or an engine.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use contract::{pattern::Pattern, timing::WorkerLoad};
use wire::Output;

use crate::{
    budget::Budget,
    buffers::Buffers,
    drain::Shutdown,
    ledger::{Aggregator, Ledger},
    settings::Config,
    turn::Turn,
};

/// How many buffers are kept for connections to come, and how large they may be.
const SPARE_BUFFERS: usize = 64;
const LARGEST_SPARE: usize = 1 << 20;
/// A piece of the pattern and the head before it leave together.
const ROOM_FOR_A_HEAD: usize = 16 << 10;

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
    /// What connections and WebSockets are read into.
    pub(crate) buffers: Rc<Buffers>,
    /// Buffers that idle connections have given back.
    spare: RefCell<Vec<Vec<u8>>>,
}

impl ServerContext {
    pub(crate) fn new(
        config: Arc<Config>,
        shutdown: Shutdown,
        instance: &'static str,
        budget: Rc<Budget>,
        (aggregator, ledger): (Arc<Aggregator>, Rc<Ledger>),
    ) -> Rc<Self> {
        Rc::new(Self {
            pattern: Pattern::new(config.buffer_size),
            buffers: Rc::new(Buffers::new(&config)),
            config,
            shutdown,
            instance,
            budget,
            aggregator,
            ledger,
            turn: Rc::default(),
            load: Cell::default(),
            spare: RefCell::default(),
        })
    }

    /// Bytes in one system call at most, but for the first slice.
    pub(crate) fn largest_write(&self) -> usize {
        self.config.buffer_size + ROOM_FOR_A_HEAD
    }

    /// Gives an output that has no buffer one that another has given back.
    pub(crate) fn lend(&self, output: &mut Output) {
        if output.is_empty() && output.buffer().capacity() == 0 {
            let spare = self.spare.borrow_mut().pop();
            output.exchange_buffer(spare.unwrap_or_default());
        }
    }

    /// Takes the buffer of an output that is empty.
    pub(crate) fn take_back(&self, output: &mut Output) {
        if output.is_empty() && output.buffer().capacity() > 0 {
            let buffer = output.exchange_buffer(Vec::new());
            let mut spare = self.spare.borrow_mut();
            if spare.len() < SPARE_BUFFERS && buffer.capacity() <= LARGEST_SPARE {
                spare.push(buffer);
            }
        }
    }
}
