//! What signals do: SIGTERM and SIGINT drain the server, SIGHUP reloads its certificate.
//!
//! The thread that waits for signals must wait for nothing else, above all not for a file: a certificate on a mount
//! that hangs is read by its own thread, and the process ends whatever that thread is waiting for.

use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
};

use crate::{drain::Shutdown, tls::Certificates};

/// Obeys signals from now on, on its own thread. Once this has returned, none of them ends the process.
///
/// The first SIGTERM or SIGINT begins the drain, the second aborts it.
///
/// # Errors
/// The thread can't be started, or the signal handlers can't be installed.
pub fn watch(shutdown: Shutdown, certificates: Option<Certificates>) -> io::Result<()> {
    let (installed, result) = sync_channel(1);
    runtime::worker::spawn("signals", None, move || obey(shutdown, certificates, installed))?;
    result.recv().unwrap_or_else(|_| Err(io::Error::other("the thread has ended")))
}

#[cfg(unix)]
async fn obey(shutdown: Shutdown, certificates: Option<Certificates>, installed: SyncSender<io::Result<()>>) {
    let handlers = Signals::install().and_then(|signals| {
        let reloads = certificates.map(start_reloads).transpose()?;
        Ok((signals, reloads))
    });
    let (mut signals, reloads) = match handlers {
        Ok(handlers) => handlers,
        Err(error) => return installed.send(Err(error)).unwrap_or_default(),
    };
    installed.send(Ok(())).unwrap_or_default();
    // What a signal is for is done before it is logged: a log may have to wait for its reader.
    for end in [Shutdown::begin, Shutdown::abort] {
        let name = loop {
            match signals.next().await {
                "SIGHUP" => tracing::info!("SIGHUP: {}", request_reload(reloads.as_ref())),
                name => break name,
            }
        };
        end(&shutdown);
        tracing::info!("{name}");
    }
}

/// Ctrl+C is the only signal there is.
#[cfg(not(unix))]
async fn obey(
    shutdown: Shutdown,
    _certificates: Option<Certificates>,
    installed: SyncSender<io::Result<()>>,
) {
    installed.send(Ok(())).unwrap_or_default();
    for end in [Shutdown::begin, Shutdown::abort] {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        end(&shutdown);
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next one. An end goes before a reload.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

/// Starts the thread that reloads the certificate each time it is asked to. It does one reload at a time, and one more
/// may be pending, which stands for all that are asked for until it begins.
#[cfg(unix)]
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
#[cfg(unix)]
fn request_reload(reloads: Option<&SyncSender<()>>) -> &'static str {
    match reloads.map(|reloads| reloads.try_send(())) {
        None => "ignored, there is no certificate to reload (TLS is off, see --tls-addr)",
        Some(Ok(())) => "reloading the certificate",
        Some(Err(_)) => "a reload is pending already",
    }
}
