//! The readers as their callers see them: bytes in pieces of any size, and what they said in return.

mod random;
mod requests;
mod responses;
mod transcript;
