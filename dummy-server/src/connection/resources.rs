//! What the connections of one worker share.

use std::rc::Rc;

use super::refused::Refusals;
use crate::{buffers::Reusable, exchange::Exchange, tls::Certificates};

/// One for each worker.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) exchange: Rc<Exchange>,
    /// What TLS connections begin with.
    pub(super) certificates: Option<Certificates>,
    /// What was logged of connections that did not come to HTTP.
    pub(super) refusals: Refusals,
    /// Heads of requests, which are looked at and forgotten.
    pub(super) http1_head: Reusable<http1::request::RequestHead>,
    pub(super) http2_head: Reusable<http2::Head>,
}

impl Resources {
    pub(crate) fn new(exchange: Rc<Exchange>, certificates: Option<Certificates>) -> Rc<Self> {
        Rc::new(Self {
            certificates,
            refusals: Refusals::default(),
            http1_head: Reusable::default(),
            http2_head: Reusable::default(),
            exchange,
        })
    }
}
