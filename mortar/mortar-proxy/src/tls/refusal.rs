//! Why TLS was not agreed on, in words that say whose matter it is.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// What is wrong between this program and `host`, where TLS is to blame; none where something else is.
pub fn explain(host: &str, error: &(dyn Error + 'static)) -> Option<String> {
    let found = tls_error(error)?;
    Some(match found {
        rustls::Error::InvalidCertificate(reason) => distrust(host, reason),
        rustls::Error::InvalidMessage(_) => {
            format!("{host} answers, but not in TLS; is its address http://?")
        }
        rustls::Error::AlertReceived(alert) => refused(host, *alert),
        other => format!("{host} and this program agree on no TLS: {other}"),
    })
}

/// Why the certificate of `host` is not accepted.
pub fn distrust(host: &str, reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => {
            format!("the certificate of {host} is not signed by an authority that is trusted here")
        }
        CertificateError::BadSignature => {
            format!(
                "the certificate of {host} is signed by somebody with the name of a trusted authority, not by it"
            )
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = presented.join(", ");
            let names = if names.is_empty() {
                "no name at all"
            } else {
                &names
            };
            let expected = expected.to_str();
            format!("the certificate of {host} is not for {expected}: it is for {names}")
        }
        CertificateError::NotValidForName => format!("the certificate of {host} is not for {host}"),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {host} has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet; is the clock right?")
        }
        CertificateError::Revoked => format!("the certificate of {host} is revoked"),
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => format!(
            "the certificate of {host} is an authority's own (CA:TRUE), which no server may show; \
             issue one with it, or make it with CA:FALSE"
        ),
        other => format!("the certificate of {host} is not accepted: {other}"),
    }
}

/// What the other side has against this one.
fn refused(host: &str, alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            format!("{host} asks for a client certificate, and none was shown")
        }
        AlertDescription::UnknownCA => {
            format!("{host} does not trust the authority of the client certificate that was shown")
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => {
            format!("{host} does not accept the client certificate that was shown ({alert:?})")
        }
        AlertDescription::UnrecognisedName => {
            format!("{host} knows no server of the name that it was asked for")
        }
        other => format!("{host} and this program agree on no TLS: it answered {other:?}"),
    }
}

/// The error of TLS within another one; io errors hide what they carry from `source`.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match within {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
