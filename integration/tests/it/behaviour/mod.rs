//! Behaviour on request, as a client sees it that hides nothing.

mod aborts;
mod chances;
mod content;
mod control;
mod heads;
mod numbers;

tests!();
