//! What signals have a process do, on a thread that waits for nothing else.

use std::{io, thread};

use tokio::runtime::Builder;

/// A signal that a process obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT, or Ctrl+C where that is the only one.
    Interrupt,
    /// SIGHUP.
    Hangup,
}

impl Signal {
    /// What POSIX calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Hangup => "SIGHUP",
        }
    }
}

/// Calls `obey` for each signal from now on, on a thread of this name. Once this has returned, none of them ends the process,
/// except for SIGHUP unless that is obeyed, too.
///
/// # Errors
/// The signals can't be handled, or the thread or its runtime can't be made.
pub fn on_each(
    name: &str,
    with_hangup: bool,
    mut obey: impl FnMut(Signal) + Send + 'static,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _guard = runtime.enter();
        Signals::handle(with_hangup)?
    };
    let obeying = async move {
        while let Some(signal) = signals.next().await {
            obey(signal);
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(obeying)).map(drop)
}

#[cfg(unix)]
struct Signals(Vec<(Signal, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    fn handle(with_hangup: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // An end goes before a reload.
        let ends =
            [(Signal::Terminate, SignalKind::terminate()), (Signal::Interrupt, SignalKind::interrupt())];
        let hangup = with_hangup.then_some((Signal::Hangup, SignalKind::hangup()));
        let all = ends.into_iter().chain(hangup);
        all.map(|(known, kind)| Ok((known, signal(kind)?))).collect::<io::Result<_>>().map(Self)
    }

    async fn next(&mut self) -> Option<Signal> {
        std::future::poll_fn(|cx| {
            let mut all = self.0.iter_mut();
            match all.find_map(|(known, signal)| signal.poll_recv(cx).is_ready().then_some(*known)) {
                Some(signal) => std::task::Poll::Ready(Some(signal)),
                None => std::task::Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn handle(_with_hangup: bool) -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::signal::ctrl_c().await.ok().map(|()| Signal::Interrupt)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn each_signal_is_obeyed_on_its_own_thread() {
        let (sender, obeyed) = mpsc::sync_channel(8);
        on_each("obeying", true, move |signal| {
            sender.send((signal, thread::current().name().map(str::to_owned))).unwrap();
        })
        .unwrap();
        for (kind, signal) in [
            (rustix::process::Signal::HUP, Signal::Hangup),
            (rustix::process::Signal::TERM, Signal::Terminate),
            (rustix::process::Signal::INT, Signal::Interrupt),
        ] {
            rustix::process::kill_process(rustix::process::getpid(), kind).unwrap();
            let (obeyed, name) = obeyed.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!((obeyed, name.as_deref()), (signal, Some("obeying")));
        }
        assert_eq!(Signal::Hangup.name(), "SIGHUP");
    }
}
