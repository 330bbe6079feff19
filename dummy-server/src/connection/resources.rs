//! What the connections of one worker share.

use std::{cell::RefCell, rc::Rc};

use super::{refused::Refusals, socket::MOST_READ};
use crate::{budget::Budget, context::ServerContext, exchange::Exchange, tls::Certificates, turn::Turn};

/// Room to read on behind what a state machine needs in one piece: the largest frame of HTTP/2, or the largest head of
/// HTTP/1. Without it, reading could not go on.
const ROOM_TO_READ_ON: usize = 64 << 10;

/// One for each worker.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) context: Rc<ServerContext>,
    pub(super) exchange: Rc<Exchange>,
    /// The context's own, closer at hand.
    pub(super) budget: Rc<Budget>,
    pub(super) turn: Rc<Turn>,
    /// What TLS connections begin with.
    pub(super) certificates: Option<Certificates>,
    /// What was logged of connections that did not come to HTTP.
    pub(super) refusals: Refusals,
    /// What sockets are read into; idle connections hold no memory for it.
    pub(super) read_buffer: RefCell<Box<[u8]>>,
    /// Heads of requests, which are looked at and forgotten.
    pub(super) http1_head: RefCell<http1::request::Head>,
    pub(super) http2_head: RefCell<http2::Head>,
}

impl Resources {
    pub(crate) fn new(exchange: Rc<Exchange>, certificates: Option<Certificates>) -> Rc<Self> {
        let context = Rc::clone(&exchange.context);
        let config = &context.config;
        let in_one_piece = config.http2.max_frame_size.max(config.limits.max_header_bytes) as usize;
        let read_buffer = MOST_READ.max(in_one_piece + ROOM_TO_READ_ON);
        Rc::new(Self {
            budget: Rc::clone(&context.budget),
            turn: Rc::clone(&context.turn),
            certificates,
            refusals: Refusals::default(),
            read_buffer: RefCell::new(vec![0; read_buffer].into_boxed_slice()),
            http1_head: RefCell::default(),
            http2_head: RefCell::default(),
            exchange,
            context,
        })
    }
}
