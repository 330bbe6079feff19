//! TLS 1.2 and 1.3 of a server, by rustls: what a listener offers, and the sessions of its connections.
//!
//! [`settings`] makes of files, or of nothing, what a server needs; [`session`] is a connection's state, which holds
//! no buffer while nothing is under way; [`facts`] is what was agreed; [`failure`] is why nothing was.

pub mod facts;
pub mod failure;
mod hello;
pub mod session;
pub mod settings;
pub mod signed;

pub use facts::{ClientCertificate, Facts, Version};
pub use failure::{Failure, Reason};
pub use session::Session;
pub use settings::{ClientAuth, Identity, Settings, SettingsError};
pub use signed::Authority;

/// What a connection is begun with: shared by the connections of a server until its certificate changes.
pub type ServerConfig = std::sync::Arc<rustls::ServerConfig>;
