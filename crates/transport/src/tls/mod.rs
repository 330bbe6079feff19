//! TLS 1.2 and 1.3 by rustls: what a listener offers, and the sessions of both sides' connections.
//!
//! [`settings`] makes of files, or of nothing, what a server needs, [`client`] what a client does; [`session`] is a connection's state, which holds
//! no buffer while nothing is under way; [`facts`] is what was agreed; [`failure`] is why nothing was.

pub mod client;
pub mod facts;
pub mod failure;
mod hello;
mod key_log;
pub mod session;
pub mod settings;
pub mod signed;

pub use client::{ClientSettings, Problem, Trust};
pub use facts::{ClientCertificate, Facts, Version};
pub use failure::{Failure, Reason};
pub use key_log::{Unwritable, check_key_log};
pub use session::{Client, Server, Session, Side};
pub use settings::{ClientAuth, Identity, Settings, SettingsError};
pub use signed::Authority;

/// What a connection is begun with: shared by the connections of a server until its certificate changes.
pub type ServerConfig = std::sync::Arc<rustls::ServerConfig>;

/// A name that a server is asked for.
pub type ServerName = rustls::pki_types::ServerName<'static>;

/// What a client begins its connections with.
pub type ClientConfig = std::sync::Arc<rustls::ClientConfig>;
