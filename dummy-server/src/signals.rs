//! What signals do: SIGTERM and SIGINT drain the server, SIGHUP reloads its certificate.
//!
//! The thread that waits for signals must wait for nothing else, above all not for a file: a certificate on a mount
//! that hangs is read by its own thread, and the process ends whatever that thread is waiting for.

use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
};

use runtime::signals::{self, Signal};

use crate::{drain::Shutdown, tls::Certificates};

/// Obeys signals from now on, on its own thread. Once this has returned, none of them ends the process.
///
/// The first SIGTERM or SIGINT begins the drain, the second aborts it.
///
/// # Errors
/// A thread can't be started, or the signal handlers can't be installed.
pub fn watch(shutdown: Shutdown, certificates: Option<Certificates>) -> io::Result<()> {
    let reloads = certificates.map(start_reloads).transpose()?;
    let mut end: fn(&Shutdown) = Shutdown::begin;
    signals::on_each("signals", true, move |signal| {
        if signal == Signal::Hangup {
            tracing::info!("SIGHUP: {}", request_reload(reloads.as_ref()));
            return;
        }
        // What a signal is for is done before it is logged: a log may have to wait for its reader.
        std::mem::replace(&mut end, Shutdown::abort)(&shutdown);
        tracing::info!("{}", signal.name());
    })
}

/// Starts the thread that reloads the certificate each time it is asked to. It does one reload at a time, and one more
/// may be pending, which stands for all that are asked for until it begins.
fn start_reloads(certificates: Certificates) -> io::Result<SyncSender<()>> {
    let (requests, requested) = sync_channel(1);
    std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
        while requested.recv().is_ok() {
            match certificates.reload() {
                Ok(()) => tracing::info!("SIGHUP: new connections get the new certificate"),
                Err(error) => tracing::error!(%error, "SIGHUP: the certificate stays as it was"),
            }
        }
    })?;
    Ok(requests)
}

/// Asks for a reload; what came of the request.
fn request_reload(reloads: Option<&SyncSender<()>>) -> &'static str {
    match reloads.map(|reloads| reloads.try_send(())) {
        None => "ignored, there is no certificate to reload (TLS is off, see --tls-addr)",
        Some(Ok(())) => "reloading the certificate",
        Some(Err(_)) => "a reload is pending already",
    }
}
