//! Why a request did not complete.

use std::{fmt, io};

use serde::{Deserialize, Serialize};
use transport::tls::Problem;

/// The kind of a failure: failures are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The peer refused the connection.
    Refused,
    /// No way leads to the peer.
    Unreachable,
    /// The connection took longer than `--connect-timeout`.
    ConnectTimeout,
    /// This process may open no more files.
    OutOfFiles,
    /// This host has no free port towards the peer.
    OutOfPorts,
    /// The peer reset the connection.
    Reset,
    /// The connection was closed before the reply was complete, as a rule by the peer.
    ClosedEarly,
    /// The peer sent GOAWAY with this code (RFC 9113 section 7).
    GoAway(u32),
    /// The peer sent RST_STREAM with this code.
    RstStream(u32),
    /// The peer broke the protocol.
    Protocol,
    /// No authority that is trusted has signed the peer's certificate.
    Untrusted,
    /// The peer's certificate is not valid any more, or not yet.
    Expired,
    /// The peer's certificate is of another name.
    WrongName,
    /// The peer's certificate can't be used.
    BadCertificate,
    /// The peer speaks none of the protocols that were offered (RFC 7301).
    Alpn,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer asks for a certificate, or for another one.
    ClientCertificate,
    /// The handshake has failed in another way.
    Tls,
    /// A forward proxy did not lead to the target.
    Proxy,
    /// The server did not take the opening handshake of a WebSocket.
    NoWebSocket,
    /// What came back on a WebSocket is not what was sent.
    WrongEcho,
    /// The message of a gRPC call is not of its type with the values of its placeholders: it is not sent.
    InvalidMessage,
    /// The body of a redirect that is followed is longer than anybody reads to get there.
    LongRedirect,
    /// The request took longer than `--timeout`.
    Timeout,
    /// Anything else that the system reports.
    Io,
    /// A cause beyond those that are kept apart.
    Other,
}

impl Cause {
    /// Whether a handshake of TLS has failed by what the peer has answered.
    pub(crate) fn is_of_tls(self) -> bool {
        matches!(
            self,
            Self::Untrusted
                | Self::Expired
                | Self::WrongName
                | Self::BadCertificate
                | Self::Alpn
                | Self::NotTls
                | Self::ClientCertificate
                | Self::Tls
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect timeout",
            Self::OutOfFiles => "out of files",
            Self::OutOfPorts => "out of ports",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed early",
            Self::GoAway(code) => return write!(f, "GOAWAY {}", Code(*code)),
            Self::RstStream(code) => return write!(f, "RST_STREAM {}", Code(*code)),
            Self::Protocol => "protocol error",
            Self::Untrusted => "untrusted certificate",
            Self::Expired => "expired certificate",
            Self::WrongName => "certificate of another name",
            Self::BadCertificate => "bad certificate",
            Self::Alpn => "ALPN mismatch",
            Self::NotTls => "not TLS",
            Self::ClientCertificate => "client certificate",
            Self::Tls => "TLS error",
            Self::Proxy => "refused by the proxy",
            Self::NoWebSocket => "no WebSocket",
            Self::WrongEcho => "wrong echo",
            Self::InvalidMessage => "invalid message",
            Self::LongRedirect => "redirect too long",
            Self::Timeout => "timeout",
            Self::Io => "i/o error",
            Self::Other => "other",
        })
    }
}

/// An error code as RFC 9113 section 7 names it.
struct Code(u32);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        http2::Code(self.0).fmt(f)
    }
}

/// One failure, with what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) message: String,
    /// What the server has answered instead, if that was a response.
    pub(crate) answer: Option<Box<RefusalResponse>>,
}

/// A response that is the answer to something else than a request of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusalResponse {
    pub(crate) status: u16,
    /// Its head, as people read it.
    pub(crate) head: String,
}

impl Failure {
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), answer: None }
    }

    /// This response was the answer.
    pub(crate) fn with_answer(self, status: u16, head: String) -> Self {
        Self { answer: Some(Box::new(RefusalResponse { status, head })), ..self }
    }

    /// What an error of a socket means.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind;
        match Problem::of_io(error) {
            None => {}
            Some(Problem::ClientCertificate) => {
                let message = format!(
                    "the server asks for a certificate that it accepts, with --cert and --key: {error}"
                );
                return Self::new(Cause::ClientCertificate, message);
            }
            Some(_) => return Self::new(Cause::Tls, error.to_string()),
        }
        let cause = match error.kind() {
            ErrorKind::ConnectionRefused => Cause::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Cause::Reset,
            ErrorKind::UnexpectedEof => Cause::ClosedEarly,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                Cause::Unreachable
            }
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => Cause::OutOfPorts,
            ErrorKind::TimedOut => Cause::ConnectTimeout,
            ErrorKind::InvalidData => Cause::Protocol,
            _ if is_out_of_files(error) => Cause::OutOfFiles,
            _ => Cause::Io,
        };
        let message = match cause {
            Cause::OutOfPorts => "no free local port towards the target: use fewer connections".to_owned(),
            Cause::OutOfFiles => {
                "the open-file limit is reached: raise it (ulimit -n) or use fewer connections".to_owned()
            }
            _ => error.to_string(),
        };
        Self::new(cause, message)
    }
}

#[cfg(unix)]
fn is_out_of_files(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

#[cfg(not(unix))]
fn is_out_of_files(_error: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_document() {
        assert_eq!(Cause::RstStream(7).to_string(), "RST_STREAM REFUSED_STREAM");
        assert_eq!(Cause::GoAway(11).to_string(), "GOAWAY ENHANCE_YOUR_CALM");
        assert_eq!(Cause::GoAway(255).to_string(), "GOAWAY 0xff");
    }

    #[test]
    fn limits_of_this_process_say_what_to_do() {
        let files = Failure::from_io(&io::Error::from_raw_os_error(24));
        assert_eq!(files.cause, Cause::OutOfFiles);
        assert!(files.message.contains("ulimit -n"));
        let ports = Failure::from_io(&io::ErrorKind::AddrNotAvailable.into());
        assert_eq!(ports.cause, Cause::OutOfPorts);
        assert!(ports.message.contains("fewer connections"));
    }
}
