//! Requests and replies as data, between the endpoints and the engines of the protocols.
//!
//! Nothing here reads or writes a socket, or knows which protocol carries a message.

pub(crate) mod duplex;
pub(crate) mod pace;
pub(crate) mod reply;
mod request;
pub(crate) mod timetable;
pub(crate) mod upload;
pub(crate) mod websocket;

pub(crate) use self::{reply::after, request::Head};
