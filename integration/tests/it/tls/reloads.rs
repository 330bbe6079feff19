//! SIGHUP, and what the other signals do while the certificate can't be read.

use std::{fs, io::Write as _, path::Path};

use integration::{
    PATIENCE,
    authority::{Authority, Issued, Key},
    binaries::ServerProcess,
    client::{Link, Protocol, Request, fetch, patiently},
};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    io::ioctl_fionread,
    process::Signal,
};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{pki_types::CertificateDer, version::TLS13};

use super::client;

tests!();

fn serve(certificate: &Issued) -> ServerProcess {
    let flags = [
        "--tls-addr=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", certificate.chain.display()),
        format!("--tls-key={}", certificate.key.display()),
    ];
    ServerProcess::start(&flags.each_ref().map(String::as_str))
}

/// The certificate that a new connection is shown.
async fn shown(server: &ServerProcess, authority: &Authority) -> CertificateDer<'static> {
    let stream = TcpStream::connect(server.tls.expect("TLS is served")).await.expect("connected");
    let link = patiently("a handshake", Link::shake_hands(stream, client(authority, &[&TLS13]))).await;
    let Ok(Link::Tls(stream)) = link else { panic!("no TLS") };
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
}

/// Sends SIGHUP, and waits until the log has said this so often.
fn hang_up(server: &ServerProcess, said: &str, times: usize) {
    server.signal(Signal::HUP);
    logged(server, said, times);
}

fn logged(server: &ServerProcess, said: &str, times: usize) {
    server.process().await_stderr(said, |log| (log.matches(said).count() == times).then_some(()));
}

async fn sighup_reloads_the_certificate() {
    let authority = Authority::root();
    let first = authority.issue("server", Key::Ecdsa);
    let server = serve(&first);
    assert_eq!(shown(&server, &authority).await, first.certificate);
    let second = authority.issue("server", Key::Ecdsa);
    hang_up(&server, "new connections get the new certificate", 1);
    assert_eq!(shown(&server, &authority).await, second.certificate);
    fs::write(&first.chain, "no certificate").expect("a file is written");
    hang_up(&server, "the certificate stays as it was", 1);
    assert_eq!(shown(&server, &authority).await, second.certificate);
    server.signal(Signal::TERM);
    assert_eq!(server.finish(PATIENCE).await.code, Some(0));
}

/// A file that is read until the other end, which this is, has been closed.
fn replace_by_fifo(path: &Path) -> fs::File {
    fs::remove_file(path).expect("the file was there");
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO is made");
    // Opened for both, which does not wait: a FIFO that nothing writes to is refused.
    let mut both = fs::OpenOptions::new().read(true).write(true).open(path).expect("the FIFO is opened");
    both.write_all(b"no certificate").expect("there is room in a FIFO");
    both
}

/// Waits until what is in the FIFO has been read.
async fn is_read(fifo: &fs::File) {
    let read = async {
        while ioctl_fionread(fifo).expect("a FIFO has a length") > 0 {
            tokio::task::yield_now().await;
        }
    };
    patiently("a reader of the FIFO", read).await;
}

async fn a_reload_that_hangs_delays_later_reloads_and_loses_none() {
    let authority = Authority::root();
    let first = authority.issue("server", Key::Ecdsa);
    let second = authority.issue("second", Key::Ecdsa);
    let server = serve(&first);
    let writer = replace_by_fifo(&first.chain);
    hang_up(&server, "SIGHUP: reloading the certificate", 1);
    is_read(&writer).await;
    hang_up(&server, "SIGHUP: reloading the certificate", 2);
    hang_up(&server, "SIGHUP: a reload is pending already", 1);
    assert_eq!(shown(&server, &authority).await, first.certificate, "requests are served meanwhile");
    fs::rename(&second.chain, &first.chain).expect("the FIFO is replaced");
    fs::rename(&second.key, &first.key).expect("the key is replaced");
    drop(writer);
    logged(&server, "the certificate stays as it was", 1);
    logged(&server, "new connections get the new certificate", 1);
    assert_eq!(shown(&server, &authority).await, second.certificate);
}

async fn signals_end_the_server_while_a_reload_hangs() {
    for signal in [Signal::TERM, Signal::INT] {
        let authority = Authority::root();
        let certificate = authority.issue("server", Key::Ecdsa);
        let server = serve(&certificate);
        let writer = replace_by_fifo(&certificate.chain);
        hang_up(&server, "SIGHUP: reloading the certificate", 1);
        is_read(&writer).await;
        server.signal(signal);
        let finished = server.finish(PATIENCE).await;
        assert_eq!(finished.code, Some(0), "{finished}");
        assert!(finished.stderr.contains("drained"), "{finished}");
    }
}

async fn sighup_without_tls_changes_nothing() {
    let server = ServerProcess::start(&[]);
    hang_up(&server, "SIGHUP: ignored", 1);
    assert_eq!(fetch(Protocol::Http1, server.http, Request::get("/health")).await.status, 200);
    server.signal(Signal::TERM);
    assert_eq!(server.finish(PATIENCE).await.code, Some(0));
}
