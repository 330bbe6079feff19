//! The file that secrets of sessions are appended to. rustls opens it, and says nothing if it can't.

use std::{env, fs::OpenOptions, io, path::PathBuf};

/// The variable that names it.
const VARIABLE: &str = "SSLKEYLOGFILE";

/// A file that secrets were to be appended to.
#[derive(Debug, thiserror::Error)]
#[error("secrets of TLS sessions are not logged: can't append to {path}, which SSLKEYLOGFILE names: {error}", path = path.display())]
pub struct Unwritable {
    path: PathBuf,
    error: io::Error,
}

/// Whether secrets can be appended to the file that `SSLKEYLOGFILE` names, if it names one; it is made if it is not there.
///
/// # Errors
/// They can't.
pub fn check_key_log() -> Result<(), Unwritable> {
    match env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from) {
        None => Ok(()),
        Some(path) => match OpenOptions::new().append(true).create(true).open(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(Unwritable { path, error }),
        },
    }
}
