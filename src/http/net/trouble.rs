//! TLS errors, each as a clause that a person can act upon.
//!
//! Must not know the peers.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as Tls, InvalidMessage};

/// Returns the fault, if TLS is to blame for an error or for one of its sources.
pub fn trouble(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(clause(tls));
        }
        // The error inside an error of the system is not its source.
        let carried = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    None
}

fn clause(error: &Tls) -> String {
    match error {
        Tls::InvalidCertificate(error) => of_certificate(error),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS; use http://, or configure [tls] there".into()
        }
        Tls::AlertReceived(alert) => of_alert(*alert),
        Tls::NoCertificatesPresented => {
            "the client sent no certificate; set tls.cert_file and tls.key_file there".into()
        }
        other => format!("TLS failed: {other}"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired; replace it, and send its server SIGHUP".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet; check the clocks of both machines".into()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the certificate is not for {}, but for {}; use such a name, or issue a certificate for this one",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::NotValidForName => "the certificate is for another name".into(),
        // Another authority of the same name looks like a wrong signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate was not signed by a CA of tls.ca_file".into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is for another purpose; its extended key usage must have serverAuth for a \
             server, and clientAuth for a client"
                .into()
        }
        other => format!("the certificate is invalid: {other}"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the peer requires a certificate; set tls.cert_file and tls.key_file".into()
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "the peer does not trust the CA that signed our certificate; its tls.ca_file must have that CA"
                .into()
        }
        AlertDescription::CertificateExpired => "our certificate has expired".into(),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            format!("the peer rejected our certificate ({alert:?})")
        }
        AlertDescription::ProtocolVersion => "the peer does not speak TLS 1.3".into(),
        other => format!("the peer ended TLS ({other:?})"),
    }
}
