//! What a handshake has come to, in words that say what to do.

use transport::tls::{Facts, Failure as TlsFailure, Problem};

use super::other_protocol::instead_of_tls;
use crate::{
    outcome::{Cause, Failure},
    plan::{Offer, Protocol, spoken},
};

/// Why a handshake has failed.
pub(super) fn explained(failure: &TlsFailure, offer: &Offer) -> Failure {
    let problem = Problem::from(failure);
    let (cause, message) = match problem {
        Problem::Untrusted => (
            Cause::Untrusted,
            "no trusted authority has signed the server's certificate: --cacert names another, --insecure trusts any"
                .to_owned(),
        ),
        Problem::Expired => (Cause::Expired, format!("{failure}; --insecure trusts it all the same")),
        Problem::WrongName => (Cause::WrongName, format!("{failure}; --sni asks for another name")),
        Problem::Authority => (
            Cause::BadCertificate,
            "the server shows the certificate of an authority (CA:TRUE), as openssl req -x509 makes it: have the authority sign one \
             for the server (CA:FALSE), or trust it all the same with --insecure"
                .to_owned(),
        ),
        Problem::BadCertificate => (Cause::BadCertificate, failure.to_string()),
        Problem::Alpn => (Cause::Alpn, no_protocol(offer)),
        Problem::NotTls => {
            let first = match failure {
                TlsFailure::NotTls(_, first) => first,
                _ => &[][..],
            };
            (Cause::NotTls, instead_of_tls(first, &offer.target))
        }
        Problem::ClientCertificate => (
            Cause::ClientCertificate,
            format!("the server asks for a certificate that it accepts, with --cert and --key: {failure}"),
        ),
        Problem::Incompatible => (Cause::Tls, format!("nothing in common with the server: {failure}")),
        Problem::Closed => {
            (Cause::ClosedEarly, "the server closed the connection in the middle of the handshake".to_owned())
        }
        Problem::Other => (Cause::Tls, failure.to_string()),
    };
    Failure::new(cause, message)
}

/// Whether the protocol that is to be spoken was agreed on.
///
/// # Errors
/// It was not.
pub(super) fn agreed(facts: &Facts, offer: &Offer) -> Result<(), Failure> {
    let agreed = spoken(facts.alpn.as_deref());
    match offer.protocol {
        None if agreed.is_some() => Ok(()),
        Some(protocol) if agreed == Some(protocol) => Ok(()),
        _ => Err(Failure::new(Cause::Alpn, no_protocol(offer))),
    }
}

fn no_protocol(offer: &Offer) -> String {
    match offer.protocol {
        None => "the server speaks neither h2 nor http/1.1 (ALPN)".to_owned(),
        Some(Protocol::Http1) => "the server does not speak http/1.1 (ALPN): try --http2".to_owned(),
        Some(Protocol::Http2) => "the server does not speak h2 (ALPN): try --http1.1".to_owned(),
    }
}
