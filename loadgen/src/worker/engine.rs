//! The seam between the loop and the protocols: an engine offers room, takes requests and yields what came
//! of them. An engine knows nothing of schedules; the loop knows nothing of protocols.

use std::task::Context;

use crate::{
    clock::Nanos,
    outcome::{Arrival, Ended, Failure},
};

/// How much an engine reads at once; one buffer serves all connections of a worker.
pub(crate) const READ_BUFFER: usize = 256 * 1024;

/// What an engine may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at most.
    pub(crate) connections: usize,
    /// Requests at a time on each.
    pub(crate) streams: usize,
    /// Nanoseconds for a reply.
    pub(crate) timeout: Nanos,
    /// Nanoseconds for a connection that can be used.
    pub(crate) connect_timeout: Nanos,
}

/// Room for one request on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

/// Where an engine puts what happens.
pub(crate) trait Sink {
    /// A request has ended.
    fn ended(&mut self, ended: Ended<'_>);
    /// A request was not processed and is to be sent again.
    fn again(&mut self, arrival: Arrival);
    /// No connection could be made and there is no other: whoever waits for one fails.
    fn unreachable(&mut self, at: Nanos, failure: &Failure);
    /// A connection has come about, or allows more than before: whoever waits is to be looked at again.
    fn roomier(&mut self);
    /// This process or host allows no more connections: those that are open have to do.
    fn limited(&mut self, connections: usize, failure: &Failure);
    /// A connection on which no request was at work broke the protocol, and was closed.
    fn unasked(&mut self, failure: &Failure);
    /// Numbers the instance that a reply names.
    fn instance(&mut self, name: &[u8]) -> u16;
    /// So many bytes of bodies were read since it was last said, of replies that may still be running.
    fn received(&mut self, bytes: u64);
}

/// A protocol over its connections. No call waits, and none but opening a connection allocates per request
/// beyond what the protocol's library does.
pub(crate) trait Engine {
    /// Opens connections until `wanted` more requests would find room, as far as the limits allow.
    fn want(&mut self, wanted: usize, now: Nanos);
    /// Room for one request, if there is any now.
    fn capacity(&mut self) -> Option<Slot>;
    /// Sends a request in a slot that [`Engine::capacity`] has just offered.
    fn submit(&mut self, slot: Slot, arrival: Arrival, sink: &mut impl Sink);
    /// Reads and writes whatever is ready.
    fn drive(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink);
    /// Ends what has taken too long, connections that don't come about included.
    fn expire(&mut self, now: Nanos, sink: &mut impl Sink);
    /// Ends everything.
    fn abandon(&mut self, now: Nanos, sink: &mut impl Sink);
    /// How many requests may be at work at once, as far as is known by now.
    fn slots(&self) -> usize;
    /// Whether the connections of the beginning are open, or have failed.
    fn is_prepared(&self) -> bool;
    /// When the engine wants to be called again at the latest.
    fn next_attempt(&self) -> Option<Nanos>;
}
