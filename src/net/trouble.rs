//! What goes wrong with TLS, each as a clause that a person can act upon.
//!
//! Must not know who connects to whom.

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
        // What an error of the system carries is not what it calls its source.
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
            "the other side does not speak TLS; ask it with http://, or configure [tls] there"
                .into()
        }
        Tls::AlertReceived(alert) => of_alert(*alert),
        Tls::NoCertificatesPresented => {
            "no certificate was shown; tls.cert_file and tls.key_file are to be given there".into()
        }
        other => format!("TLS fails: {other}"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired; replace it, and send its server SIGHUP".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet; look at the clocks of both machines".into()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the certificate is not for {}, but for {}; ask by such a name, or have it made for this \
             one",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::NotValidForName => "the certificate is for another name".into(),
        // Another authority of the same name looks like a wrong signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate was not signed by the authority in tls.ca_file".into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not made for this side of a connection; its extended key usage must \
             have serverAuth, and clientAuth for one that connects"
                .into()
        }
        other => format!("the certificate is not taken: {other}"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the other side wants a certificate; give tls.cert_file and tls.key_file".into()
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "the other side does not know the authority that signed our certificate; its tls.ca_file \
             must have it"
                .into()
        }
        AlertDescription::CertificateExpired => "our certificate has expired".into(),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            format!("the other side does not take our certificate ({alert:?})")
        }
        AlertDescription::ProtocolVersion => "the other side speaks no TLS 1.3".into(),
        other => format!("the other side ended TLS ({other:?})"),
    }
}
