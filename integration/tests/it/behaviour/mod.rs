//! Behaviour on request, as a client that shows everything sees it.

mod aborts;
mod chances;
mod content;
mod control;
mod heads;
mod numbers;

tests!();
