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
        // What to do comes first: the library's words are long, and reports cut them off.
        Problem::Expired => {
            (Cause::Expired, format!("the certificate is not valid now (--insecure trusts it all the same): {failure}"))
        }
        Problem::WrongName => {
            (Cause::WrongName, format!("the certificate is for another name (--sni asks for one): {failure}"))
        }
        Problem::Authority => (
            Cause::BadCertificate,
            "the server's certificate is an authority's (CA:TRUE): --insecure trusts it, or let the authority sign one \
             (openssl req -x509 needs -addext basicConstraints=critical,CA:FALSE)"
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
        Problem::Incompatible => (
            Cause::Tls,
            format!(
                "nothing in common with the server (loadgen speaks TLS 1.2 and 1.3, with --tls-min-version 1.3 that alone): {failure}"
            ),
        ),
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
        Some(Protocol::Http2) if offer.target.grpc => {
            "the server does not speak h2 (ALPN), which gRPC needs: it, or the proxy in front of it, has to offer h2".to_owned()
        }
        Some(Protocol::Http2) if offer.target.websocket => {
            "the server does not speak h2 (ALPN): leave out --http2".to_owned()
        }
        Some(Protocol::Http2) => "the server does not speak h2 (ALPN): try --http1.1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use transport::tls::Version;

    use super::*;
    use crate::{cli::Args, plan::Plan};

    #[test]
    fn where_http2_was_not_agreed_on_the_advice_is_one_that_the_target_takes() {
        let facts = Facts {
            version: Version::Tls13,
            alpn: Some(b"http/1.1".as_slice().into()),
            sni: None,
            cipher: String::new(),
            resumed: false,
            client: None,
        };
        for (line, advice) in [
            ("--http2 https://a", "(ALPN): try --http1.1"),
            ("grpcs://a/s.S/M", "it, or the proxy in front of it, has to offer h2"),
            ("--http2 wss://a", "(ALPN): leave out --http2"),
        ] {
            let args = ["loadgen", "-k"].into_iter().chain(line.split(' '));
            let plan = Plan::try_from(&Args::try_parse_from(args).unwrap()).unwrap();
            let offer = plan.sites()[0].tls().unwrap().offer(Some(Protocol::Http2));
            let failure = agreed(&facts, &offer).unwrap_err();
            assert!(failure.cause == Cause::Alpn && failure.message.ends_with(advice), "{line}: {failure:?}");
        }
    }
}
